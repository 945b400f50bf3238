import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { CallCounter, type CallTool } from './system-calls.js';
import type { Facts, Peer, Role, Settings, Trial } from './types.js';

/** A phase that takes longer than this fails the trial. */
const phaseTimeoutMs = 180_000;

/** How the programs of a trial are placed on processors; empty arrays leave it to the system. */
export interface Pinning {
  readonly server: readonly string[];
  readonly client: readonly string[];
}

/** What a trial goes without, and what it counts that slows it down, so that it is not to be timed. */
export interface TrialOptions {
  /** See `Case`. */
  readonly isClientAlone?: boolean;
  readonly countsAllocations?: boolean;
  readonly callTool?: CallTool | null;
}

/** One program under way; see `program.ts` for what is said. */
class Running {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #title: string;
  #stderr = '';

  constructor(title: string, command: readonly [string, ...string[]]) {
    const [file, ...args] = command;
    this.#title = title;
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    // A program that ended early shows as a missing answer; without these listeners it would end the runner.
    this.#child.on('error', (error) => {
      this.#stderr += error.message;
    });
    this.#child.stdin?.on('error', () => {});
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-8192);
    });
    // `stdio` above makes it a pipe.
    const lines: Interface = createInterface({
      input: this.#child.stdout as NodeJS.ReadableStream,
    });
    this.#lines = lines[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async answer(event: string): Promise<Facts> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), phaseTimeoutMs);
    try {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`${this.#title} ended before "${event}": ${this.#stderr}`);
      const { event: said, ...facts } = JSON.parse(value) as Record<string, number | string>;
      if (said !== event) throw new Error(`${this.#title} said "${said}" instead of "${event}"`);
      return facts;
    } finally {
      clearTimeout(timer);
    }
  }

  ask(command: string): Promise<Facts> {
    this.#child.stdin?.write(`${command}\n`);
    return this.answer(command);
  }

  /** Ends the program: kindly, and by force when it failed to answer or does not go. */
  async end(kindly: boolean): Promise<void> {
    if (
      this.#child.pid === undefined ||
      this.#child.exitCode !== null ||
      this.#child.signalCode !== null
    )
      return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), kindly ? 10_000 : 0);
    this.#child.stdin?.end('end\n');
    await gone;
    clearTimeout(timer);
  }
}

async function attachTo(
  tool: CallTool,
  client: Running,
  server: Running | undefined,
): Promise<{ end(): Promise<NonNullable<Trial['systemCalls']>> }> {
  const ofClient = await CallCounter.attach(tool, client.pid);
  const ofServer = server && (await CallCounter.attach(tool, server.pid));
  return {
    async end() {
      const [clientCalls, serverCalls] = [await ofClient.end(), await ofServer?.end()];
      return {
        ...(clientCalls !== undefined && { client: clientCalls }),
        ...(serverCalls !== undefined && { server: serverCalls }),
      };
    },
  };
}

/** Of a server that there is not. */
const noUsage: Facts = { cpuSeconds: 0 };

function commandLine(
  peer: Peer,
  program: string,
  role: Role,
  pinning: Pinning,
  settings: Settings,
): [string, ...string[]] {
  const [file, ...args] = [
    ...pinning[role],
    ...peer.command(program, role),
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
  ];
  return [file ?? '', ...args];
}

/**
 * One trial of one peer, in two fresh processes, or one where the client is alone. `beforeRun` is called when they are ready, before the clock starts.
 * Rejects when a side fails or does not answer.
 */
export async function runTrial(
  peer: Peer,
  program: string,
  pinning: Pinning,
  settings: Settings,
  beforeRun: () => Promise<unknown>,
  { isClientAlone = false, countsAllocations = false, callTool = null }: TrialOptions = {},
): Promise<Trial> {
  const started: Running[] = [];
  const counting: Settings = countsAllocations ? { 'count-allocations': '1' } : {};
  const start = (role: Role, more: Settings): Running => {
    const all = { ...settings, ...counting, ...more };
    const command = commandLine(peer, program, role, pinning, all);
    const running = new Running(`${peer.name} ${role}`, command);
    started.push(running);
    return running;
  };
  let complete = false;
  try {
    const server = isClientAlone ? undefined : start('server', {});
    const ready = await server?.answer('ready');
    const client = start('client', ready === undefined ? {} : { address: String(ready.address) });
    await client.answer('ready');
    await beforeRun();
    const before = (await server?.ask('usage')) ?? noUsage;
    const callCounters = callTool === null ? null : await attachTo(callTool, client, server);
    const run = await client.ask('run');
    const systemCalls = await callCounters?.end();
    const after = (await server?.ask('usage')) ?? noUsage;
    const serverCpuSeconds = Number(after.cpuSeconds) - Number(before.cpuSeconds);
    const verified = { ...(await client.ask('verify')), ...(await server?.ask('verify')) };
    complete = true;
    return {
      run,
      serverCpuSeconds,
      serverUsage: { before, after },
      ...(systemCalls !== undefined && { systemCalls }),
      verified,
    };
  } finally {
    // The client first, so that the server sees an orderly end.
    for (const running of started.reverse()) await running.end(complete);
  }
}
