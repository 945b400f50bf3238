import { PaipaiError } from '../base/errors.js';
import type { DataSource, SourceBlock } from './source.js';

/** The source of data that are known by their id alone, since they lie on nodes: there is nothing to read them from anew. */
export class StoredSource implements DataSource {
  readonly kind = 'stored';
  readonly repeatable = true;
  readonly sizeBytes = undefined;
  readonly #dataId: string;

  constructor(dataId: string) {
    this.#dataId = dataId;
  }

  /** Fails: PAIPAI_ERR_UNKNOWN_DATA. */
  async measure(): Promise<never> {
    throw this.#notFound();
  }

  // biome-ignore lint/correctness/useYield: there is nothing to yield.
  async *blocks(): AsyncGenerator<SourceBlock> {
    throw this.#notFound();
  }

  #notFound(): PaipaiError {
    const dataId = this.#dataId;
    return new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_DATA',
      `no nodes hold all of data ${dataId} between them, and there is no source to transfer them from`,
      { dataId },
    );
  }
}
