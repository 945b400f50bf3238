import type { Server, Socket } from 'node:net';
import type { Chunk } from '../native/handles.js';
import { type AcceptedOptions, carryAccepted, carryConnected } from './carry.js';
import { isPlainEncoding, RawHandle, RawTcpHandle } from './handle.js';
import type { ServerInternals, SocketInternals, WriteCallback } from './internals.js';
import { isReadyFor, plainWrite } from './short-cuts.js';

/** A socket that connects and is to be carried then. */
const wantsCarrier: unique symbol = Symbol('paipainet.wantsCarrier');

interface OwnSocket extends Socket, SocketInternals {
  [wantsCarrier]?: boolean;
}

/** What sockets do otherwise, as members of their prototype; the rest is done by `base`, Node's own. */
export type SocketMembers = Pick<
  OwnSocket,
  'connect' | '_unrefTimer' | 'write' | '_writeGeneric' | 'resetAndDestroy'
>;

/** @param isOn whether sockets that connect are to be carried */
export function socketMembersOver(
  base: Omit<SocketMembers, 'write'>,
  isOn: () => boolean,
): SocketMembers {
  const members = {
    connect(this: OwnSocket, ...args: unknown[]): OwnSocket {
      const connecting = Reflect.apply(base.connect, this, args) as OwnSocket;
      // Node takes what a socket of a class of its own writes with for something of an earlier connection.
      if (this.write === plainWrite()) this.write = members.write;
      // What encrypts has a handle that only Node's own can carry.
      this[wantsCarrier] = this.connecting && this.encrypted !== true && isOn();
      return connecting;
    },

    // Node calls it on every sign of life; the first after the connecting is the moment between that and whatever the socket does with it.
    _unrefTimer(this: OwnSocket): void {
      if (this[wantsCarrier] === true && !this.connecting) {
        this[wantsCarrier] = false;
        if (!this.destroyed) carryConnected(this);
      }
      base._unrefTimer.call(this);
    },

    write(this: OwnSocket, chunk: unknown, encoding?: unknown, done?: unknown): boolean {
      const handle = this._handle;
      if (
        handle instanceof RawHandle &&
        // When a callback is called, and what is told before it, Node's streams know best.
        typeof done !== 'function' &&
        !this.connecting &&
        this._writeGeneric === members._writeGeneric &&
        isReadyFor(this, chunk)
      ) {
        const textEncoding = encoding ?? this._writableState.defaultEncoding;
        // No callback either.
        if (isPlainEncoding(textEncoding)) {
          this._unrefTimer();
          if (handle.begin(chunk, textEncoding)) return true;
          try {
            return Reflect.apply(plainWrite(), this, [chunk, encoding, done]);
          } finally {
            handle.forgetBegun();
          }
        }
      }
      return Reflect.apply(plainWrite(), this, [chunk, encoding, done]);
    },

    _writeGeneric(
      this: OwnSocket,
      writev: boolean,
      data: unknown,
      encoding: string,
      callback: WriteCallback,
    ): unknown {
      const handle = this._handle;
      if (this.connecting || !(handle instanceof RawHandle)) {
        return base._writeGeneric.call(this, writev, data, encoding, callback);
      }
      this._pendingData = null;
      this._pendingEncoding = '';
      this._unrefTimer();
      // As Writable hands them to `_write` and `_writev`.
      if (writev) handle.writeAll(data as Chunk[], callback);
      else handle.write(data as Uint8Array, encoding as BufferEncoding, callback);
      return undefined;
    },

    resetAndDestroy(this: OwnSocket): OwnSocket {
      if (!(this._handle instanceof RawTcpHandle))
        return base.resetAndDestroy.call(this) as OwnSocket;
      this._reset();
      return this;
    },
  } as SocketMembers; // `connect` has more forms than its type can be written with.
  return members;
}

/** What servers do otherwise; `newSocket` is for sockets of another class than Node's own. */
export function serverMembersOver(
  base: Pick<ServerInternals, '_listen2'>,
  isOn: () => boolean,
  newSocket?: (options: AcceptedOptions) => Socket,
): Pick<ServerInternals, '_listen2'> {
  return {
    _listen2(this: Server & ServerInternals, ...args: unknown[]): void {
      Reflect.apply(base._listen2, this, args);
      // A server that decrypts gives its connections to TLS at once.
      if (this.setSecureContext === undefined) carryAccepted(this, isOn, newSocket);
    },
  };
}
