import { deferred } from '../base/deferred.js';
import { isPaipaiError, type PaipaiError } from '../base/errors.js';
import type { Move } from '../cluster/placement/moves.js';
import type { PlacementNode } from '../cluster/placement/placement.js';
import { dropShards } from '../cluster/transfer/drop-shards.js';
import { lostShards } from '../cluster/transfer/lost-shards.js';
import type { Operation } from '../cluster/transfer/operation.js';
import { Pace } from '../cluster/transfer/pace.js';
import type { Holding } from './holding.js';
import type { RebalanceProgress } from './options.js';
import { changedMeanwhile } from './shard-work.js';
import type { StartedNet } from './started-net.js';
import type { RebalancePlan, RebalanceReport } from './types.js';

/** Nodes that come and go. */
export interface NodeSetChange {
  readonly add: readonly PlacementNode[];
  /** Ids. */
  readonly remove: ReadonlySet<string>;
}

export interface RebalanceCall {
  /** Ids of nodes that shall hold nothing in the end; `takers` of the net leave them out. */
  readonly leaving: ReadonlySet<string>;
  /** Infinity: no limit. */
  readonly bytesPerSecond: number;
  readonly onProgress: (progress: RebalanceProgress) => void;
}

/** What one batch came to. */
interface Step {
  readonly copies: number;
  readonly bytes: number;
  /** Copies that the map does not name any more, by node. */
  readonly retired: ReadonlyMap<string, readonly number[]>;
  /** Somebody else has changed the map, and nothing is given up. */
  readonly isConflict: boolean;
  /** Shards that were not brought in place, and will not be now. */
  readonly left: readonly number[];
  readonly failure: PaipaiError | undefined;
}

/** Work that needs the data alone waits for so much at most; a second's worth where there is a limit. */
const batchBytesMax = 64 * 1024 * 1024;

/** How often others may change the map of data in the meantime. */
const conflictsMax = 3;

/** Whoever waits for it does so without an end of its own. */
const unbounded: Pick<Operation, 'race'> = { race: (work) => work };

/**
 * Moves shards to where placement puts them, while others read and process them. A copy that is not needed any more is taken from the map, so
 * that nobody looks for it from then on, and dropped when all work has ended that may have seen it there.
 */
export class Rebalancer {
  readonly #net: StartedNet;
  readonly #holdings: ReadonlyMap<string, Holding>;
  /** One run after the other: two would drop what the other has just copied. Settles with the last. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @param holdings by data id */
  constructor(net: StartedNet, holdings: ReadonlyMap<string, Holding>) {
    this.#net = net;
    this.#holdings = holdings;
  }

  plan({ add, remove }: NodeSetChange): RebalancePlan {
    const after = [...this.#takersWithout(remove), ...add];
    const held = new Map<string, number>();
    const changed = new Map<string, number>();
    const count = (counts: Map<string, number>, nodeId: string, bytes: number): void => {
      counts.set(nodeId, (counts.get(nodeId) ?? 0) + bytes);
    };
    const moves = [...this.#holdings.values()].flatMap((holding) => {
      const { data, shards } = holding;
      for (const { bytes, holders } of shards.list()) {
        for (const nodeId of holders) count(held, nodeId, bytes);
      }
      return this.#net.keeper.moves(holding, after).map((move) => ({ dataId: data.id, ...move }));
    });
    let copies = 0;
    let bytes = 0;
    for (const move of moves) {
      copies += move.to.length;
      bytes += move.to.length * move.bytes;
      for (const nodeId of move.to) count(changed, nodeId, move.bytes);
      for (const nodeId of move.from) count(changed, nodeId, -move.bytes);
    }
    const heldBytes = [...held.values()].reduce((sum, each) => sum + each, 0);
    const ids = new Set([...after.map(({ id }) => id), ...held.keys()]);
    return {
      copies,
      bytes,
      part: heldBytes === 0 ? 0 : bytes / heldBytes,
      moves,
      perNode: Array.from(ids, (nodeId) => {
        const before = held.get(nodeId) ?? 0;
        return { nodeId, bytes: before, bytesAfter: before + (changed.get(nodeId) ?? 0) };
      }),
    };
  }

  /** Settles when everything is in place that can be, and what is not needed is dropped. Fails as `Net.rebalance` does. */
  async run(call: RebalanceCall, operation: Operation): Promise<RebalanceReport> {
    const before = this.#turn;
    const done = deferred<void>();
    this.#turn = before.then(() => done.promise);
    try {
      await operation.race(before);
      return await this.#run(call, operation);
    } finally {
      done.resolve();
    }
  }

