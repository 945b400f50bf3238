// What the programs of this folder share. Each does real work with one library, over whichever sockets its way gives it, and prints what
// it saw; `drop-in.mjs` beside the folder runs it each way and compares.
//
//   node [--import paipainet/register] PROGRAM '{ "way": "plain" | "register" | "net", "times": 1, ... }'

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import nodeNet from 'node:net';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import tls from 'node:tls';
import { RawHandle } from '../../../dist/drop-in/handle.js';

/** `times`: how often work is repeated that is worth repeating; the others are addresses of servers, by name. */
export const { way, times, ...servers } = JSON.parse(process.argv[2]);

/** `paipainet/net` where a library is to be handed its sockets; undefined where it makes them itself. */
export const net = way === 'net' ? (await import('paipainet/net')).default : undefined;
/** For work on bare sockets. */
export const sockets = net ?? nodeNet;

/** A key and a certificate for localhost. */
export const pem = readFileSync(new URL('../../compat/apps/localhost.pem', import.meta.url));
export const identity = { key: pem, cert: pem };
export const trust = { ca: pem, servername: 'localhost' };

/** Where connections of ours that are handed over come from; `options` as http and https give them. */
export function secureOver(options) {
  return tls.connect({ ...options, socket: net.connect(options) });
}

const carried = new Set();
const { readStart } = RawHandle.prototype;
RawHandle.prototype.readStart = function () {
  carried.add(this);
  return readStart.call(this);
};

const seen = {};

/** Notes a result, which must be the same each way. What is large is noted by its length and digest. */
export function see(name, value) {
  if (process.env.DBG) console.error(Math.round(performance.now()), name);
  if (Object.hasOwn(seen, name)) throw new Error(`"${name}" was seen before`);
  seen[name] = value;
}

/** Said when the process ends, which it does by itself. */
process.on('exit', () => console.log(JSON.stringify({ seen, carried: carried.size })));

export function digest(bytes) {
  return `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`;
}

/** Of a stream's contents, as `digest` has it. */
export async function digestOf(stream) {
  const hash = createHash('sha1');
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    hash.update(chunk);
  }
  return `${length} ${hash.digest('hex')}`;
}

/** Bytes that follow from `seed`, no two stretches alike. */
export function bytesOf(length, seed = 1) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** `count` blocks of 64 KiB, made as they are asked for. */
export function* blocksOf(count) {
  for (let i = 0; i < count; i++) yield bytesOf(64 * 1024, i);
}

/** Sends blocks over a stream that somebody repeats, and ends it when all have come back; says what came. */
export async function repeated(stream, count) {
  let left = count * 64 * 1024;
  const hash = createHash('sha1');
  const back = new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('data', (chunk) => {
      hash.update(chunk);
      left -= chunk.length;
      if (left <= 0) resolve(`${left} left, ${hash.digest('hex')}`);
    });
  });
  Readable.from(blocksOf(count)).pipe(stream, { end: false });
  const said = await back;
  stream.end();
  await finished(stream);
  return said;
}

/** Listens on loopback; resolves with the port. */
export async function listening(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

/** `server` itself, or in the way of `paipainet/net` a listener of ours that hands it its connections. */
export function listenerFor(server) {
  if (net === undefined) return server;
  const listener = net.createServer((socket) => server.emit('connection', socket));
  // One of http begins to look for time-outs then.
  return listener.on('listening', () => server.emit('listening'));
}
