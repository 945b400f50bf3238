import { join } from 'node:path';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { isLivingMember, type NetMember } from '../cluster/membership/member-list.js';
import { FilesJournal } from '../coordination/local/files-journal.js';
import { LocalCoordinator } from '../coordination/local/local-coordinator.js';
import { CoordinatorService } from '../coordination/serve-coordinator.js';
import type { StoreChoice } from '../store/open-store.js';

/** Beside the shards, in the folder that the store has locked. */
const folderName = 'coordination';

/**
 * The coordinator that a node serves: in memory, or in the folder of its store, which is open.
 * Fails: PAIPAI_ERR_STORE_FAILED.
 */
export async function openCoordination(
  env: Pick<Env, 'timers'>,
  store: StoreChoice = 'memory',
): Promise<CoordinatorService> {
  if (store === 'memory') return new CoordinatorService(await LocalCoordinator.open(env));
  const journal = new FilesJournal(join('lmdb' in store ? store.lmdb : store.files, folderName));
  return new CoordinatorService(await LocalCoordinator.open(env, { journal }));
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
