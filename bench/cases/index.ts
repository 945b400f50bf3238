import type { Case } from '../support/types.js';
import { transfer } from './transfer.js';

/** Every question there is. */
export const cases: readonly Case[] = [transfer];
