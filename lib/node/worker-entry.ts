import { parentPort, workerData } from 'node:worker_threads';
import { digestHandler, digestName } from '../processing/digest.js';
import { loadHandlers } from '../processing/handlers.js';
import { serveTasks } from '../processing/worker.js';
import { createRealEnv } from './real-env.js';
import { type EngineChoice, selectEngine } from './select-network.js';

/** Where the worker threads of a node start. */

interface WorkerConfig {
  readonly handlers: string | undefined;
  readonly engine: EngineChoice;
}

if (parentPort === null) throw new Error('worker-entry is started by a node, as a worker thread');

const config: WorkerConfig = workerData; // Written by runtime.ts.
void serveTasks(
  parentPort,
  () => {
    const { crc32c } = selectEngine(config.engine);
    return loadHandlers(config.handlers, new Map([[digestName, digestHandler(crc32c)]]));
  },
  createRealEnv().clock,
);
