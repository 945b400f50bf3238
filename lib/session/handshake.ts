import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Random } from '../base/env.js';
import { PaipaiError, toError } from '../base/errors.js';
import type {
  FrameChannel,
  FrameReceiver,
  FrameView,
  SharedMemory,
} from '../transport/frame-channel.js';
import { decodeError } from '../wire/error-payload.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { decodeHello, encodeHello, type Hello, helloFeature, nonceBytes } from '../wire/hello.js';
import { Alarm, type Deadlines } from './deadlines.js';
import { encodeFailure, peerClosed, protocolError } from './failures.js';
import type { Role } from './ids.js';
import { lingerMs } from './linger.js';
import { keepPayload, viewPayload } from './payload.js';
import type { Settings } from './settings.js';

const versionMin = 1;
const versionMax = 1;

/** What a peer may send before it has shown who it is. */
const budgetBytes = 4 * 1024;
/** Fits, with the rest, into what the other side takes at this point. */
const refusalBytesMax = 1024;
const proofBytes = 32;
const digestBytes = 32;

/** The argument of PATH. */
const Offer = { made: 0, entered: 1, refused: 2 } as const;
const doorNameBytes = 16;
const doorTokenBytes = 32;

export interface HandshakeOwner {
  /** Both sides agree: the session takes over, and gets the frames from now on. */
  onReady(remoteNodeId: string): FrameReceiver;
  /** Refused by either side, or broken off. The channel ends by itself. */
  onFailed(error: Error): void;
  /** A channel whose handshake failed has ended. */
  onGone(): void;
}

/**
 * The first words of a connection; to the left the side that connected:
 *
 *     HELLO ->  <- HELLO     versions, net names and whether there is a secret are compared
 *     AUTH  ->               with a secret: the side that connected proves that it holds it, over both nonces
 *               <- AUTH      and only then the other: a stranger gets nothing to try passwords on
 *     READY ->  <- READY     each says that it has nothing against the other, and, when both could share memory, its host
 *
 * Where the hosts are the same, then, still before the session:
 *
 *               <- PATH      offer: the name of a door and a token
 *     PATH  ->               entered, or not
 *               <- SWITCH    taken; or PATH: it stays with the socket
 *     SWITCH ->
 *
 * A refusal is a GOODBYE with its number. Calls `onReady` or `onFailed`, once.
 */
export class Handshake implements FrameReceiver {
  readonly #channel: FrameChannel;
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  readonly #role: Role;
  readonly #owner: HandshakeOwner;
  readonly #ownHello: Uint8Array;
  readonly #alarm: Alarm;
  readonly #random: Random;
  #peerHello: Uint8Array | null = null;
  #sharesMemory = false;
  /** Ready is said and heard: what follows is about shared memory. */
  #isReady = false;
  #doorToken: Uint8Array | null = null;
  /** What this side shares lies in the door of the other. */
  #hasEntered = false;
  #remoteNodeId = '';
  #isProven = false;
  #arrivedBytes = 0;
  #hasFailed = false;
  /** Whoever gets the frames once the session is open; some may come in the batch of the last READY. */
  #session: FrameReceiver | null = null;

