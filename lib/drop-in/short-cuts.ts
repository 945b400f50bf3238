import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { SocketInternals } from './internals.js';

/**
 * Most of what passes through a socket meets a stream at rest: nothing buffered on either side, a listener for `data`, nobody who has
 * replaced a method. There these do in one step what Node's streams do in several, to the same effect; else they leave it to those.
 */

type AnySocket = Socket & SocketInternals;

const { push, write } = Duplex.prototype;
const { _read: read, _write, write: socketWrite } = Socket.prototype;

/** What `write` of a socket is that takes no short cut. */
export function plainWrite(): Duplex['write'] {
  // Somebody may have replaced the one of all sockets before this was loaded, or of all streams since.
  return socketWrite === write ? Duplex.prototype.write : socketWrite;
}

/** Hands on what has come. False: it is buffered, and enough of it. */
export function passOn(socket: AnySocket, chunk: Buffer): boolean {
  const { _readableState: state } = socket;
  const isAtRest =
    state.flowing === true &&
    state.length === 0 &&
    !state.sync &&
    !state.ended &&
    state.decoder === null &&
    state.awaitDrainWriters === null &&
    socket.push === push &&
    socket._read === read &&
    socket.listenerCount('data') > 0;
  if (!isAtRest) return socket.push(chunk);
  state.dataEmitted = true;
  socket.emit('data', chunk);
  return true;
}

/** Whether the next write of `chunk` would go straight through to the handle, and be told of as done. */
export function isReadyFor(socket: AnySocket, chunk: unknown): chunk is string | Uint8Array {
  const { _writableState: state } = socket;
  return (
    state.corked === 0 &&
    (typeof chunk === 'string' || chunk instanceof Uint8Array) &&
    plainWrite() === write &&
    socket._write === _write &&
    state.length === 0 &&
    !state.writing &&
    // Of an earlier connection, too.
    !state.needDrain &&
    !state.ending &&
    !state.destroyed &&
    state.errored === null &&
    state.constructed &&
    chunk.length > 0 &&
    chunk.length < state.highWaterMark
  );
}
