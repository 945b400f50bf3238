import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Allocations } from './allocations.js';
import type { Facts, Settings } from './types.js';

/**
 * The dialogue between the runner and the program of one role, in lines. The program answers each command with one JSON
 * object on standard output, whose `event` is the command's name.
 *
 * - at its start a program says `{ "event": "ready" }`, a server with its `address`; a client is connected then and
 *   has its data in memory
 * - `run` (client): does the work; `seconds`, `cpuSeconds` and what else was measured
 * - `usage` (server): `cpuSeconds` since it was ready; with `--rest 1` also `residentBytes`, once it has been at rest,
 *   with `--count-allocations 1` `allocatedBytes` since it was asked before; the latter also in `run`
 * - `verify`: what the contents were, such as `sentChecksum` and `storedChecksum`; not measured
 * - `end`, or the end of input: ends
 */

export interface ServerRole {
  readonly address: string;
  verify?(): Facts | Promise<Facts>;
  close(): void | Promise<void>;
}

export interface ClientRole {
  /** The work, from its beginning to its last confirmation; its duration and CPU time are added to what it returns. */
  run(): Promise<Facts>;
  verify?(): Facts | Promise<Facts>;
  close(): void | Promise<void>;
}

export interface Program {
  server(settings: Settings): Promise<ServerRole>;
  client(settings: Settings, address: string): Promise<ClientRole>;
}

/** Seconds of user and system time that this process has taken, all its threads included. */
export function cpuSeconds(): number {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return (userCPUTime + systemCPUTime) / 1e6;
}

function parseSettings(args: readonly string[]): Settings {
  const settings: Record<string, string> = {};
  for (let i = 0; i + 1 < args.length; i += 2) {
    settings[args[i]?.replace(/^--/, '') ?? ''] = args[i + 1] ?? '';
  }
  return settings;
}

/** A setting that is a number above 0. @throws RangeError when it is none. */
export function setting(settings: Settings, name: string, fallback: number): number {
  const value = Number(settings[name] ?? fallback);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(`--${name} takes a number above 0, not ${settings[name]}`);
}

/** What message programs do before they are ready, so that nothing is compiled or sized while the clock runs. */
export const warmUpSeconds = 0.5;

function say(event: string, facts: Facts = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
}

async function measured(client: ClientRole, allocations: Allocations | null): Promise<Facts> {
  await allocations?.start();
  const cpuBefore = cpuSeconds();
  const startMs = performance.now();
  const facts = await client.run();
  const seconds = (performance.now() - startMs) / 1e3;
  const cpu = cpuSeconds() - cpuBefore;
  const allocated = allocations === null ? {} : { allocatedBytes: await allocations.stop() };
  return { ...facts, seconds, cpuSeconds: cpu, ...allocated };
}

/** What a server has taken of processor and memory; of the heap since it was asked before. */
class Usage {
  readonly #settings: Settings;
  readonly #allocations: Allocations | null;
  readonly #cpuBefore: number = cpuSeconds();
  #isCounting = false;

  constructor(settings: Settings, allocations: Allocations | null) {
    this.#settings = settings;
    this.#allocations = allocations;
  }

  async facts(): Promise<Facts> {
    const cpu = cpuSeconds() - this.#cpuBefore;
    const allocatedBytes = this.#isCounting ? await this.#allocations?.stop() : undefined;
    await this.#allocations?.start();
    this.#isCounting = true;
    return {
      cpuSeconds: cpu,
      ...(allocatedBytes !== undefined && { allocatedBytes }),
      ...(this.#settings.rest === '1' && { residentBytes: await residentBytes() }),
    };
  }
}

/** V8 gives memory back in collections some seconds after a burst, and the system gets it some seconds later. */
const restSeconds = 5;
const restCount = 3;

/** Bytes of memory of a process at rest, without what V8 keeps for young objects: it may do so long after a burst, up to 32 MiB. */
async function residentBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < restCount; i++) {
    collect();
    await setTimeout(restSeconds * 1e3);
  }
  collect();
  const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
  return process.memoryUsage.rss() - (young?.physical_space_size ?? 0);
}

/** Plays the role that the command line names, until the runner ends it. */
export async function play(program: Program): Promise<void> {
  const [role, ...rest] = process.argv.slice(2);
  const settings = parseSettings(rest);
  const server = role === 'server' ? await program.server(settings) : undefined;
  const client =
    role === 'client' ? await program.client(settings, settings.address ?? '') : undefined;
  const allocations = settings['count-allocations'] === '1' ? new Allocations() : null;
  const usage = new Usage(settings, allocations);
  say('ready', server === undefined ? {} : { address: server.address });
  for await (const command of createInterface({ input: process.stdin })) {
    if (command === 'end') break;
    if (command === 'run' && client !== undefined) say('run', await measured(client, allocations));
    else if (command === 'usage') say('usage', await usage.facts());
    else if (command === 'verify') say('verify', (await (server ?? client)?.verify?.()) ?? {});
  }
  await (server ?? client)?.close();
  process.exit(0);
}
