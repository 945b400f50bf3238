import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * The built code in a folder of its own, so that a simulation can change what lies around it. It runs as it is shipped but for three things:
 * what it takes from outside comes from the simulation, limits are so low that little data reach them, and a planted bug, if there is one.
 */

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** Whole files that stand between the code and the machine. `host` is set by the simulation, `host.process` before anything is started. */
const outside = {
  'simulation.js': `
    export const host = {};
    /** Instead of a thread. */
    export class Worker { constructor(_entry, { workerData }) { return host.startWorker(workerData); } }
    /** For the one file of a MapReduce, into which nothing is written below its limit of memory. */
    const none = () => { throw new Error('a simulated MapReduce stays in memory'); };
    export const mkdtempSync = (path) => path;
    export const openSync = () => 0;
    export const closeSync = () => {};
    export const rmdirSync = () => {};
    export const unlinkSync = () => {};
    export { none as read, none as readSync, none as write, none as writeSync };`,
  'node/real-env.js': `
    import { host } from '../simulation.js';
    export const createRealEnv = () => host.process.env;`,
  'node/select-network.js': `
    import { host } from '../simulation.js';
    import { crc32c } from '../wire/crc32c.js';
    import { decodeShardHeader, encodeShardHeader } from '../wire/shard-header.js';
    export const engineChoices = ['auto', 'native', 'js'];
    export const selectEngine = () => ({
      name: 'js',
      reason: 'it is simulated',
      network: host.process.network,
      io: null,
      crc32c,
      shardCodec: { encode: encodeShardHeader, decode: decodeShardHeader },
      adviseShardMemory() {},
    });`,
  'store/files-store.js': `
    import { host } from '../simulation.js';
    import { DurableStore } from './durable-store.js';
    export const openFilesStore = (path, options) => DurableStore.open(host.openMedium(path), options);`,
  'coordination/local/log-journal.js': `
    import { host } from '../../simulation.js';
    export class LogJournal { constructor(path) { return host.openJournal(path); } }`,
};

const rewired = [
  ['processing/worker-pool.js', "'node:worker_threads'", "'../simulation.js'"],
  ['processing/map-reduce/shuffle-space.js', "'node:fs'", "'../../simulation.js'"],
];

/** Limits as a few kilobytes meet them: [file, what stands there, what stands there instead]. */
const lowered = [
  ['session/settings.js', '?? 64 * mebi, mebi,', '?? 8 * kibi, kibi,'],
  ['session/settings.js', '?? mebi, 64 * kibi,', '?? 2 * kibi, kibi,'],
  ['session/credit.js', 'worthwhileBytes = 64 * 1024', 'worthwhileBytes = 256'],
  ['session/stream-writer.js', 'underWayBytesMax = 2 * 1024 * 1024', 'underWayBytesMax = 2 * 1024'],
  ['session/stream-writer.js', 'pieceBytesMax = 1024 * 1024', 'pieceBytesMax = 1024'],
  ['transport/limits.js', 'bulkChunkBytes = 128 * 1024', 'bulkChunkBytes = 512'],
  ['transport/memory-channel.js', 'chunksPerTurn = 4', 'chunksPerTurn = 2'],
  ['node/node-service.js', 'incomingBytesMax = 64 * 1024 * 1024', 'incomingBytesMax = 16 * 1024'],
  ['cluster/transfer/node-link.js', 'nodeBytesMax = 32 * 1024 * 1024', 'nodeBytesMax = 16 * 1024'],
  [
    'cluster/transfer/node-link.js',
    'nodeBytesLeast = 4 * 1024 * 1024',
    'nodeBytesLeast = 4 * 1024',
  ],
  ['cluster/transfer/node-link.js', 'allBytesMax = 64 * 1024 * 1024', 'allBytesMax = 32 * 1024'],
  ['cluster/transfer/node-link.js', 'nodeShardsMax = 64', 'nodeShardsMax = 6'],
  ['cluster/transfer/fetch-shards.js', 'shardsInFlightMax = 16', 'shardsInFlightMax = 4'],
  [
    'cluster/transfer/repair-shards.js',
    'passingBytesMax = 64 * 1024 * 1024',
    'passingBytesMax = 8 * 1024',
  ],
  ['cluster/transfer/repair-shards.js', 'passingShardsMax = 64', 'passingShardsMax = 4'],
  ['cluster/transfer/messages.js', 'shardsPerListMax = 100_000', 'shardsPerListMax = 7'],
  ['processing/lane.js', 'requestShardsMax = 1_024', 'requestShardsMax = 4'],
  ['processing/process-data.js', 'writingBytesMax = 4 * 1024 * 1024', 'writingBytesMax = 512'],
  ['processing/process-data.js', 'aheadBytes = 8 * 1024 * 1024', 'aheadBytes = 512'],
  ['processing/process-data.js', 'aheadSmallShards = 32', 'aheadSmallShards = 3'],
  ['processing/node-processing.js', 'partsMax = 32', 'partsMax = 3'],
  ['processing/map-reduce/map-phase.js', 'taskBytesMin = 1024 * 1024', 'taskBytesMin = 1024'],
];

/** @param withWorld false for code that takes nothing from outside */
export async function withShippedCode({ bug, withWorld = true } = {}, use) {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-simulated-'));
  const edit = (where, from, to) => {
    const { path, before, behind } = placeOf(folder, where, from);
    writeFileSync(path, before + to + behind);
  };
  try {
    cpSync(dist, folder, {
      recursive: true,
      filter: (path) => !/\.d\.ts$|tsbuildinfo$|\/dist\/(bench|cli|drop-in)$/.test(path),
    });
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    if (withWorld) {
      for (const [file, text] of Object.entries(outside)) writeFileSync(join(folder, file), text);
      for (const [file, from, to] of [...rewired, ...lowered]) edit(file, from, to);
    }
    for (const { file, from, to } of bug === undefined ? [] : [bug, ...(bug.also ?? [])]) {
      edit(file, from, to);
    }
    symlinkSync(modules, join(folder, 'node_modules'));
    const load = (file) => import(pathToFileURL(join(folder, file)).href);
    return await use(load);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws Error when the built code has no place for the bug, or several. */
export function checkPlaces({ file, from, also = [] }) {
  for (const place of [{ file, from }, ...also]) placeOf(dist, place.file, place.from);
}

/** The only place for a change, with the text around it. */
function placeOf(root, where, from) {
  const places = filesIn(root, where).flatMap((path) => {
    const pieces = readFileSync(path, 'utf8').split(from);
    return pieces.slice(1).map((_, at) => ({
      path,
      before: pieces.slice(0, at + 1).join(from),
      behind: pieces.slice(at + 1).join(from),
    }));
  });
  const [place] = places;
  if (places.length === 1) return place;
  throw new Error(`${where} has ${places.length} places, not one, for: ${from}`);
}

/** Paths of the file, or of all built files below a folder, which ends in a slash. */
function filesIn(root, where) {
  if (!where.endsWith('/')) return [join(root, where)];
  return readdirSync(join(root, where), { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(root, where, name));
}