  /** @throws PaipaiError PAIPAI_ERR_NODE_LOST for shards that lie on nobody but those in `leaving`, as far as nodes are there. */
  checkLeft(leaving: ReadonlySet<string>): void {
    for (const { data, shards } of this.#holdings.values()) {
      const left = shards
        .list()
        .filter(({ holders }) => holders.some((id) => leaving.has(id)))
        .filter(({ holders }) => this.#stayingOf(holders, leaving).length === 0);
      if (left.length > 0) throw lostShards(data.id, left);
    }
  }

  async #run(
    { leaving, bytesPerSecond, onProgress }: RebalanceCall,
    operation: Operation,
  ): Promise<RebalanceReport> {
    const { env } = this.#net;
    const startMs = env.clock.nowMs();
    const pace = new Pace(env, bytesPerSecond);
    const batchBytes = Math.min(batchBytesMax, bytesPerSecond);
    const drops: Promise<void>[] = [];
    let copies = 0;
    let bytes = 0;
    let dropped = 0;
    let failure: PaipaiError | undefined;
    for (const holding of this.#holdings.values()) {
      const left = new Set<number>();
      let conflicts = 0;
      for (let step: Step | undefined; ; ) {
        // Outside of the work on the data, so that nobody waits for it.
        await pace.take(step?.bytes ?? 0, operation.signal);
        operation.throwIfFailed();
        const isFirst = step === undefined;
        step = await holding.sideBySide(operation, async () => {
          const { maps } = this.#net;
          await holding.brought(operation);
          // What lies elsewhere by now needs no claim.
          if (isFirst && holding.shards.count > 0) await maps.look(holding, operation);
          const plan = (): Move[] => {
            const moves = this.#movesOf(holding, leaving).filter(({ index }) => !left.has(index));
            return firstOf(moves, batchBytes);
          };
          return maps.whileChanging(holding, () => this.#step(holding, leaving, plan, operation));
        });
        if (step === undefined) break;
        copies += step.copies;
        bytes += step.bytes;
        failure ??= step.failure;
        if (step.isConflict && ++conflicts > conflictsMax) throw changedMeanwhile(holding.data);
        for (const index of step.left) left.add(index);
        for (const indexes of step.retired.values()) dropped += indexes.length;
        drops.push(this.#drop(holding, step.retired));
        onProgress({ copies, bytes, dropped });
      }
    }
    await operation.race(Promise.all(drops));
    if (failure !== undefined) throw failure;
    const shardsShort = this.#shardsShort(leaving);
    return { copies, bytes, dropped, shardsShort, wallMs: env.clock.nowMs() - startMs };
  }

  /** Makes the moves that `plan` says; undefined when there are none. */
  async #step(
    holding: Holding,
    leaving: ReadonlySet<string>,
    plan: () => Move[],
    operation: Operation,
  ): Promise<Step | undefined> {
    const { maps } = this.#net;
    let batch = plan();
    if (batch.length === 0) return undefined;
    const isMapped = await maps.claim(holding, operation);
    // The map may say something else.
    if (isMapped) batch = plan();
    if (batch.length === 0) return undefined;
    let copies = 0;
    let bytes = 0;
    let failure: PaipaiError | undefined;
    try {
      await this.#net.keeper.copy(holding, batch, operation, (shard) => {
        copies++;
        bytes += shard.bytes;
      });
    } catch (thrown) {
      // Some could not be copied; what else there is goes on.
      if (operation.hasFailed || !isPaipaiError(thrown)) throw thrown;
      if (isPaipaiError(thrown, 'PAIPAI_ERR_STALE_MAP')) {
        await maps.claim(holding, operation, thrown.mapVersion);
        await maps.verify(holding, operation);
        return {
          copies,
          bytes,
          retired: new Map(),
          isConflict: true,
          left: [],
          failure: undefined,
        };
      }
      failure = thrown;
    }
    const indexes = new Set(batch.map(({ index }) => index));
    const retired = new Map<string, number[]>();
    const left: number[] = [];
    for (const { index, to, from } of this.#movesOf(holding, leaving)) {
      if (!indexes.has(index)) continue;
      if (to.length > 0) left.push(index);
      else for (const nodeId of from) retire(holding, index, nodeId, retired);
    }
    const isConflict = isMapped && !(await maps.publishRemoval(holding, operation));
    if (isConflict) retired.clear();
    return { copies, bytes, retired, isConflict, left, failure };
  }

  /** When nobody works on the data any more who may have seen them there. It never fails. */
  async #drop(holding: Holding, retired: ReadonlyMap<string, readonly number[]>): Promise<void> {
    const { data, shards } = holding;
    const { roster, maps } = this.#net;
    if (retired.size === 0) return;
    const publishedVersion = maps.ownVersionOf(holding);
    await holding.idle;
    // Beside others, but not while somebody brings them there again.
    await holding.sideBySide(unbounded, () =>
      dropShards(
        data,
        [...retired]
          .filter(([nodeId]) => roster.isLiving(nodeId))
          .map(([nodeId, indexes]) => ({
            link: roster.link(nodeId),
            shards: indexes.filter((index) => !shards.isHeldBy(index, nodeId)),
          })),
        // Nodes may have heard of a later one, which is as good when it is ours.
        maps.ownVersionOf(holding) || publishedVersion,
      ),
    );
  }

  #movesOf(holding: Holding, leaving: ReadonlySet<string>): Move[] {
    return this.#net.keeper.moves(holding, this.#takersWithout(leaving));
  }

  #shardsShort(leaving: ReadonlySet<string>): number {
    let count = 0;
    for (const { data, shards } of this.#holdings.values()) {
      for (const { holders } of shards.list()) {
        if (this.#stayingOf(holders, leaving).length < data.replicas) count++;
      }
    }
    return count;
  }

  #stayingOf(holders: readonly string[], leaving: ReadonlySet<string>): readonly string[] {
    return holders.filter((id) => this.#net.roster.isLiving(id) && !leaving.has(id));
  }

  #takersWithout(leaving: ReadonlySet<string>): PlacementNode[] {
    return this.#net.nodes.takers().filter(({ id }) => !leaving.has(id));
  }
}

function retire(
  { shards }: Holding,
  index: number,
  nodeId: string,
  retired: Map<string, number[]>,
): void {
  shards.remove(index, nodeId);
  const indexes = retired.get(nodeId);
  if (indexes === undefined) retired.set(nodeId, [index]);
  else indexes.push(index);
}

/** The first of `moves`, as many as copy `bytesMax` together, one at least. */
function firstOf(moves: readonly Move[], bytesMax: number): Move[] {
  let bytes = 0;
  const end = moves.findIndex((move, at) => {
    bytes += move.bytes * move.to.length;
    return at > 0 && bytes > bytesMax;
  });
  return end < 0 ? [...moves] : moves.slice(0, end);
}
