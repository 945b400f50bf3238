import { checkString, invalidArgument } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { decodeValue, encodeValue } from '../wire/values.js';
import {
  changedBytesMax,
  changedRecordsMax,
  recordKeyBytesMax,
  touchedRecordsMax,
} from './limits.js';
import type { TouchedRecord } from './messages.js';

/** A record as a node keeps it. */
export interface RecordState {
  readonly version: number;
  readonly value: Uint8Array | undefined;
}

interface Touched {
  reading: Promise<RecordState> | undefined;
  /** When it has been read. */
  state: RecordState | undefined;
  change: { readonly value: Uint8Array | undefined } | undefined;
}

/**
 * What a transaction reads and writes. Reads are those of one moment when it is committed; what it writes nobody sees before that, but itself. A key has 1 to
 * 500 bytes. A transaction touches at most 256 records, and changes at most 64, of 512 KiB.
 */
export class Transaction {
  readonly #read: (key: string) => Promise<RecordState>;
  readonly #touched = new Map<string, Touched>();
  #isOver = false;

  constructor(read: (key: string) => Promise<RecordState>) {
    this.#read = read;
  }

  /**
   * What the record holds, or will by this transaction; undefined when there is none.
   * Fails: PAIPAI_ERR_INVALID_ARGUMENT; _INVALID_STATE when the transaction is over; _NODE_LOST, _DEADLINE, _ABORTED.
   */
  async get(key: string): Promise<unknown> {
    const touched = this.#touch(key);
    if (touched.change === undefined) await this.#state(key, touched);
    // It may have been changed meanwhile.
    const value = touched.change === undefined ? touched.state?.value : touched.change.value;
    return value === undefined ? undefined : decodeValue(Uint8Array.from(value));
  }

  /**
   * @param value anything that msgpack carries, copied at once
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, _VALUE, _INVALID_STATE.
   */
  set(key: string, value: unknown): void {
    if (value === undefined) throw invalidArgument('value', 'a value: delete has none', value);
    this.#change(key, encodeValue(value));
  }

  /** It need not be there. @throws PaipaiError as `set`. */
  delete(key: string): void {
    this.#change(key, undefined);
  }

  /** From now on nothing is read or written. */
  end(): void {
    this.#isOver = true;
  }

  /** What has been read by now. */
  reads(): TouchedRecord[] {
    return [...this.#touched].flatMap(([key, { state }]) =>
      state === undefined ? [] : { key, version: state.version },
    );
  }

  /** What has been read, and what is to be changed, which counts as read. Fails as `get`. */
  async records(): Promise<TouchedRecord[]> {
    const touched = [...this.#touched];
    const changed = touched.filter(([, { change }]) => change !== undefined);
    await Promise.all(changed.map(([key, one]) => this.#state(key, one)));
    return touched.flatMap(([key, { state, change }]) =>
      state === undefined ? [] : { key, version: state.version, change },
    );
  }

  #touch(key: string): Touched {
    checkString('key', key, recordKeyBytesMax);
    if (/\p{Surrogate}/u.test(key)) throw invalidArgument('key', 'well-formed text', key);
    if (this.#isOver) {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the transaction is over');
    }
    let touched = this.#touched.get(key);
    if (touched === undefined) {
      if (this.#touched.size >= touchedRecordsMax) throw tooMany(touchedRecordsMax, 'touches');
      touched = { reading: undefined, state: undefined, change: undefined };
      this.#touched.set(key, touched);
    }
    return touched;
  }

  #change(key: string, value: Uint8Array | undefined): void {
    const touched = this.#touch(key);
    let bytes = Buffer.byteLength(key) + (value?.byteLength ?? 0);
    let count = 1;
    for (const [other, { change }] of this.#touched) {
      if (change === undefined || other === key) continue;
      bytes += Buffer.byteLength(other) + (change.value?.byteLength ?? 0);
      count++;
    }
    if (count > changedRecordsMax) throw tooMany(changedRecordsMax, 'changes');
    if (bytes > changedBytesMax) {
      const expected = `so small that a transaction changes at most ${changedBytesMax} bytes`;
      throw invalidArgument('value', expected, `${value?.byteLength} bytes`);
    }
    touched.change = { value };
  }

  async #state(key: string, touched: Touched): Promise<void> {
    touched.reading ??= this.#read(key).then((state) => {
      touched.state = state;
      return state;
    });
    await touched.reading;
  }
}

function tooMany(max: number, what: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `a transaction ${what} at most ${max} records`,
  );
}
