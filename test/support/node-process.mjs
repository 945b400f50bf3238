// A node that `paipainet node` runs in a process of its own, which can be killed and started again at the same address.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export class NodeProcess {
  #child;
  #options;
  /** Where it listens; the same after a restart. */
  address = 'tcp://127.0.0.1:0';

  /** @param options of `paipainet node`, besides `--listen` */
  constructor(options = []) {
    this.#options = options;
  }

  /** Settles when the node answers. */
  static async start(options) {
    const node = new NodeProcess(options);
    await node.start();
    return node;
  }

  get pid() {
    return this.#child.pid;
  }

  async start() {
    const args = [main, 'node', '--listen', this.address, '--json', ...this.#options];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(this.#child, 'exit').then(([code, signal]) => {
      throw new Error(`the node ended with ${code ?? signal} before it listened`);
    });
    const [line] = await Promise.race([once(this.#child.stdout, 'data'), ended]);
    ended.catch(() => {}); // From now on whoever ends it knows.
    this.address = JSON.parse(String(line)).address;
  }

  /** Settles when the process is gone. */
  async kill(signal = 'SIGKILL') {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    await gone;
  }
}
