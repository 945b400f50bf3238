import type { SwimParameters } from '../../dist/cluster/membership/parameters.js';
import type { Swim } from '../../dist/cluster/membership/swim.js';

interface Options {
  readonly Swim: typeof Swim;
  readonly seed: number;
  readonly nodeCount: number;
  readonly parameters?: Partial<SwimParameters>;
}

interface Net {
  readonly violations: readonly string[];
}

export function measureAgreement(options: Options & { readonly rounds: number }): {
  net: Net;
  joinMs: number[];
  crashMs: number[];
  silentCrashMs: number[];
};

export function measureQuiet(options: Options & { readonly virtualMs: number }): {
  net: Net;
  falseDeaths: number;
  refutations: number;
  datagramsPerNodeSecond: number;
  bytesPerNodeSecond: number;
};

export function measureStalls(
  options: Options & { readonly virtualMs: number; readonly stallShare?: number },
): { net: Net; falseDeaths: number; ofStalled: number; ofHealthy: number; deaths: number };

export function runChaos(options: Options): Net;
