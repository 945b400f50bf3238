// A node that `paipainet node` runs in a process of its own, which can be killed and started again at the same address.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** What takes the place of `paipainet`; it ends with the node. */
export const paipainet = [process.execPath, main];

export class NodeProcess {
  #child;
  #options;
  #start;
  /** Of the node, whatever the command is. */
  pid;
  /** Where it listens; the same after a restart. */
  address = 'tcp://127.0.0.1:0';

  /**
   * @param options of `paipainet node`, besides `--listen`
   * @param start `command`, in place of `paipainet` above, and `env`, its environment
   */
  constructor(options = [], start = {}) {
    this.#options = options;
    this.#start = start;
  }

  /** Settles when the node answers. */
  static async start(options, start) {
    const node = new NodeProcess(options, start);
    await node.start();
    return node;
  }

  async start() {
    const { command = paipainet, env = process.env } = this.#start;
    const [file, ...first] = command;
    const args = [...first, 'node', '--listen', this.address, '--json', ...this.#options];
    this.#child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
    const ended = once(this.#child, 'exit').then(([code, signal]) => {
      throw new Error(`the node ended with ${code ?? signal} before it listened`);
    });
    const [line] = await Promise.race([once(this.#child.stdout, 'data'), ended]);
    ended.catch(() => {}); // From now on whoever ends it knows.
    ({ address: this.address, pid: this.pid } = JSON.parse(String(line)));
  }

  /** Settles when the process is gone. */
  async kill(signal = 'SIGKILL') {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    process.kill(this.pid, signal);
    await gone;
  }
}
