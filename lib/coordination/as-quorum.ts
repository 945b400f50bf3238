import { PaipaiError } from '../base/errors.js';
import type { Coordinator, Quorum } from './coordinator.js';

/** @throws PaipaiError PAIPAI_ERR_INVALID_STATE when it is none. */
export function asQuorum(coordinator: Coordinator): Quorum {
  if ('replaceMember' in coordinator) return coordinator as Quorum; // Nothing else has that.
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_STATE',
    'only a quorum has members, and this net does not agree by one',
  );
}
