import { checkOneOf } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import type { NativeBinding } from '../native/binding.js';
import { nativeCrc32c, nativeShardCodec } from '../native/codecs.js';
import type { IoChoice, IoInUse } from '../native/io.js';
import { loadNative } from '../native/load.js';
import type { EngineName, Network } from '../transport/frame-channel.js';
import { NativeNetwork } from '../transport/native-network.js';
import { PortableNetwork } from '../transport/portable-network.js';
import { crc32c } from '../wire/crc32c.js';
import { decodeShardHeader, encodeShardHeader, type ShardHeader } from '../wire/shard-header.js';

export type EngineChoice = 'auto' | EngineName;
export const engineChoices: readonly EngineChoice[] = ['auto', 'native', 'js'];

/** What an engine brings, and why it is the one in use. */
export interface Engine {
  readonly name: EngineName;
  /** For people. */
  readonly reason: string;
  /** Made when first used: a thread that only computes needs none. Throws when it cannot be made as it is asked for. */
  readonly network: Network;
  /** What serves the sockets of `network`; null: Node's own. */
  readonly io: IoInUse | null;
  readonly crc32c: (bytes: Uint8Array) => number;
  readonly shardCodec: ShardCodec;
  /** A hint about memory that shards will be received into: a fresh one then costs one page fault per 2 MiB instead of 512. */
  readonly adviseShardMemory: (memory: SharedArrayBuffer) => void;
}

export interface ShardCodec {
  encode(header: ShardHeader): Uint8Array;
  decode(bytes: Uint8Array): ShardHeader;
}

/**
 * The engine that `choice` names, or with 'auto' the one that PAIPAINET_ENGINE names, or else the best that works here.
 * `io` is for its network: with 'auto' PAIPAINET_IO decides, which the portable engine does not look at.
 * @throws PaipaiError PAIPAI_ERR_ENGINE_UNAVAILABLE when the native one is asked for by name and cannot be used, or `io` without it;
 * PAIPAI_ERR_INVALID_ARGUMENT when the variable holds another word.
 */
export function selectEngine(choice: EngineChoice, io: IoChoice = 'auto'): Engine {
  const { wanted, asker } = wish(choice);
  if (wanted === 'js') return portableEngine(`${asker} asks for it`, io);
  const native = loadNative();
  if (native.ok) {
    const why = wanted === 'native' ? `${asker} asks for it` : 'the addon loads here';
    return nativeEngine(native.binding, why, io);
  }
  if (wanted === 'native') {
    throw new PaipaiError(
      'PAIPAI_ERR_ENGINE_UNAVAILABLE',
      `${asker} asks for the native engine, but ${native.reason}`,
    );
  }
  return portableEngine(native.reason, io);
}

function wish(choice: EngineChoice): { wanted: EngineChoice; asker: string } {
  if (choice !== 'auto') return { wanted: choice, asker: 'the option engine' };
  const variable = process.env['PAIPAINET_ENGINE'] ?? '';
  if (variable === '') return { wanted: 'auto', asker: 'nobody' };
  const wanted = checkOneOf('PAIPAINET_ENGINE', variable, engineChoices);
  return { wanted, asker: 'PAIPAINET_ENGINE' };
}

function nativeEngine(binding: NativeBinding, reason: string, io: IoChoice): Engine {
  return lazily(() => new NativeNetwork(binding, io), {
    name: 'native',
    reason,
    crc32c: nativeCrc32c(binding),
    shardCodec: nativeShardCodec(binding),
    adviseShardMemory: (memory) => binding.adviseHugePages(new Uint8Array(memory)),
  });
}

function portableEngine(reason: string, io: IoChoice): Engine {
  if (io !== 'auto') {
    throw new PaipaiError(
      'PAIPAI_ERR_ENGINE_UNAVAILABLE',
      `the option io asks for '${io}', which only the native engine has: ${reason}`,
    );
  }
  return lazily(() => new PortableNetwork(), {
    name: 'js',
    reason,
    crc32c,
    shardCodec: { encode: encodeShardHeader, decode: decodeShardHeader },
    adviseShardMemory: () => {}, // No way to say it from here.
  });
}

function lazily(
  makeNetwork: () => NativeNetwork | PortableNetwork,
  rest: Omit<Engine, 'network' | 'io'>,
): Engine {
  let network: NativeNetwork | PortableNetwork | undefined;
  const made = (): NativeNetwork | PortableNetwork => {
    network ??= makeNetwork();
    return network;
  };
  return {
    ...rest,
    get network(): Network {
      return made();
    },
    get io(): IoInUse | null {
      const native = made();
      return native instanceof NativeNetwork ? native.io : null;
    },
  };
}
