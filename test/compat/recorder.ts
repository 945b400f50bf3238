import type * as net from 'node:net';

/** `node:net` or ours, with what has no types. */
export type NetModule = typeof net;

/** What each of several objects says, by its name. */
export type Logs = Record<string, string[]>;

const writeEvents = [
  'lookup',
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'connect',
  'ready',
  'finish',
] as const;

const readEvents = ['end', 'timeout', 'error'] as const;

/** What a script sees, in order for each socket or server; bytes that came in pieces count as one. */
export class Recorder {
  readonly #logs = new Map<string, string[]>();
  readonly #counts = new Map<string, number>();
  readonly #flushes: (() => void)[] = [];
  readonly #sockets: net.Socket[] = [];
  #signCount = 0;

  /** How much was seen so far: it stands still while nothing happens. */
  get signCount(): number {
    return this.#signCount;
  }

  /**
   * Whether the kernel has bytes of one of the sockets for another, which reads. As long as small writes wait for the confirmation of the
   * one before (Nagle), that is up to 40 ms.
   */
  get hasBytesUnderWay(): boolean {
    return this.#sockets.some((from) =>
      this.#sockets.some((to) => isPeer(from, to) && bytesBetween(from, to) > 0),
    );
  }

  note(name: string, ...what: unknown[]): void {
    this.#signCount++;
    const log = this.#logs.get(name) ?? [];
    this.#logs.set(name, log);
    log.push(what.map(textOf).join(' '));
  }

  /** What `action` returns or throws. */
  attempt<Value>(name: string, action: () => Value): Value | undefined {
    try {
      const value = action();
      this.note(
        name,
        typeof value === 'object' || typeof value === 'function' ? typeof value : value,
      );
      return value;
    } catch (thrown) {
      this.note(name, 'throws', thrown);
      return undefined;
    }
  }

  /**
   * Follows a socket from now on; a second one of that name is numbered.
   * @param options.reads false: without listening for data, which makes it flow
   * @param options.counts false: how many bytes come is chance
   */
  socket<Type extends net.Socket>(
    as: string,
    socket: Type,
    { reads = true, counts = true } = {},
  ): Type {
    const count = (this.#counts.get(as) ?? 0) + 1;
    this.#counts.set(as, count);
    const name = count === 1 ? as : `${as} (${count})`;
    this.#sockets.push(socket);
    let data = '';
    const flush = (): void => {
      if (data !== '') this.note(name, 'data', ...(counts ? [shortened(data)] : []));
      data = '';
    };
    this.#flushes.push(flush);
    const note = (...what: unknown[]): void => this.note(name, ...what, stateOf(socket));
    // Where in what comes they fall is chance, so they stand before it; how often a socket drains is chance too.
    for (const event of writeEvents) socket.on(event, (...values) => note(event, ...values));
    socket.once('drain', () => note('drain'));
    for (const event of readEvents) {
      socket.on(event, (...values) => {
        flush();
        note(event, ...values);
      });
    }
    if (reads) {
      socket.on('data', (chunk: Buffer | string) => {
        this.#signCount++;
        data += typeof chunk === 'string' ? chunk : chunk.toString('latin1');
      });
    }
    socket.on('close', (hadError) => {
      flush();
      const read = counts ? socket.bytesRead : socket.bytesRead > 0;
      note('close', hadError, `read ${read}`, `written ${socket.bytesWritten}`);
    });
    return socket;
  }

  /** Follows a server from now on; its sockets are named `accepted`, and numbered from the second on. */
  server<Type extends net.Server>(name: string, server: Type): Type {
    for (const event of ['listening', 'error', 'close', 'drop']) {
      server.on(event, (...values) => this.note(name, event, ...values, server.listening));
    }
    return server;
  }

  /** What nobody catches is the log's, until what this returns is called. */
  takeUncaught(): () => void {
    const given = (['uncaughtException', 'unhandledRejection'] as const).map((event) => {
      const others = process.listeners(event as 'uncaughtException');
      const note = (thrown: unknown): void => this.note(event, thrown);
      process.removeAllListeners(event);
      process.on(event, note);
      return () => {
        process.off(event, note);
        for (const other of others) process.on(event, other);
      };
    });
    return () => {
      for (const giveBack of given) giveBack();
    };
  }

  /** What was noted, without what cannot be the same in two runs. */
  get logs(): Logs {
    for (const flush of this.#flushes) flush();
    return Object.fromEntries(
      [...this.#logs].map(([name, log]) => [
        name,
        log.map((line) =>
          line
            .replace(/(\d+\.\d+\.\d+\.\d+|::1|::|localhost|some\.name)([: ])\d{4,5}\b/g, '$1$2PORT')
            .replace(/paipai-compat-\w+/g, 'FOLDER')
            .replace(/port("?[=:])\d+/gi, 'port$1PORT'),
        ),
      ]),
    );
  }
}

function isPeer(one: net.Socket, other: net.Socket): boolean {
  const { localPort, remotePort } = one;
  return (
    localPort !== undefined && localPort === other.remotePort && remotePort === other.localPort
  );
}

/** Bytes that the kernel was given by `from` and `to` has not got; 0 when it does not read. */
function bytesBetween(from: net.Socket, to: net.Socket): number {
  const [giver, taker] = [from, to].map((socket) => (socket as never as WithHandle)._handle);
  if (!giver || !taker?.reading) return 0;
  return giver.bytesWritten - giver.writeQueueSize - taker.bytesRead;
}

/** What Node and ours keep behind a socket until it is destroyed. */
interface WithHandle {
  readonly _handle: {
    readonly reading: boolean;
    readonly bytesRead: number;
    readonly bytesWritten: number;
    readonly writeQueueSize: number;
  } | null;
}

function stateOf(socket: net.Socket): string {
  const { connecting, pending, readyState, destroyed, readableEnded, writableEnded } = socket;
  const flags = { connecting, pending, destroyed, readableEnded, writableEnded };
  const set = Object.entries(flags).flatMap(([name, value]) => (value ? [name] : []));
  return `(${[readyState, ...set].join(', ')})`;
}

function textOf(value: unknown): string {
  if (value instanceof Error) {
    const { name, message, code, errno, syscall, address, port } =
      value as NodeJS.ErrnoException & {
        address?: string;
        port?: number;
      };
    const nested = value instanceof AggregateError ? value.errors.map(textOf).join('; ') : '';
    return `${name} ${code} '${message}' errno=${errno} syscall=${syscall} address=${address} port=${port} ${nested}`;
  }
  if (typeof value === 'string') return value;
  if (typeof value === 'symbol' || typeof value === 'function' || typeof value === 'bigint') {
    return String(value.valueOf());
  }
  return JSON.stringify(value) ?? 'undefined';
}

export function shortened(text: string): string {
  if (text.length <= 64) return JSON.stringify(text);
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (sum * 31 + text.charCodeAt(i)) >>> 0;
  return `${text.length} bytes, sum ${sum}`;
}
