import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { engines, nativePairs, pinned } from '../support/native-networks.js';
import { sessionContract } from './session-contract.js';

const folder = mkdtempSync(join(tmpdir(), 'paipainet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let socketCount = 0;

for (const [connecting, listening] of nativePairs) {
  const networks = {
    connect: pinned(engines[connecting].network),
    listen: pinned(engines[listening].network),
  };
  const name = `${connecting}–${listening}`;
  sessionContract(`${name} over TCP`, () => ({ ...networks, address: 'tcp://127.0.0.1:0' }));
  sessionContract(`${name} over a Unix socket`, () => ({
    ...networks,
    address: `unix://${join(folder, `${++socketCount}.sock`)}`,
  }));
}

const { network } = engines.native;
sessionContract('native–native over shared memory', () => ({
  connect: network,
  listen: network,
  address: 'tcp://127.0.0.1:0',
}));
