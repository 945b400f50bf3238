import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

const main = new URL('./thread-main.cjs', import.meta.url);

/** Starts a worker thread with the module `entry`, in such a way that ending it while that loads leaves no file open. Throws as `Worker`. */
export function startThread(entry: URL, options: WorkerOptions): Worker {
  return new Worker(main, { ...options, argv: [fileURLToPath(entry)] });
}
