import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Address } from '../../dist/transport/address.js';
import { engines, nativePairs } from '../support/native-networks.js';
import { frameChannelContract } from './frame-channel.js';

const folder = mkdtempSync(join(tmpdir(), 'paipainet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let socketCount = 0;
const tcp = (): Address => ({ scheme: 'tcp', host: '127.0.0.1', port: 0 });
const unix = (): Address => ({ scheme: 'unix', path: join(folder, `${++socketCount}.sock`) });

for (const [connecting, listening] of nativePairs) {
  const world = {
    connecting: engines[connecting].network,
    listening: engines[listening].network,
    hasSockets: true,
    networkSource: engines[connecting].source,
  };
  const name = `${connecting}–${listening}`;
  frameChannelContract(`${name} over TCP`, { ...world, freshAddress: tcp });
  frameChannelContract(`${name} over a Unix socket`, { ...world, freshAddress: unix });
}
