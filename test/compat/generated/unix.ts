import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { closed, ended, gone, once, withFolder } from '../support.js';
import type { Generated } from './calls.js';

/** Paths of any kind for a server and for its client, which need not be the same. */
interface Paths {
  readonly listens: string;
  readonly connects: string;
  readonly options: object;
}

const paths = fc.oneof(
  fc.constantFrom('FOLDER/a', 'FOLDER/b', 'FOLDER/none/a', 'FOLDER', 'FOLDER/ä€', './'),
  fc.constantFrom(
    '\0paipai-compat-name',
    '\0',
    'FOLDER/a\0b',
    'FOLDER/a/',
    'FOLDER//a',
    '/dev/null',
  ),
  fc.integer({ min: 1, max: 80 }).map((bytes) => `FOLDER/${'x'.repeat(bytes)}`),
);

export const unixPaths: Generated<Paths> = {
  runCount: 120,
  inputs: fc
    .record({
      listens: paths,
      others: paths,
      isSame: fc.boolean(),
      options: fc.record(
        {
          readableAll: fc.boolean(),
          writableAll: fc.boolean(),
          exclusive: fc.boolean(),
          backlog: fc.constantFrom(0, 1, 10),
        },
        { requiredKeys: [] },
      ),
    })
    .map(({ listens, others, isSame, options }) => ({
      listens,
      connects: isSame ? listens : others,
      options,
    })),
  play: (net, recorder, { listens, connects, options }) =>
    withFolder(async (folder) => {
      const filled = (path: string): string => path.replace('FOLDER', folder);
      const server = recorder.server(
        'server',
        net.createServer((socket) => socket.end('hello')),
      );
      const outcome = Promise.race([once(server, 'listening'), once(server, 'error')]);
      const path = filled(listens);
      if (recorder.attempt('listen', () => server.listen({ path, ...options })) !== undefined) {
        await outcome;
      }
      recorder.note(
        'server',
        server.listening,
        server.address() === path,
        existsSync(join(folder, 'a')),
      );
      const client = recorder.attempt('connect', () => net.connect(filled(connects)));
      if (client !== undefined) {
        recorder.socket('client', client);
        await Promise.race([once(client, 'end'), closed(client)]);
        await gone(client);
      }
      if (server.listening) await ended(server);
      recorder.note('file', existsSync(join(folder, 'a')));
    }),
};
