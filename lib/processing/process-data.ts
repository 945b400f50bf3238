import {
  type Assignment,
  Balancer,
  type BalancingStrategy,
} from '../cluster/balancing/balancer.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Progress, TransferReport } from '../cluster/transfer/report.js';
import { type Returns, type Transfer, transferData } from '../cluster/transfer/transfer-data.js';
import type { ShardCut } from '../data/shard.js';
import { Crew } from './crew.js';
import { gather } from './gather.js';
import type { HeldCut } from './lane.js';
import { NodeProcessing, type ProcessingJob } from './node-processing.js';
import type { ProcessResult } from './report.js';
import { Schedule, type ScheduleOptions } from './schedule.js';

/** Processing seen from the client: over shards that lie on the nodes, or over shards that pass through them. */

export interface ProcessingCall
  extends Pick<
    ScheduleOptions,
    'env' | 'weightOf' | 'cpuLoadOf' | 'backups' | 'retries' | 'onCopyFailure'
  > {
  readonly job: Omit<ProcessingJob, 'drop' | 'limit' | 'standIn'>;
  readonly strategy: BalancingStrategy;
  /** How many handlers run at once on a node, 1 or more. */
  readonly workersOf: (nodeId: string) => number;
  /** How many shards a node works on at once; undefined: as many as it has workers. */
  readonly concurrency: number | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Shards that lie on nodes. */
export interface StoredShards {
  /** Nodes that may process some. */
  readonly links: readonly NodeLink[];
  /** 1 or more, each with one of these nodes among its holders. */
  readonly shards: readonly HeldCut[];
}

/**
 * Has each shard processed by one of `links` that holds it; nothing is dropped. Shards of a node that goes away, of a copy that came to harm,
 * or whose handler failed where there are retries, are processed by others.
 * Fails with the end of the operation, or with the failures of nodes: the first, and as its cause all that come in a moment; nothing is under
 * way then.
 */
export async function processStored(
  call: ProcessingCall,
  { links, shards }: StoredShards,
): Promise<ProcessResult> {
  const totalBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  return processOn(
    call,
    links,
    false,
    () => totalBytes,
    async (schedule) => {
      await schedule.process(shards);
      return undefined;
    },
  );
}

/** A transfer as far as it is the same whether shards stay where they come or not. */
export type PassingTransfer = Omit<
  Transfer,
  'place' | 'confirm' | 'returns' | 'writingBytesMax' | 'onStored' | 'onProgress'
>;

/** Few shards travel at once: a node should have its first one soon, and the rest while it works. */
const writingBytesMax = 4 * 1024 * 1024;

/** What a node has processed and not told is gone with it. */
const noReturns: Returns = {
  isAwaited: () => false,
  linkOf: () => undefined,
  wait: () => Promise.resolve(false),
};

/**
 * Sends each shard to the node that the strategy says, has it processed there and dropped, and moves on: what is under way, and with it the
 * memory of either side, is bounded whatever the length of the data.
 */
export async function processPassing(
  call: ProcessingCall,
  transfer: PassingTransfer,
): Promise<ProcessResult> {
  const { source } = transfer.cargo;
  const spread = new PassingSpread(call, transfer.links, () => source.sizeBytes);
  return processOn(
    call,
    transfer.links,
    true,
    () => source.sizeBytes,
    (schedule) =>
      transferData({
        ...transfer,
        place: (cut) => spread.begin(cut),
        confirm: 1,
        returns: noReturns,
        writingBytesMax,
        // Each passes through one node alone.
        async onStored(cut, nodeId) {
          await schedule.process([{ ...cut, holders: [nodeId] }]);
          spread.end(cut);
        },
      }),
  );
}

/**
 * What a node has before it, for each of its workers, when little is left to give away: two shards, so that it is never idle, and
 * as many more as are worth a message. A small shard may be long work: those that wait are few enough to be waited for.
 */
const aheadShards = 2;
const aheadBytes = 8 * 1024 * 1024;
const aheadSmallShards = 32;

/** A node, and what has set out for it and does not count yet. */
interface PassingLane {
  readonly id: string;
  readonly weight: number;
  readonly workers: number;
  shards: number;
  bytes: number;
}

/**
 * Who gets which shard, from when it sets out until its value counts. Nobody looks for it later, so that it may go to whoever
 * has least to do. What has set out stays where it is: so the less is left, the less each node has before it, and all end together.
 */
class PassingSpread {
  readonly #call: ProcessingCall;
  readonly #lanes: ReadonlyMap<string, PassingLane>;
  readonly #sizeBytes: () => number | undefined;
  readonly #balancer: Balancer;
  readonly #underWay = new Map<number, { readonly lane: PassingLane; assignment: Assignment }>();
  #begunBytes = 0;
  /** Goes on with the shard that waits for a node with room. */
  #onRoom: (() => void) | undefined;

  constructor(
    call: ProcessingCall,
    links: readonly NodeLink[],
    sizeBytes: () => number | undefined,
  ) {
    const { weightOf, workersOf, concurrency = Infinity, job } = call;
    this.#call = call;
    this.#lanes = new Map(
      links.map(({ nodeId: id }) => {
        const workers = Math.min(workersOf(id), concurrency);
        return [id, { id, weight: weightOf(id), workers, shards: 0, bytes: 0 }];
      }),
    );
    this.#sizeBytes = sizeBytes;
    this.#balancer = new Balancer(call.strategy, call.env);
    job.operation.signal.addEventListener('abort', () => this.#goOn(), { once: true });
  }

  /** The id of the node that gets the shard, as soon as one has room for it, or when the operation has failed. One call at a time. */
  begin(cut: ShardCut): [string] | Promise<[string]> {
    const lanes = this.#withRoom(cut);
    if (lanes.length > 0) return [this.#assign(cut, lanes)];
    return new Promise((resolve) => {
      this.#onRoom = () => {
        const free = this.#withRoom(cut);
        if (free.length === 0) return;
        this.#onRoom = undefined;
        resolve([this.#assign(cut, free)]);
      };
    });
  }

  end({ index, bytes }: ShardCut): void {
    const { lane, assignment } = this.#underWay.get(index) ?? {};
    if (lane === undefined) return;
    this.#underWay.delete(index);
    assignment?.end('done');
    lane.shards--;
    lane.bytes -= bytes;
    this.#goOn();
  }

  #goOn(): void {
    this.#onRoom?.();
  }

  #withRoom({ bytes }: ShardCut): PassingLane[] {
    const { strategy, job } = this.#call;
    const lanes = [...this.#lanes.values()];
    // Turns are the same whoever is slow, and who asks after a failure is not to wait.
    if (strategy === 'roundRobin' || job.operation.hasFailed) return lanes;
    const leftBytes = (this.#sizeBytes() ?? Infinity) - this.#begunBytes;
    const share = leftBytes / (2 * lanes.length);
    return lanes.filter((lane) => {
      const { workers, shards } = lane;
      if (shards < workers * aheadShards) return true;
      const isFew = shards < workers * aheadSmallShards;
      return lane.bytes + bytes <= (isFew ? Math.max(share, workers * aheadBytes) : share);
    });
  }

  #assign({ index, bytes }: ShardCut, lanes: readonly PassingLane[]): string {
    const { cpuLoadOf } = this.#call;
    for (const { id } of lanes) {
      const load = cpuLoadOf(id);
      if (load !== undefined) this.#balancer.reportCpuLoad(id, load);
    }
    const assignment = this.#balancer.assign(lanes);
    const lane = this.#lanes.get(assignment.nodeId) as PassingLane; // The balancer gives one of those it was given.
    lane.shards++;
    lane.bytes += bytes;
    this.#begunBytes += bytes;
    this.#underWay.set(index, { lane, assignment });
    return lane.id;
  }
}

async function processOn(
  call: ProcessingCall,
  links: readonly NodeLink[],
  drop: boolean,
  totalBytes: () => number | undefined,
  work: (schedule: Schedule) => Promise<TransferReport | undefined>,
): Promise<ProcessResult> {
  const { env, job, strategy, concurrency, onProgress } = call;
  const { operation, dataId, handler } = job;
  const crew = new Crew(env, operation);
  const startMs = env.clock.nowMs();
  let bytes = 0;
  let shards = 0;
  const onProcessed = (cuts: readonly ShardCut[]): void => {
    for (const cut of cuts) bytes += cut.bytes;
    shards += cuts.length;
    onProgress?.({ dataId, bytes, totalBytes: totalBytes(), shards });
  };
  const limit =
    concurrency === undefined
      ? undefined
      : { jobId: Buffer.from(env.random.bytes(16)).toString('hex'), concurrency };
  const nodes: NodeProcessing[] = links.map(
    (link) =>
      new NodeProcessing(link, {
        ...job,
        drop,
        limit,
        standIn: (gone) => nodes.find((node) => node !== gone && node.isThere),
      }),
  );
  const schedule = new Schedule({
    ...call,
    operation,
    crew,
    dataId,
    nodes,
    balancer: new Balancer(strategy, env),
    takesOver: strategy !== 'roundRobin',
    onProcessed,
  });
  const onFailure = (): void => {
    schedule.stop(operation.signal.reason);
  };
  operation.signal.addEventListener('abort', onFailure, { once: true });
  try {
    operation.throwIfFailed();
    const transfer = await work(schedule);
    await crew.idle();
    const busy = nodes.filter((node) => node.shards > 0);
    const { value, perNode } = await gather(busy, handler, crew, () => schedule.mergerOf(busy));
    operation.throwIfFailed();
    const wallMs = env.clock.nowMs() - startMs;
    const reports = busy.map((node) => ({
      nodeId: node.link.nodeId,
      shards: node.shards,
      bytes: node.bytes,
      timeMs: node.timeMs,
    }));
    const sumMs = reports.reduce((sum, { timeMs }) => sum + timeMs, 0);
    const report = {
      dataId,
      handler,
      bytes,
      shards,
      perNode: reports,
      retries: schedule.retries,
      backups: schedule.backups,
      sumMs,
      wallMs,
      speedUp: sumMs / wallMs,
    };
    return { value, perNode, report, ...(transfer === undefined ? {} : { transfer }) };
  } catch (thrown) {
    operation.fail(thrown);
    operation.throwIfFailed();
    throw thrown;
  } finally {
    operation.signal.removeEventListener('abort', onFailure);
  }
}
