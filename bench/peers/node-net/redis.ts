/** The case `redis`: ioredis against a server of the trial's own. */
import { join } from 'node:path';
import { freePort } from '../../support/addresses.js';
import { loadPackage } from '../../support/packages.js';
import { play } from '../../support/program.js';
import { asOrdinaryUser, programPath, serverFolder, startServer } from '../../support/programs.js';
import { countingClient } from '../../support/round-trips.js';

/** What is used of it. */
interface Ioredis {
  readonly Redis: new (
    options: object,
  ) => {
    incr(key: string): Promise<number>;
    get(key: string): Promise<string>;
    quit(): Promise<unknown>;
  };
}

await play({
  async server({ path }) {
    const folder = serverFolder();
    const file = join(folder, 'redis.sock');
    const port = await freePort();
    const where = ['--port', `${port}`, '--bind', '127.0.0.1', '--unixsocket', file];
    const args = [...where, '--save', '', '--appendonly', 'no', '--dir', folder];
    const command = asOrdinaryUser(programPath('redis-server'), args);
    const server = await startServer(command, folder, /Ready to accept connections/);
    const address = path === 'unix' ? file : `${port}`;
    return { address, close: () => void server.kill() };
  },

  async client(settings, address) {
    const { Redis } = loadPackage<Ioredis>('ioredis');
    const isPath = settings.path === 'unix';
    const redis = new Redis(
      isPath ? { path: address } : { host: '127.0.0.1', port: Number(address) },
    );
    return countingClient(settings, {
      next: () => redis.incr('counter'),
      last: async () => Number(await redis.get('counter')),
      close: async () => void (await redis.quit()),
    });
  },
});
