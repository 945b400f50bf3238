import type { Case } from '../support/types.js';
import { beside } from './beside.js';
import { bulk } from './bulk.js';
import { connections } from './connections.js';
import { coordination } from './coordination.js';
import { fairness } from './fairness.js';
import { http } from './http.js';
import { idle } from './idle.js';
import { opening } from './opening.js';
import { pingpong } from './pingpong.js';
import { postgres } from './postgres.js';
import { process } from './process.js';
import { redis } from './redis.js';
import { requests } from './requests.js';
import { stream } from './stream.js';
import { transfer } from './transfer.js';

/** Every question there is. */
export const cases: readonly Case[] = [
  pingpong,
  requests,
  connections,
  stream,
  bulk,
  idle,
  opening,
  beside,
  fairness,
  transfer,
  process,
  coordination,
  http,
  redis,
  postgres,
];
