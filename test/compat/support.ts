import type { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type {
  AddressInfo,
  ListenOptions,
  NetConnectOpts,
  Server,
  ServerOpts,
  Socket,
} from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetModule, Recorder } from './recorder.js';
import type { Script } from './ways.js';

/** What scripts are made of. */

export type Scenes = Readonly<Record<string, Script>>;

/** The next such event; an error meanwhile is the recorder's. */
// What an event carries is known where it is awaited.
// biome-ignore lint/suspicious/noExplicitAny: as `events.once` has it.
export const once = (emitter: EventEmitter, event: string): Promise<any[]> =>
  new Promise((resolve) => emitter.once(event, (...values) => resolve(values)));

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Until nothing more is seen: both ends are in this process, so whatever is on its way arrives. */
export async function settle(recorder: Recorder): Promise<void> {
  for (let quietTurns = 0; quietTurns < 8; ) {
    const { signCount } = recorder;
    await turn();
    const isQuiet = recorder.signCount === signCount && !recorder.hasBytesUnderWay;
    quietTurns = isQuiet ? quietTurns + 1 : 0;
  }
}

export const closed = (...sockets: (Socket | Server)[]): Promise<unknown> =>
  Promise.all(
    sockets.map((each) => ('destroyed' in each && each.closed ? undefined : once(each, 'close'))),
  );

/** Listens, on 127.0.0.1 when nothing else is said; the port. */
export async function listening(server: Server, options: ListenOptions = {}): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', ...options });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
export async function freePort(net: NetModule): Promise<number> {
  const server = net.createServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');
  return port;
}

interface PairOptions {
  readonly server?: ServerOpts;
  readonly client?: Partial<NetConnectOpts>;
  /** Over a Unix socket. */
  readonly isUnix?: boolean;
  /** False: their data wait. */
  readonly reads?: boolean;
  /** False: how much the kernel takes is chance. */
  readonly counts?: boolean;
}

export interface Pair {
  readonly server: Server;
  readonly client: Socket;
  readonly accepted: Socket;
}

/** A server and one connection to it, both ends recorded; `accepted` before it reads. */
export async function pair(
  net: NetModule,
  recorder: Recorder,
  {
    server: serverOptions = {},
    client: clientOptions = {},
    isUnix,
    reads = true,
    counts = true,
  }: PairOptions = {},
): Promise<Pair> {
  const server = net.createServer(serverOptions);
  const accepting = new Promise<Socket>((resolve) =>
    server.once('connection', (socket) =>
      resolve(recorder.socket('accepted', socket, { reads, counts })),
    ),
  );
  const folder = isUnix === true ? newFolder() : undefined;
  const target =
    folder === undefined
      ? { port: await listening(server), host: '127.0.0.1' }
      : { path: join(folder, 's') };
  if (folder !== undefined) {
    server.listen(target.path);
    await once(server, 'listening');
    server.once('close', () => rmSync(folder, { recursive: true }));
  }
  const client = net.connect({ ...target, ...clientOptions } as NetConnectOpts);
  recorder.socket('client', client, { reads, counts });
  const accepted = await accepting;
  if (client.connecting) await once(client, 'connect');
  return { server, client, accepted };
}

export async function ended(server: Server, ...sockets: Socket[]): Promise<void> {
  server.close();
  await closed(server, ...sockets);
}

/** A connection with these options, and what each side does with it. */
export function between(
  script: (client: Socket, accepted: Socket, recorder: Recorder) => void | Promise<void>,
  options: PairOptions = {},
): Script {
  return async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, options);
    await script(client, accepted, recorder);
    await ended(server, client, accepted);
  };
}

/** A server for `script` that takes whatever comes, with its port and one that nobody listens on. */
export function withServer(
  script: (
    net: NetModule,
    recorder: Recorder,
    where: { readonly server: Server; readonly port: number; readonly refusedPort: number },
  ) => Promise<void>,
  options: ListenOptions = {},
): Script {
  return async (net, recorder) => {
    const refusedPort = await freePort(net);
    const server = net.createServer((socket) => socket.on('error', () => {}).resume());
    const port = await listening(server, options);
    await script(net, recorder, { server, port, refusedPort });
    await ended(server);
  };
}

/** For socket files; recorders write FOLDER for its name. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'paipai-compat-'));
}

export async function withFolder<Value>(
  action: (folder: string) => Promise<Value>,
): Promise<Value> {
  const folder = newFolder();
  try {
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Ends what a test has made of a socket, whatever state that is in. */
export async function gone(socket: Socket): Promise<void> {
  socket.destroy();
  await closed(socket);
}
