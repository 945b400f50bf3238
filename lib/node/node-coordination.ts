import { join } from 'node:path';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { isLivingMember, type NetMember } from '../cluster/membership/member-list.js';
import { MapFences } from '../cluster/transfer/map-fences.js';
import { LocalCoordinator } from '../coordination/local/local-coordinator.js';
import { LogJournal } from '../coordination/local/log-journal.js';
import { QuorumCoordinator } from '../coordination/quorum/quorum-coordinator.js';
import { checkQuorum } from '../coordination/quorum/quorum-options.js';
import type { AskAcceptor } from '../coordination/quorum/register.js';
import { SlotsFile } from '../coordination/quorum/slots-file.js';
import { CoordinatorService } from '../coordination/serve-coordinator.js';
import type { DurableChoice, StoreChoice } from '../store/open-store.js';
import { RecordStore } from '../transactions/record-store.js';

/** Beside the shards, in the folder that the store has locked. */
const folderName = 'coordination';
const fencesName = 'fences';
const quorumName = 'quorum';
const recordsName = 'records';
/** No table changes as often, and 2^53 of these last for 278 years. */
const versionsPerMs = 1_024;

/**
 * The coordinator that a node serves: in memory, or in the folder of its store, which is open.
 * @param isEmbedded nobody comes back to one that was started anew
 * Fails: PAIPAI_ERR_STORE_FAILED.
 */
export async function openCoordination(
  env: Pick<Env, 'timers' | 'clock' | 'random'>,
  store: StoreChoice = 'memory',
  isEmbedded = false,
): Promise<CoordinatorService> {
  // One that begins with nothing, as when its folder is gone, must not give versions again that the one before it gave.
  const startVersion = isEmbedded ? 0 : Math.floor(env.clock.wallMs()) * versionsPerMs;
  if (store === 'memory') {
    return new CoordinatorService(await LocalCoordinator.open(env, { startVersion }));
  }
  const journal = new LogJournal(join(folderOf(store), folderName));
  return new CoordinatorService(await LocalCoordinator.open(env, { startVersion, journal }));
}

/**
 * A node of a quorum, which votes in the folder of its store, which is open; one that is not among those who begin votes when it has taken the place of one.
 * Fails: PAIPAI_ERR_INVALID_ARGUMENT for a quorum that is none, or without a disk; PAIPAI_ERR_STORE_FAILED.
 */
export async function openQuorum(
  env: Pick<Env, 'timers' | 'clock' | 'random'>,
  store: StoreChoice = 'memory',
  nodeId: string,
  nodeIds: readonly string[],
  ask: AskAcceptor,
): Promise<QuorumCoordinator> {
  const quorum = checkQuorum(nodeIds);
  if (store === 'memory') {
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_ARGUMENT',
      'a member of a quorum needs a store on disk: without its memory it must not vote again',
    );
  }
  const disk = new SlotsFile(join(folderOf(store), quorumName));
  return QuorumCoordinator.open({ env, nodeId, nodeIds: quorum, disk, ask });
}

/** What a node remembers of shard maps; undefined for a store in memory, of which each client has a part for itself. Fails as `openCoordination`. */
export async function openFences(store: StoreChoice = 'memory'): Promise<MapFences | undefined> {
  if (store === 'memory') return undefined;
  return MapFences.open(new LogJournal(join(folderOf(store), fencesName)));
}

/** The records that a node keeps: in memory, or in the folder of its store. Fails as `openCoordination`. */
export function openRecords(
  { clock }: Pick<Env, 'clock'>,
  store: StoreChoice = 'memory',
): Promise<RecordStore> {
  if (store === 'memory') return RecordStore.open({ clock });
  return RecordStore.open({ clock, journal: new LogJournal(join(folderOf(store), recordsName)) });
}

function folderOf(store: DurableChoice): string {
  return 'lmdb' in store ? store.lmdb : store.files;
}

/**
 * @param members of the net that a node which coordinates has joined, itself first
 * @throws PaipaiError PAIPAI_ERR_COORDINATOR_AMBIGUOUS when another living one does so as well.
 */
export function checkSole([self, ...others]: readonly NetMember[]): void {
  const other = others.find((member) => member.coordinates && isLivingMember(member));
  if (self === undefined || other === undefined) return;
  throw new PaipaiError(
    'PAIPAI_ERR_COORDINATOR_AMBIGUOUS',
    `node ${other.nodeId} coordinates this net already: start node ${self.nodeId} without --coordinator, or end the other first`,
    { nodeId: other.nodeId },
  );
}