  constructor(
    channel: FrameChannel,
    settings: Settings,
    deadlines: Deadlines,
    random: Random,
    role: Role,
    owner: HandshakeOwner,
  ) {
    this.#channel = channel;
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#role = role;
    this.#owner = owner;
    this.#random = random;
    this.#ownHello = encodeHello({
      versionMin,
      versionMax,
      features:
        (settings.secret === null ? 0 : helloFeature.secret) |
        (channel.sharedMemory === null ? 0 : helloFeature.sharedMemory),
      nonce: random.bytes(nonceBytes),
      netName: settings.netName,
      nodeId: settings.nodeId,
    });
    this.#alarm = new Alarm(() => this.#onTimeout());
    deadlines.set(this.#alarm, settings.handshakeTimeoutMs);
    // A stranger gets no memory for more than it may say.
    channel.limitReceived(budgetBytes);
    channel.receiver = this;
    channel.send(FrameType.hello, 0, 0, 0, 0, this.#ownHello);
  }

  /** Breaks off without a word; `onFailed` is called with `error`. */
  cancel(error: Error): void {
    if (this.#hasFailed || this.#session !== null) return;
    this.#hasFailed = true;
    this.#deadlines.clear(this.#alarm);
    this.#channel.destroy(error);
    this.#owner.onFailed(error);
  }

  onSeveral(frame: FrameView): boolean {
    return this.#session?.onSeveral?.(frame) ?? false;
  }

  onFrame(frame: FrameView): void {
    if (this.#session !== null) return this.#session.onFrame(frame);
    if (this.#hasFailed) return;
    try {
      this.#take(frame);
    } catch (error) {
      this.#refuse(toError(error));
    }
  }

  onSink(streamId: number, landedBytes: number, crc32c: number): void {
    this.#session?.onSink(streamId, landedBytes, crc32c);
  }

  onDrain(): void {
    this.#session?.onDrain();
  }

  onClose(error: Error | null): void {
    if (this.#session !== null) return this.#session.onClose(error);
    this.#deadlines.clear(this.#alarm);
    if (!this.#hasFailed) {
      this.#hasFailed = true;
      this.#owner.onFailed(error ?? peerClosed(this.#channel.remoteAddress, 'handshake', null));
    }
    this.#owner.onGone();
  }

  #take(frame: FrameView): void {
    this.#arrivedBytes += frameHeaderBytes + frame.end - frame.start;
    if (this.#arrivedBytes > budgetBytes) {
      throw protocolError(`more than ${budgetBytes} bytes before the end of the handshake`);
    }
    if (frame.flags !== 0 || frame.streamId !== 0) {
      throw protocolError(
        `a frame with flags ${frame.flags} for stream ${frame.streamId} in the handshake`,
      );
    }
    switch (frame.type) {
      case FrameType.hello:
        return this.#onHello(frame);
      case FrameType.auth:
        return this.#onAuth(frame);
      case FrameType.ready:
        return this.#onReady(frame);
      case FrameType.path:
        return this.#onPath(frame);
      case FrameType.switch:
        return this.#onSwitch();
      case FrameType.goodbye:
        return this.#onGoodbye(frame);
      default:
        throw protocolError(`a frame of type ${frame.type} in the handshake`);
    }
  }

  #onHello(frame: FrameView): void {
    if (this.#peerHello !== null) throw protocolError('a second hello');
    this.#peerHello = keepPayload(frame);
    const hello = decodeHello(this.#peerHello);
    this.#compare(hello);
    this.#remoteNodeId = hello.nodeId;
    this.#sharesMemory =
      this.#channel.sharedMemory !== null && (hello.features & helloFeature.sharedMemory) !== 0;
    if (this.#settings.secret === null) this.#prove();
    else if (this.#role === 'connect') this.#sendProof(this.#peerHello);
  }

  #onAuth(frame: FrameView): void {
    const peerHello = this.#peerHello;
    if (peerHello === null || this.#settings.secret === null || this.#isProven) {
      throw protocolError('a proof that was not asked for');
    }
    const proof = viewPayload(frame);
    if (proof.length !== proofBytes) throw protocolError(`a proof of ${proof.length} bytes`);
    const peerRole = this.#role === 'connect' ? 'listen' : 'connect';
    if (!timingSafeEqual(proof, this.#proofOf(peerRole, peerHello, this.#ownHello))) {
      throw this.#refusal('PAIPAI_ERR_SECRET', 'holds another secret than this side');
    }
    if (this.#role === 'listen') this.#sendProof(peerHello);
    this.#prove();
  }

  #onReady(frame: FrameView): void {
    if (!this.#isProven || this.#isReady) throw protocolError('ready out of place');
    const digest = viewPayload(frame);
    if (digest.length !== (this.#sharesMemory ? digestBytes : 0)) {
      throw protocolError(`ready with ${digest.length} bytes`);
    }
    this.#isReady = true;
    if (!this.#sharesMemory) return this.#begin();
    const peerRole = this.#role === 'connect' ? 'listen' : 'connect';
    this.#sharesMemory = timingSafeEqual(digest, this.#hostDigestOf(peerRole));
    if (!this.#sharesMemory) this.#begin();
    else if (this.#role === 'listen') this.#offer();
  }

  #begin(): void {
    this.#deadlines.clear(this.#alarm);
    this.#session = this.#owner.onReady(this.#remoteNodeId);
    this.#channel.receiver = this.#session;
  }

  #offer(): void {
    const name = this.#random.bytes(doorNameBytes);
    const token = this.#random.bytes(doorTokenBytes);
    if (this.#memory().open(doorNameOf(name))) {
      this.#doorToken = token;
      const payload = Buffer.concat([name, token]);
      this.#channel.send(FrameType.path, 0, 0, 0, Offer.made, payload);
    } else {
      this.#stay();
    }
  }

  #onPath(frame: FrameView): void {
    if (!this.#isReady || !this.#sharesMemory) throw protocolError('a path that cannot be');
    const payload = viewPayload(frame);
    const said = frame.argument;
    if (payload.length !== (said === Offer.made ? doorNameBytes + doorTokenBytes : 0)) {
      throw protocolError(`a path with ${payload.length} bytes`);
    }
    if (this.#role === 'listen') {
      const token = this.#doorToken;
      this.#doorToken = null;
      if (token === null || (said !== Offer.entered && said !== Offer.refused)) {
        throw protocolError('a path out of place');
      }
      // Taken, the other side hears it by our SWITCH; its own comes to the session.
      if (said === Offer.refused || !this.#memory().take(token)) return this.#stay();
      this.#memory().moved();
      return this.#begin();
    }
    if (said === Offer.made && this.#doorToken === null) {
      this.#doorToken = new Uint8Array(payload.subarray(doorNameBytes));
      const name = doorNameOf(payload.subarray(0, doorNameBytes));
      this.#hasEntered = this.#memory().enter(name, this.#doorToken);
      const answer = this.#hasEntered ? Offer.entered : Offer.refused;
      this.#channel.send(FrameType.path, 0, 0, 0, answer);
    } else if (said === Offer.refused) {
      this.#memory().drop();
      this.#begin();
    } else {
      throw protocolError('a path out of place');
    }
  }

  /** The side that listened has the last word on where it goes on. */
  #stay(): void {
    this.#memory().drop();
    this.#channel.send(FrameType.path, 0, 0, 0, Offer.refused);
    this.#begin();
  }

  #onSwitch(): void {
    // The side that listens sends the first; what answers it comes to the session.
    if (!this.#hasEntered) throw protocolError('a switch out of place');
    this.#memory().moved();
    this.#begin();
  }

  #memory(): SharedMemory {
    // Asked for only where both sides have one.
    return this.#channel.sharedMemory as SharedMemory;
  }

  /** Says to a process of the same host, and to nobody else, that this is one. */
  #hostDigestOf(role: Role): Uint8Array {
    const peerHello = this.#peerHello as Uint8Array;
    const [first, second] =
      this.#role === 'connect' ? [this.#ownHello, peerHello] : [peerHello, this.#ownHello];
    const hmac = createHmac('sha256', this.#memory().hostId);
    return hmac.update(role).update(first).update(second).digest();
  }

  #onGoodbye(frame: FrameView): void {
    const error =
      frame.argument === 0
        ? peerClosed(this.#channel.remoteAddress, 'handshake', null)
        : decodeError(frame.argument, viewPayload(frame));
    this.#fail(error);
  }

  /** Nothing speaks against the peer. */
  #prove(): void {
    this.#isProven = true;
    // Before READY leaves: whoever got it may send what the session allows.
    this.#channel.limitReceived(this.#settings.frameBytesMax);
    const digest = this.#sharesMemory ? this.#hostDigestOf(this.#role) : undefined;
    this.#channel.send(FrameType.ready, 0, 0, 0, 0, digest);
  }

  #compare(hello: Hello): void {
    if (Math.min(hello.versionMax, versionMax) < Math.max(hello.versionMin, versionMin)) {
      throw this.#refusal(
        'PAIPAI_ERR_VERSION_MISMATCH',
        `speaks the wire versions ${hello.versionMin} to ${hello.versionMax}, this side ${versionMin} to ${versionMax}: update the older one`,
      );
    }
    if (hello.netName !== this.#settings.netName) {
      throw this.#refusal(
        'PAIPAI_ERR_NET_NAME',
        `belongs to the net '${hello.netName}', this side to '${this.#settings.netName}'`,
      );
    }
    const peerHasSecret = (hello.features & helloFeature.secret) !== 0;
    if (peerHasSecret !== (this.#settings.secret !== null)) {
      const who = peerHasSecret
        ? 'has a secret, this side has none'
        : 'has no secret, this side has one';
      throw this.#refusal('PAIPAI_ERR_SECRET', `${who}: give both the same`);
    }
  }

  #refusal(
    code: 'PAIPAI_ERR_VERSION_MISMATCH' | 'PAIPAI_ERR_NET_NAME' | 'PAIPAI_ERR_SECRET',
    why: string,
  ): PaipaiError {
    const address = this.#channel.remoteAddress;
    return new PaipaiError(code, `the peer at ${address} ${why}`, { address });
  }

  #proofOf(role: Role, hello: Uint8Array, otherHello: Uint8Array): Uint8Array {
    // Asked for only where there is a secret.
    const hmac = createHmac('sha256', this.#settings.secret as Uint8Array);
    return hmac.update(role).update(hello).update(otherHello).digest();
  }

  #sendProof(peerHello: Uint8Array): void {
    const proof = this.#proofOf(this.#role, this.#ownHello, peerHello);
    this.#channel.send(FrameType.auth, 0, 0, 0, 0, proof);
  }

  #onTimeout(): void {
    const address = this.#channel.remoteAddress;
    this.#refuse(
      new PaipaiError(
        'PAIPAI_ERR_HANDSHAKE_TIMEOUT',
        `the peer at ${address} did not finish the handshake within ${this.#settings.handshakeTimeoutMs} ms`,
        { address },
      ),
    );
  }

  #refuse(error: Error): void {
    const { number, payload } = encodeFailure(error, refusalBytesMax);
    this.#channel.send(FrameType.goodbye, 0, 0, 0, number, payload);
    this.#fail(error);
  }

  #fail(error: Error): void {
    this.#hasFailed = true;
    this.#channel.close();
    // A peer that neither reads nor ends must not keep the connection.
    this.#deadlines.clear(this.#alarm);
    this.#alarm.onDeadline = () => this.#channel.destroy();
    this.#deadlines.set(this.#alarm, lingerMs);
    this.#owner.onFailed(error);
  }
}

function doorNameOf(name: Uint8Array): string {
  return `paipainet-${Buffer.from(name).toString('hex')}`;
}
