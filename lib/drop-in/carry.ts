import { ChildProcess } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { TLSSocket } from 'node:tls';
import { debuglog } from 'node:util';
import { type NativeCore, nativeCoreOf } from '../native/handles.js';
import { loadNative } from '../native/load.js';
import { nobody, RawHandle, RawTcpHandle } from './handle.js';
import {
  type NodeHandle,
  ownerSymbol,
  readBufferOf,
  type ServerInternals,
  type SocketInternals,
} from './internals.js';

/**
 * Node opens connections, the addon carries them. Arguments, look-ups, attempts, listening and their errors are so Node's own; when a
 * connection stands, its handle is replaced by one over the same connection.
 */

const log = debuglog('paipainet');

let core: NativeCore | null | undefined;

/** The addon's sockets of this thread; null where there is no addon: Node's then carry everything. */
function coreOrNone(): NativeCore | null {
  if (core === undefined) {
    core = null;
    // Else all that the addon tells of would belong to the context of who connects first.
    const native = nobody.runInAsyncScope(loadNative);
    try {
      if (native.ok) core = nativeCoreOf(native.binding);
    } catch (thrown) {
      // What it asks for in the environment cannot be had.
      log('%s', thrown);
    }
  }
  return core;
}

/** In the place of `handle`, which is closed; null when that must stay, and is as it was. */
function replacementOf(handle: NodeHandle, isAccepted: boolean): RawHandle | null {
  const kind = handle.constructor.name;
  if ((kind !== 'TCP' && kind !== 'Pipe') || handle.fd < 0) return null;
  const carrier = coreOrNone();
  if (carrier === null) return null;
  const replacement =
    kind === 'TCP'
      ? new RawTcpHandle(carrier, handle, 'TCPWRAP', isAccepted)
      : new RawHandle(carrier, handle, 'PIPEWRAP', isAccepted);
  if (!replacement.isCarried) return null;
  handle.close();
  return replacement;
}

/** Sockets whose handle somebody below JavaScript holds on to. */
const heldByNode = new WeakSet<object>();

/**
 * Whether a session of HTTP/2 is on this socket: it looks at the handle before the socket connects, and gives it to its own native code
 * then. It is known by the name of its listener, since it leaves no other trace.
 */
function hasSession(socket: Socket): boolean {
  return socket.listeners('close').some(({ name }) => name === 'socketOnClose');
}

/** Gives a socket that has just connected, and has not read yet, to the addon. */
export function carryConnected(socket: Socket & SocketInternals): void {
  const handle = socket._handle as NodeHandle | null; // Node's own until now.
  if (handle === null || handle.reading || handle instanceof RawHandle) return;
  if (heldByNode.has(socket) || hasSession(socket)) return;
  const buffer = readBufferOf(socket);
  // No buffer yet, or none to speak of: Node knows what comes of that.
  if (buffer === true || buffer?.length === 0) return;
  const { onread } = handle;
  const isReferenced = handle.hasRef();
  const replacement = replacementOf(handle, false);
  if (replacement === null) return;
  if (replacement instanceof RawTcpHandle) replacement.mayConnectAgain = true;
  replacement.owner = socket;
  replacement.onread = onread;
  if (buffer !== null) replacement.useUserBuffer();
  if (!isReferenced) replacement.unref();
  socket._handle = replacement;
}

/**
 * Gives a socket back to Node, for what takes none but Node's own handles. Does nothing when it has one.
 * Throws as the system does.
 */
export function giveBack(socket: Socket): void {
  const internals = socket as Socket & SocketInternals;
  const { _handle: handle } = internals;
  if (!(handle instanceof RawHandle)) return;
  const own = handle.giveBack(!heldByNode.has(socket));
  Reflect.set(own, ownerSymbol, socket);
  internals._handle = own;
}

interface TlsInternals {
  _wrapHandle(wrap: unknown, handle: unknown, ...rest: unknown[]): unknown;
}

