#!/usr/bin/env node
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Command } from './command.js';
import { usageError } from './command.js';
import { exitCodeOf, showFailure } from './failure.js';
import { watchInterrupt } from './interrupt.js';
import { packageVersion } from './package-facts.js';
import { processTerminal, type Terminal } from './terminal.js';

// Each command is loaded when it is asked for, so that `build` needs nothing that is built by it.
const commands: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['demo', async () => (await import('./demo.js')).demoCommand],
  ['node', async () => (await import('./node.js')).nodeCommand],
  ['up', async () => (await import('./up.js')).upCommand],
  ['ls', async () => (await import('./ls.js')).lsCommand],
  ['put', async () => (await import('./put.js')).putCommand],
  ['get', async () => (await import('./get.js')).getCommand],
  ['process', async () => (await import('./process.js')).processCommand],
  ['mapreduce', async () => (await import('./mapreduce.js')).mapReduceCommand],
  ['explain', async () => (await import('./explain.js')).explainCommand],
  ['plan', async () => (await import('./plan.js')).planCommand],
  ['kv', async () => (await import('./kv.js')).kvCommand],
  ['txn', async () => (await import('./txn.js')).txnCommand],
  ['lock', async () => (await import('./lock.js')).lockCommand],
  ['elect', async () => (await import('./elect.js')).electCommand],
  ['quorum', async () => (await import('./quorum.js')).quorumCommand],
  ['build', async () => (await import('./build.js')).buildCommand],
  ['doctor', async () => (await import('./doctor.js')).doctorCommand],
  ['bench', async () => (await import('./bench.js')).benchCommand],
]);

const help = `Usage: paipainet COMMAND [options]

  demo [FILE]   cut a CSV file into shards, spread them over nodes, process them there
  node          run a node that another process adds by its address
  up            run a net of nodes on this machine

  ls            list the nodes of a net, their data, or where the shards lie
  put FILE      cut a file into shards and leave them on the nodes
  get ID        bring data back
  process ID HANDLER
                run a handler over every shard, where they lie
  mapreduce ID  map the shards, reduce the values of each key
  explain ID    say where each shard lies, where it belongs, and what is missing
  plan FILE     say where "put" would send the shards

  kv            look at the table that a net agrees on, and change it
  txn           change several of its keys at one moment
  lock NAME     run a program while it holds a lock
  elect NAME    say who leads, or run a program while it leads
  quorum        say which nodes agree together, and have one replaced

  build         build the native addon from the sources in this package
  doctor        say which engine is in use, and what is missing
  bench         compare with rivals on this machine

  -h, --help    this text; "paipainet COMMAND --help" for one command
  --version     the version of this package

Exit codes: 0 done; 1 it went wrong; 2 it was asked the wrong way; 130 Ctrl-C.`;

async function dispatch(
  args: readonly string[],
  terminal: Terminal,
  output: Output,
): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    if (name === undefined) terminal.note(help);
    else terminal.print(help);
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v') {
    terminal.print(packageVersion());
    return 0;
  }
  const load = commands.get(name);
  if (load === undefined) {
    const kind = name.startsWith('-') ? 'option' : 'command';
    throw usageError('', `Unknown ${kind} '${name}'`);
  }
  const command = await load();
  output.isOutlived = command.outlivesOutput === true;
  if (wantsHelp(rest)) {
    terminal.print(command.help);
    return 0;
  }
  return runCommand(command, rest, terminal);
}

async function runCommand(
  command: Command,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const interrupt = watchInterrupt();
  try {
    const { signal } = interrupt;
    const code = await command.run(args, { terminal, variables: process.env, signal });
    return interrupt.exitCode() ?? code;
  } catch (error) {
    // Ctrl-C reaches the nodes as well as us: their end may be noticed a turn before the signal is.
    await nextTurn();
    const code = interrupt.exitCode();
    if (code === undefined) throw error;
    return code;
  } finally {
    interrupt.dispose();
  }
}

function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const options = end === -1 ? args : args.slice(0, end);
  return options.includes('--help') || options.includes('-h');
}

interface Output {
  isOutlived: boolean;
}

function main(args: readonly string[]): void {
  const output: Output = { isOutlived: false };
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (output.isOutlived) return;
    if (error.code !== 'EPIPE') throw error;
    // `paipainet … | head` closes the pipe early, which is no failure of ours.
    process.exit(0);
  });
  process.stderr.on('error', () => {}); // What nobody hears need not be said.
  const terminal = processTerminal();
  const debug = process.env['PAIPAINET_DEBUG'] ?? '';
  const verbose = args.includes('--verbose') || (debug !== '' && debug !== '0');
  // Should a promise be lost, the process would run out of work and end, as if all were well.
  process.exitCode = 1;
  dispatch(args, terminal, output).then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      showFailure(error, terminal, verbose);
      process.exitCode = exitCodeOf(error);
    },
  );
}

main(process.argv.slice(2));
