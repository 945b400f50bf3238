import { roundTripCase } from '../support/round-trip-case.js';
import type { Case } from '../support/types.js';

/** A prepared statement that reads a sequence, by pg as it is. */
export const postgres: Case = roundTripCase(
  'postgres',
  'How fast are round trips of pg to PostgreSQL, as it is and moved over?',
);
