import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Net, type NetOptions, Node, type NodeOptions } from '../../dist/index.js';
import { bound } from '../support/bounds.js';

/** What the tests of whole nets share. */

export const handlers: URL = new URL('./handlers.mjs', import.meta.url);

export interface StartedNet {
  readonly net: Net;
  readonly nodes: readonly Node[];
  readonly pids: readonly number[];
}

/** A started net of embedded nodes 1, 2 …, closed when the test ends. */
export async function startNet(
  nodeCount: number,
  options: NetOptions = {},
  nodeOptions: (index: number) => NodeOptions = () => ({}),
): Promise<StartedNet> {
  const net = new Net({ handlers, ...options });
  onTestFinished(() => net.close());
  const nodes = Array.from({ length: nodeCount }, (_, at) => new Node(at + 1, nodeOptions(at)));
  for (const node of nodes) net.addNode(node);
  await net.start();
  return { net, nodes, pids: nodes.map(({ pid }) => pid ?? 0) };
}

/** Bytes that look like nothing, the same for each seed. */
export function noise(bytes: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

/** Whether the process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Looks again until `isReached`, for as long as `bound` gives to what takes `promisedMs` at most. */
export async function reached(promisedMs: number, isReached: () => boolean): Promise<boolean> {
  const endMs = performance.now() + bound(promisedMs);
  while (!isReached()) {
    if (performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

/** A folder for temporary files of this test alone, so that it sees its own leftovers and no others. */
export function ownTmpdir(): string {
  const before = process.env['TMPDIR'];
  const folder = mkdtempSync(join(tmpdir(), 'pp-'));
  process.env['TMPDIR'] = folder;
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(folder, { recursive: true });
  });
  return folder;
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
