import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { PaipaiError } from '../base/errors.js';
import { loadNative } from '../native/load.js';
import type { Command } from './command.js';

const help = `Usage: paipainet bench CASE [options]
       paipainet bench growth [--of NAMES] [options]
       paipainet bench --list

Compares this package on this machine with those rivals that are installed here (ws, zeromq, nats, @grpc/grpc-js, piscina), with
Node's own sockets and child processes, and with plain C where a compiler is there. All do the same work in turn, and contents are compared.

  --vs NAMES     rivals, separated by commas: net, c, zeromq, nats, ws, ws-corked, grpc, piscina, child-process, … (default: all
                 that can run here)
  --rounds N     measured rounds (default 3)
  --path NAME    tcp (loopback, the default), unix, or shm (the rivals then stay with tcp)
  --counts       also counts system calls (with strace) and heap bytes a message
  --json         also writes bench-results/DATE-CASE.json, and tables and a chart beside it
  --out FILE     also writes the same to FILE, and to .md and .svg beside it
  --list         names the cases with their settings, the curves, and the peers

Exit codes: 0 done; 1 a trial failed or its contents did not agree; 2 it was asked the wrong way.`;

const runner = fileURLToPath(new URL('../bench/run.js', import.meta.url));

/** The runner is a program of its own, so that what it loads is never loaded for other commands. */
export const benchCommand: Command = {
  help,
  async run(args, { terminal, signal }) {
    if (!existsSync(runner)) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_ARGUMENT',
        'the benches have not been compiled; "npm run build" does it',
      );
    }
    if (!loadNative().ok)
      terminal.note('paipainet: without the native engine; "paipainet build" builds it');
    // `npx paipainet bench -- --list` is a habit from npm scripts.
    const own = args[0] === '--' ? args.slice(1) : args;
    const child = spawn(process.execPath, [runner, ...(own.length > 0 ? own : ['--list'])], {
      stdio: 'inherit',
      signal,
      killSignal: 'SIGTERM',
    });
    const [code, endedBy] = await new Promise<[number | null, NodeJS.Signals | null]>(
      (resolve, reject) => {
        child.once('exit', (...end) => resolve(end));
        child.once('error', (error) => {
          if (!signal.aborted) reject(error);
        });
      },
    );
    return code ?? 128 + constants.signals[endedBy ?? 'SIGTERM'];
  },
};
