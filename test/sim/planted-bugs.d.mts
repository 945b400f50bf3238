import type { Swim } from '../../dist/cluster/membership/swim.js';

export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const membershipBugs: readonly PlantedBug[];

export function withPlantedBug<T>(
  bug: PlantedBug,
  use: (swim: typeof Swim) => T | Promise<T>,
): Promise<T>;
