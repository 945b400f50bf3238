// A proxy above TCP that changes single bits of what passes through it.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Transform } from 'node:stream';

/** @typedef {'up' | 'down'} Direction from whoever connects, and to them */

export class FlippingProxy {
  #server;
  #between;
  #bytesBefore;
  #waiters = [];
  /** Where to connect. */
  address;
  /** Bits flipped, at most one in each connection. */
  flips = 0;
  /** Connections with a flipped bit that stand all the same. */
  standing = 0;

  /** @param bytesBefore of a direction of a new connection: how many bytes pass before a bit is flipped; Infinity: none is */
  constructor({ between }, bytesBefore) {
    this.#between = between;
    this.#bytesBefore = bytesBefore;
  }

  /** Settles when it listens. `address` is of the form `tcp://host:port`. */
  async start(address) {
    const { hostname, port } = new URL(address);
    this.#server = createServer((near) => {
      const far = connect(Number(port), hostname);
      const connection = { isFlipped: false };
      const end = () => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) socket.on('error', end).on('close', end);
      near.once('close', () => {
        if (connection.isFlipped) this.standing--;
        for (const wake of this.#waiters.splice(0)) wake();
      });
      near.pipe(this.#flipper(connection, 'up')).pipe(far);
      far.pipe(this.#flipper(connection, 'down')).pipe(near);
    }).listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.address = `tcp://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  /** Whether every connection with a flipped bit comes to its end in this time. */
  async allEnd(boundMs) {
    const isLate = new Promise((resolve) => setTimeout(resolve, boundMs, true).unref());
    while (this.standing > 0) {
      const ended = new Promise((resolve) => this.#waiters.push(resolve));
      if (await Promise.race([ended, isLate])) return false;
    }
    return true;
  }

  close() {
    this.#server.close();
  }

  #flipper(connection, direction) {
    let left = this.#bytesBefore(direction);
    return new Transform({
      transform: (chunk, _encoding, done) => {
        if (left < chunk.length && !connection.isFlipped) {
          connection.isFlipped = true;
          this.flips++;
          this.standing++;
          chunk[left] ^= 1 << this.#between(0, 7);
        }
        left = Math.max(0, left - chunk.length);
        done(null, chunk);
      },
    });
  }
}
