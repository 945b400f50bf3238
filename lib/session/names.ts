import { checkString } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { nameBytesMax } from '../wire/frame.js';
import { decodeText } from '../wire/text.js';
import { protocolError } from './failures.js';
import type { FastService, MessageBatch, RequestBatch } from './types.js';

const namesMax = 0xffff;

/** Methods and topics by the index under which this side introduced them. */
export class OutgoingNames {
  readonly #indices = new Map<string, number>();

  /** The index of `name`, or 0 when it must be introduced first. */
  indexOf(name: string): number {
    return this.#indices.get(name) ?? 0;
  }

  /**
   * Gives `name` the next index.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when it is no name, or one too many for this connection.
   */
  add(what: string, name: string): number {
    checkString(what, name, nameBytesMax);
    const index = this.#indices.size + 1;
    if (index > namesMax) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_ARGUMENT',
        `${what} is the name number ${index} on this connection, which carries at most ${namesMax}: put what varies into the payload`,
      );
    }
    this.#indices.set(name, index);
    return index;
  }
}

export type FastHandler = ((batch: RequestBatch) => void) | ((batch: MessageBatch) => void);

/** What the peer calls by this name; a handler is null where the fast surface has none. */
export interface IncomingName {
  readonly text: string;
  readonly method: FastHandler | null;
  readonly topic: FastHandler | null;
}

/** Names by the index under which the peer introduced them; 0 is none. Not changed while `NameBook` has it. */
export type NameList = (IncomingName | undefined)[];

export const noNames: NameList = [undefined];

/** So many names, and lists, are kept for good; more than that are no names of a service but somebody's payload. */
const bookedMax = 1_024;
/** No list above this is kept. */
const listMax = 64;

/**
 * The names that the peers of one service use. Most use the same, and introduce them in the same order, so each name and each
 * list is there once, not once a connection.
 */
export class NameBook {
  readonly #service: FastService | undefined;
  readonly #names = new Map<string, IncomingName>();
  /** Lists by the one that they continue, and the name with which they do. */
  readonly #lists = new Map<NameList, Map<IncomingName, NameList>>();
  #listCount = 0;

  constructor(service: FastService | undefined) {
    this.#service = service;
  }

  nameOf(text: string): IncomingName {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const name = {
      text,
      method: this.#service?.methods.get(text) ?? null,
      topic: this.#service?.topics.get(text) ?? null,
    };
    if (this.#names.size < bookedMax) this.#names.set(text, name);
    return name;
  }

  /** `names` with `name` at `index`: a list that others have too, or one of its own. */
  listWith(names: NameList, index: number, name: IncomingName): NameList {
    const isShared = names === noNames || this.#lists.has(names);
    if (!isShared) {
      names[index] = name;
      return names;
    }
    const known = index === names.length ? this.#lists.get(names)?.get(name) : undefined;
    if (known !== undefined) return known;
    const longer = names.slice();
    longer[index] = name;
    if (index === names.length && index < listMax && this.#listCount < bookedMax) {
      this.#listCount++;
      const continued = this.#lists.get(names) ?? new Map<IncomingName, NameList>();
      this.#lists.set(names, continued.set(name, longer));
      this.#lists.set(longer, new Map());
    }
    return longer;
  }
}

/** `names` with that of a NAME frame. @throws PaipaiError PAIPAI_ERR_PROTOCOL */
export function introduce(names: NameList, frame: FrameView, book: NameBook): NameList {
  const index = frame.name;
  const byteCount = frame.end - frame.start;
  if (index === 0) throw protocolError('a name was introduced under index 0');
  if (names[index] !== undefined) {
    throw protocolError(`name ${index} was introduced twice`);
  }
  if (byteCount < 1 || byteCount > nameBytesMax) {
    throw protocolError(`a name has ${byteCount} bytes instead of 1 to ${nameBytesMax}`);
  }
  const text = decodeText(frame.bytes, frame.start, frame.end);
  if (text === undefined) throw protocolError('a name is not UTF-8');
  return book.listWith(names, index, book.nameOf(text));
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL when `index` was not introduced. */
export function nameAt(names: NameList, index: number): IncomingName {
  const name = names[index];
  if (name === undefined) throw protocolError(`name ${index} was never introduced`);
  return name;
}
