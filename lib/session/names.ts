import { checkString } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { nameBytesMax } from '../wire/frame.js';
import { decodeText } from '../wire/text.js';
import { protocolError } from './failures.js';

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

/** Names by the index under which the peer introduced them. */
export class IncomingNames {
  readonly #names: (string | undefined)[] = [];

  /** Takes a NAME frame. @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  introduce(frame: FrameView): void {
    const index = frame.name;
    const byteCount = frame.end - frame.start;
    if (index === 0) throw protocolError('a name was introduced under index 0');
    if (this.#names[index] !== undefined) {
      throw protocolError(`name ${index} was introduced twice`);
    }
    if (byteCount < 1 || byteCount > nameBytesMax) {
      throw protocolError(`a name has ${byteCount} bytes instead of 1 to ${nameBytesMax}`);
    }
    const name = decodeText(frame.bytes, frame.start, frame.end);
    if (name === undefined) throw protocolError('a name is not UTF-8');
    this.#names[index] = name;
  }

  /** @throws PaipaiError PAIPAI_ERR_PROTOCOL when `index` was not introduced. */
  nameOf(index: number): string {
    const name = this.#names[index];
    if (name === undefined) throw protocolError(`name ${index} was never introduced`);
    return name;
  }
}
