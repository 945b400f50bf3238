import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Data } from '../../dist/index.js';
import { noise } from '../main-job/nets.js';
import { startHubNet } from '../support/hub-net.js';
import type { NodeProcess } from '../support/node-process.mjs';

const mebi = 1024 * 1024;

/** The most memory that the process has had at once. */
function peakBytesOf({ pid }: NodeProcess): number {
  const [, kibi] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibi) * 1024;
}

test('little of what passes through a hub stays there', { timeout: 120_000 }, async () => {
  const { hub, net } = await startHubNet();
  const data = new Data('d', noise(32 * mebi));
  net.addData(data);
  // What it takes to begin with: code, and its share of one shard.
  await net.broadcast('echo');
  const before = peakBytesOf(hub);
  await net.transfer(data);
  for (let time = 0; time < 8; time++) await net.read(data);
  // Of 288 MiB that pass. Much of it is chunks that the collector has not come to yet.
  expect(peakBytesOf(hub) - before).toBeLessThan(128 * mebi);
});
