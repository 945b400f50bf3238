import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Address } from '../../dist/transport/address.js';
import { MemoryNetwork } from '../../dist/transport/memory-network.js';
import { PortableNetwork } from '../../dist/transport/portable-network.js';
import { frameChannelContract } from './frame-channel.js';

const folder = mkdtempSync(join(tmpdir(), 'paipainet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let socketCount = 0;
const tcp = (): Address => ({ scheme: 'tcp', host: '127.0.0.1', port: 0 });
const unix = (): Address => ({ scheme: 'unix', path: join(folder, `${++socketCount}.sock`) });

const memory = new MemoryNetwork();
frameChannelContract('memory', {
  connecting: memory,
  listening: memory,
  freshAddress: tcp,
  hasSockets: false,
});

const portableUrl = new URL('../../dist/transport/portable-network.js', import.meta.url).href;
const portable = {
  connecting: new PortableNetwork(),
  listening: new PortableNetwork(),
  hasSockets: true,
  networkSource: `new (await import(${JSON.stringify(portableUrl)})).PortableNetwork()`,
};
frameChannelContract('portable over TCP', { ...portable, freshAddress: tcp });
frameChannelContract('portable over a Unix socket', { ...portable, freshAddress: unix });
