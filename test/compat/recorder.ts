import type * as net from 'node:net';

/** `node:net`, or ours. */
export type NetModule = Pick<
  typeof net,
  'Socket' | 'Server' | 'connect' | 'createServer' | 'createConnection'
>;

/** What a scenario sees, in order for each socket or server; bytes that came in pieces count as one. */
export class Recorder {
  readonly #logs = new Map<string, string[]>();

  note(name: string, ...what: unknown[]): void {
    const log = this.#logs.get(name) ?? [];
    this.#logs.set(name, log);
    log.push(what.map(textOf).join(' '));
  }

  /** Follows a socket from now on. */
  socket(name: string, socket: net.Socket): net.Socket {
    let data = '';
    const noteData = (): void => {
      if (data !== '') this.note(name, 'data', shortened(data));
      data = '';
    };
    const note = (...what: unknown[]): void => {
      noteData();
      this.note(name, ...what, stateOf(socket));
    };
    for (const event of ['connect', 'ready', 'end', 'finish', 'drain', 'timeout', 'lookup']) {
      socket.on(event, () => note(event));
    }
    socket.on('data', (chunk: Buffer | string) => {
      data += typeof chunk === 'string' ? chunk : chunk.toString('latin1');
    });
    socket.on('error', (error) => note('error', error));
    socket.on('close', (hadError) => {
      note('close', hadError, `read ${socket.bytesRead}`, `written ${socket.bytesWritten}`);
    });
    return socket;
  }

  /** What was noted, without what cannot be the same in two runs. */
  get logs(): Record<string, string[]> {
    return Object.fromEntries(
      [...this.#logs].map(([name, log]) => [
        name,
        log.map((line) =>
          line
            .replace(/\b(127\.0\.0\.1|::1|:):\d+/g, '$1:PORT')
            .replace(/paipai-compat-\w+/g, 'FOLDER')
            .replace(/port("?[=:])\d+/g, 'port$1PORT'),
        ),
      ]),
    );
  }
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
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}

function shortened(text: string): string {
  if (text.length <= 64) return JSON.stringify(text);
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (sum * 31 + text.charCodeAt(i)) >>> 0;
  return `${text.length} bytes, sum ${sum}`;
}
