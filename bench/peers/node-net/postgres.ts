/** The case `postgres`: pg against a server of the trial's own, each number a prepared statement. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '../../support/addresses.js';
import { loadPackage } from '../../support/packages.js';
import { play } from '../../support/program.js';
import { asOrdinaryUser, programPath, serverFolder, startServer } from '../../support/programs.js';
import { countingClient } from '../../support/round-trips.js';

/** What is used of it. */
interface Pg {
  readonly Client: new (
    options: object,
  ) => {
    connect(): Promise<void>;
    query(query: string | object): Promise<{ rows: [{ number: string }] }>;
    end(): Promise<void>;
  };
}

const next = { name: 'next', text: "select nextval('counter') as number" };

await play({
  async server({ path }) {
    const folder = serverFolder();
    const data = join(folder, 'data');
    const port = await freePort();
    const create = ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'];
    const [file, ...args] = asOrdinaryUser(programPath('initdb'), create);
    const { status, stderr } = spawnSync(file, args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`initdb: ${stderr}`);
    const settings = {
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: folder,
      fsync: 'off',
      // Nothing of its own beside what is asked.
      autovacuum: 'off',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const command = asOrdinaryUser(programPath('postgres'), ['-D', data, ...options]);
    const server = await startServer(command, folder, /ready to accept connections/);
    const host = path === 'unix' ? folder : '127.0.0.1';
    return { address: JSON.stringify({ host, port }), close: () => void server.kill('SIGQUIT') };
  },

  async client(settings, address) {
    const { Client } = loadPackage<Pg>('pg');
    const where = JSON.parse(address) as object;
    const client = new Client({ ...where, user: 'postgres', database: 'postgres' });
    await client.connect();
    await client.query('create sequence counter');
    const numberOf = async (query: string | object): Promise<number> =>
      Number((await client.query(query)).rows[0].number);
    return countingClient(settings, {
      next: () => numberOf(next),
      last: () => numberOf('select last_value as number from counter'),
      close: () => client.end(),
    });
  },
});
