import type { PlantedBug } from './planted-bugs.mjs';

/** Imports a built file by its path below dist. */
export type Load = (file: string) => Promise<unknown>;

export function withShippedCode<T>(
  options: { readonly bug?: PlantedBug; readonly withWorld?: boolean },
  use: (load: Load) => Promise<T>,
): Promise<T>;

export function checkPlaces(bug: PlantedBug): void;
