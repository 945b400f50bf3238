import { basename } from 'node:path';
import { Data } from '../api/data.js';
import { type ProcessOptions, retriesMax } from '../api/options.js';
import { toError } from '../base/errors.js';
import { balancingStrategies } from '../cluster/balancing/balancer.js';
import type { PlacementStrategy } from '../cluster/placement/placement.js';
import { concurrencyMax } from '../processing/messages.js';
import { integerOption, oneOfOption, usageError } from './command.js';

/** Data as the options of commands describe them. */

const versionMax = 2n ** 64n - 1n;
const shardBytesMax = 64 * 1024 * 1024;
const replicasMax = 16;

/** `--data-version`; undefined when it was not given. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function versionOption(command: string, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const version = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n;
  if (version >= 0n && version <= versionMax) return version;
  throw usageError(
    command,
    `--data-version must be a whole number from 0 to ${versionMax}, but is '${text}'`,
  );
}

/** `--replicas`; undefined when it was not given. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function replicasOption(command: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : integerOption(command, 'replicas', text, 1, replicasMax);
}

/** For handlers. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function argsOption(command: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw usageError(command, `--args must be JSON (${toError(thrown).message})`);
  }
}

/** `--strategy`, `--concurrency` and `--retries`. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function schedulingOptions(
  command: string,
  values: {
    readonly strategy?: string | undefined;
    readonly concurrency?: string | undefined;
    readonly retries?: string | undefined;
  },
): ProcessOptions {
  const { strategy, concurrency, retries } = values;
  return {
    ...(strategy === undefined
      ? {}
      : { strategy: oneOfOption(command, 'strategy', strategy, balancingStrategies) }),
    ...(concurrency === undefined
      ? {}
      : { concurrency: integerOption(command, 'concurrency', concurrency, 1, concurrencyMax) }),
    ...(retries === undefined
      ? {}
      : { retries: integerOption(command, 'retries', retries, 0, retriesMax) }),
  };
}

export const placementHelp =
  '  --placement STRATEGY weighted (default), boundedRendezvous, rendezvous or roundRobin';

/** `--placement`, which the net checks. */
export function placementOf(placement: string | undefined): { placement?: PlacementStrategy } {
  // Whatever it is, the net refuses what it does not know.
  return placement === undefined ? {} : { placement: placement as PlacementStrategy };
}

/** How a file becomes data, for `put` and `plan`. */
export const fileDataOptions = {
  id: { type: 'string' },
  'data-version': { type: 'string' },
  replicas: { type: 'string' },
  records: { type: 'string' },
  'shard-size': { type: 'string' },
  placement: { type: 'string' },
} as const;

export const fileDataHelp: string = `  --id ID              1 to 255 bytes; default: the file's name, without its folder
  --data-version N     data are immutable, changed content is a new version; default: 0
  --replicas N         on how many nodes each shard lies, 1 to 16; default: 1
  --records KIND       cut only between records: csv or lines
  --shard-size BYTES   1 to 67108864; default: 1048576
${placementHelp}`;

/** What `parseOptions` makes of `fileDataOptions`. */
export interface FileDataValues {
  readonly id?: string | undefined;
  readonly 'data-version'?: string | undefined;
  readonly replicas?: string | undefined;
  readonly records?: string | undefined;
  readonly 'shard-size'?: string | undefined;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function fileData(command: string, file: string, values: FileDataValues): Data {
  const { id, records } = values;
  const version = versionOption(command, values['data-version']);
  const replicas = replicasOption(command, values.replicas);
  const size = values['shard-size'];
  if (records !== undefined && records !== 'csv' && records !== 'lines') {
    throw usageError(command, `--records must be csv or lines, but is '${records}'`);
  }
  return Data.fromFile(id ?? basename(file), file, {
    ...(version === undefined ? {} : { version }),
    ...(replicas === undefined ? {} : { replicas }),
    ...(records === undefined ? {} : { records }),
    ...(size === undefined
      ? {}
      : { shardBytes: integerOption(command, 'shard-size', size, 1, shardBytesMax) }),
  });
}
