import { roundTripCase } from '../support/round-trip-case.js';
import type { Case } from '../support/types.js';

/** INCR, by ioredis as it is. */
export const redis: Case = roundTripCase(
  'redis',
  'How fast are round trips of ioredis to Redis, as it is and moved over?',
);
