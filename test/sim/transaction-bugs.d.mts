import type { PlantedBug } from './planted-bugs.mjs';

export const transactionBugs: readonly PlantedBug[];
