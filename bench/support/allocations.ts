import { type HeapProfiler, Session } from 'node:inspector/promises';

/** Of one sample in so many bytes; the sum of a million small objects is then within a per cent. */
const samplingBytes = 16 * 1024;

function bytesBelow({ selfSize, children }: HeapProfiler.SamplingHeapProfileNode): number {
  return children.reduce((sum, child) => sum + bytesBelow(child), selfSize);
}

/**
 * Bytes allocated on V8's heap, by its sampling profiler: objects that were collected meanwhile count too, so it does not matter when
 * garbage is collected.
 */
export class Allocations {
  readonly #session: Session = new Session();

  constructor() {
    this.#session.connect();
  }

  start(): Promise<void> {
    return this.#session.post('HeapProfiler.startSampling', {
      samplingInterval: samplingBytes,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
  }

  /** Bytes since `start`. */
  async stop(): Promise<number> {
    const { profile } = await this.#session.post('HeapProfiler.stopSampling');
    return bytesBelow(profile.head);
  }
}
