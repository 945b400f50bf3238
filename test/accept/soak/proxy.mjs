import { connect, createServer } from 'node:net';

/** How a connection may be spoilt. */
const faults = {
  /** Ends in the middle of a frame: some more bytes pass, then both sides see an end. */
  cut(pair, chance) {
    pair.leftBytes = chance.between(1, 200);
  },
  reset([client, server]) {
    client.resetAndDestroy();
    server.resetAndDestroy();
  },
  /** One side hears no more, the other still does. */
  halfClose(pair, chance) {
    pair[chance.between(0, 1)].end();
  },
  /** Nothing passes for a while. */
  stall([client, server], chance) {
    client.pause();
    server.pause();
    setTimeout(
      () => {
        client.resume();
        server.resume();
      },
      chance.between(50, 1_500),
    );
  },
};

/** Passes on what comes to a port of its own to `target`, a TCP address, until it is told to spoil it. */
export class Wire {
  address = '';
  #target;
  #pairs = new Set();
  #server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));

  constructor(target) {
    this.#target = new URL(target);
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.address = `tcp://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  /** Spoils one connection; false when there is none. */
  spoil(how, chance) {
    if (this.#pairs.size === 0) return false;
    const pair = [...this.#pairs][chance.between(0, this.#pairs.size - 1)];
    faults[how](pair, chance);
    return true;
  }

  close() {
    this.#server.close();
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  #accept(client) {
    const { hostname, port } = this.#target;
    const server = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    const pair = [client, server];
    pair.leftBytes = Infinity;
    this.#pairs.add(pair);
    this.#pass(client, server, pair);
    this.#pass(server, client, pair);
  }

  #pass(from, to, pair) {
    from.on('data', (bytes) => {
      const passed = bytes.subarray(0, pair.leftBytes);
      pair.leftBytes -= passed.length;
      if (!to.write(passed)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      if (pair.leftBytes > 0) return;
      for (const socket of pair) socket.destroySoon();
    });
    from.on('end', () => to.end());
    // The end of one is the end of both; why it ended is for the two to find out.
    from.on('error', () => {});
    from.on('close', () => {
      this.#pairs.delete(pair);
      to.destroySoon();
    });
  }
}
