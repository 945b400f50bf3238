import { debuglog } from 'node:util';
import { errorOfResult } from '../base/errors.js';
import type { NativeCore } from '../native/handles.js';
import type { SharedMemory } from './frame-channel.js';

const log = debuglog('paipainet');

/** The addon's shared memory for one connection; every failure leaves it where it was, and is logged. */
export class NativeSharedMemory implements SharedMemory {
  readonly hostId: string;
  readonly #core: NativeCore;
  readonly #connection: number;
  readonly #onMoved: () => void;

  constructor(core: NativeCore, connection: number, hostId: string, onMoved: () => void) {
    this.#core = core;
    this.#connection = connection;
    this.hostId = hostId;
    this.#onMoved = onMoved;
  }

  open(name: string): boolean {
    return succeeded('open', this.#core.openDoor(this.#connection, name));
  }

  enter(name: string, token: Uint8Array): boolean {
    return succeeded('enter', this.#core.enterDoor(this.#connection, name, token));
  }

  take(token: Uint8Array): boolean {
    return succeeded('take', this.#core.takeFromDoor(this.#connection, token));
  }

  drop(): void {
    this.#core.closeDoor(this.#connection);
  }

  moved(): void {
    this.#onMoved();
  }
}

function succeeded(tried: string, result: number): boolean {
  if (result < 0)
    log('no shared memory: %s: %s', tried, errorOfResult(result, 'shared memory').message);
  return result >= 0;
}
