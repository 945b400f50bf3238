import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freemem } from 'node:os';
import { buildNative, nativeProgram } from './native.js';

/** Room for what a receiver takes beside the data themselves. */
const spareBytes = 512 * 2 ** 20;
/** Touching memory that is backed takes 0.1 s for each GiB, with huge pages; memory that is not takes 1 to 4 s. */
const backedSecondsPerGiB = 0.3;
const attemptsMax = 5;

/**
 * Sees to it that `bytes` of free memory are backed by the machine under a virtual one, so that no peer pays for that by
 * chance; `bench/native/prime.c` says more. Tries again until touching is cheap. False when it cannot be done here: the
 * figures are then less even.
 */
export async function primeMemory(bytes: number): Promise<boolean> {
  const wanted = bytes + spareBytes;
  if (buildNative('prime') !== null || freemem() < 1.5 * wanted) return false;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const startMs = performance.now();
    const child = spawn(nativeProgram('prime'), [String(wanted)], { stdio: 'ignore' });
    const [code] = (await once(child, 'exit')) as [number | null]; // As documented for this event.
    if (code !== 0) return false;
    const seconds = (performance.now() - startMs) / 1e3;
    if (seconds < (backedSecondsPerGiB * wanted) / 2 ** 30) return true;
  }
  return false;
}
