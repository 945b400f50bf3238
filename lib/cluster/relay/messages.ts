import { encodeValue } from '../../wire/values.js';
import { instanceIdMax } from '../membership/types.js';
import { MessageFields } from '../transfer/message-fields.js';

/**
 * What is said about sessions through a node in between, the hub. `open` and `accept` are streams, and each holds a session of its own:
 *
 *     client ── relay.open { nodeId } ──► hub ── relay.accept ──► node
 *            ◄───────── the bytes of one session, passed on ────────►
 *
 * `list` is a request to the hub for who can be reached through it, answered as `member.list`. With `attach` a node that the hub cannot
 * connect to stays connected to the hub, which opens `accept` the other way round; with `probe` the hub asks whether it is there still.
 */
export const relayOpenMethod = 'relay.open';
export const relayAcceptMethod = 'relay.accept';
export const relayListMethod = 'relay.list';
export const relayAttachMethod = 'relay.attach';
export const relayProbeMethod = 'relay.probe';

/** What a node says of itself when it attaches. */
export interface AttachedNode {
  /** Share of the data that it should hold, relative to others; above 0. */
  readonly weight: number;
  /** Tells it from the one of its id before: 0 to 2^48 - 1. */
  readonly instanceId: number;
  /** Whether it serves the coordinator of the net. */
  readonly coordinates: boolean;
}

export function encodeRelayAttach({ weight, instanceId, coordinates }: AttachedNode): Uint8Array {
  return encodeValue({ weight, instanceId, coordinates });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeRelayAttach(bytes: Uint8Array): AttachedNode {
  const fields = new MessageFields(relayAttachMethod, bytes);
  return {
    weight: fields.weight('weight'),
    instanceId: fields.integer('instanceId', 0, instanceIdMax),
    coordinates: fields.boolean('coordinates'),
  };
}

export function encodeRelayOpen(nodeId: string): Uint8Array {
  return encodeValue({ nodeId });
}

/** The id of the node. @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeRelayOpen(bytes: Uint8Array): string {
  return new MessageFields(relayOpenMethod, bytes).string('nodeId', 255);
}
