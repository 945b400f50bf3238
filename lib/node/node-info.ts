import { MessageFields } from '../cluster/transfer/message-fields.js';
import type { EngineName } from '../transport/frame-channel.js';
import { encodeValue } from '../wire/values.js';

/** Answer to `node.info`: what a node is and what it holds. */
export interface NodeInfo {
  readonly pid: number;
  /** Version of Node.js. */
  readonly nodeVersion: string;
  readonly engine: EngineName;
  readonly engineReason: string;
  /** In its store. */
  readonly shards: number;
  readonly bytes: number;
  /** How many handlers run at once. */
  readonly workers: number;
  /** Whether what it stores outlives its sessions and itself. */
  readonly isDurable: boolean;
  /** Whether it serves the coordinator of the net. */
  readonly coordinates: boolean;
}

const workersMax = 65_536;

export const infoMethod = 'node.info';

export function encodeNodeInfo(info: NodeInfo): Uint8Array {
  return encodeValue({ ...info });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeNodeInfo(bytes: Uint8Array): NodeInfo {
  const fields = new MessageFields(infoMethod, bytes);
  return {
    pid: fields.integer('pid', 0, 0xffff_ffff),
    nodeVersion: fields.string('nodeVersion', 64),
    engine: fields.string('engine', 16) === 'native' ? 'native' : 'js',
    engineReason: fields.string('engineReason', 4_096),
    shards: fields.integer('shards', 0, Number.MAX_SAFE_INTEGER),
    bytes: fields.integer('bytes', 0, Number.MAX_SAFE_INTEGER),
    workers: fields.integer('workers', 1, workersMax),
    isDurable: fields.boolean('isDurable'),
    coordinates: fields.boolean('coordinates'),
  };
}