// TLS encrypts below JavaScript, on Node's own handles.
const tlsSocket = TLSSocket.prototype as unknown as TlsInternals;
const { _wrapHandle: wrapHandle } = tlsSocket;
tlsSocket._wrapHandle = function (wrap, handle, ...rest) {
  if (wrap === null || typeof wrap !== 'object') {
    return Reflect.apply(wrapHandle, this, [wrap, handle, ...rest]);
  }
  // It may still be connecting.
  heldByNode.add(wrap);
  const socket = wrap as Socket & SocketInternals; // Whose handle that is.
  giveBack(socket);
  return Reflect.apply(wrapHandle, this, [socket, socket._handle, ...rest]);
};

interface Channel {
  _send?: (message: unknown, handle: unknown, ...rest: unknown[]) => unknown;
}

/** What is sent to another process is a handle of Node's. */
function guardChannel(channel: Channel): void {
  const { _send: send } = channel;
  if (send === undefined) return;
  channel._send = function (message, handle, ...rest) {
    if (handle instanceof Socket) giveBack(handle);
    return Reflect.apply(send, this, [message, handle, ...rest]);
  };
}

interface Spawning extends Channel {
  spawn(...args: unknown[]): unknown;
}
const childProcess = ChildProcess.prototype as unknown as Spawning;
const { spawn } = childProcess;
childProcess.spawn = function (...args) {
  const [{ stdio } = {}] = args as [{ stdio?: unknown }?];
  for (const each of Array.isArray(stdio) ? stdio : []) if (each instanceof Socket) giveBack(each);
  const result = Reflect.apply(spawn, this, args);
  guardChannel(this);
  return result;
};
guardChannel(process as unknown as Channel);

/**
 * Whether a server speaks HTTP/2 in the open. Its sessions take any handle but Node's for a stream of JavaScript's (`JSStreamSocket`):
 * they leave Nagle's algorithm on, so that pieces of a message wait for each other's confirmation, and the server cannot close them.
 */
function speaksHttp2(server: Server): boolean {
  // No other server has settings that can be updated.
  return 'updateSettings' in server;
}

/** What a socket is made of that a server accepts. */
export type AcceptedOptions = SocketConstructorOpts & { handle: unknown };

/** Gives what `server` accepts from now on to the addon while `isOn`; `newSocket` is for sockets of another class than Node's own. */
export function carryAccepted(
  server: Server & ServerInternals,
  isOn: () => boolean,
  newSocket: ((options: AcceptedOptions) => Socket) | undefined,
): void {
  const { _handle: listening } = server;
  const onConnection = listening?.onconnection;
  if (listening === null || listening === undefined || onConnection === undefined) return;
  if (speaksHttp2(server)) return;
  listening.onconnection = function (error, client) {
    const isOurs = client !== undefined && !isLeftToNode(server) && isOn();
    const taken = isOurs ? replacementOf(client, true) : null;
    if (taken === null || newSocket === undefined) {
      Reflect.apply(onConnection, this, [error, taken ?? client]);
    } else {
      accept(server, taken, newSocket);
    }
  };
}

function isLeftToNode(server: Server & ServerInternals): boolean {
  const { maxConnections, _connections: count } = server;
  return (
    // Its sockets are about to be given to another process.
    server.pauseOnConnect === true ||
    // Those that are turned away; by a limit of 0 in Node 20 none.
    ((maxConnections ?? null) !== null && count >= maxConnections) ||
    (server.blockList ?? null) !== null
  );
}

const accepted = channel('net.server.socket');

/** What a server of Node's does with a connection that it takes, for a class of sockets that is not its own. */
function accept(
  server: Server & ServerInternals,
  handle: RawHandle,
  newSocket: (options: AcceptedOptions) => Socket,
): void {
  const socket = newSocket({
    handle,
    allowHalfOpen: server.allowHalfOpen,
    readable: true,
    writable: true,
    readableHighWaterMark: server.highWaterMark,
    writableHighWaterMark: server.highWaterMark,
  } as AcceptedOptions);
  if (handle instanceof RawTcpHandle) {
    if (server.noDelay) socket.setNoDelay(true);
    if (server.keepAlive) socket.setKeepAlive(true, server.keepAliveInitialDelay * 1000);
  }
  server._connections++;
  Object.assign(socket, { server, _server: server });
  server.emit('connection', socket);
  if (accepted.hasSubscribers) accepted.publish({ socket });
}
