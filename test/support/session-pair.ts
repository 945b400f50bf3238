import { onTestFinished } from 'vitest';
import type { PaipaiCode } from '../../dist/base/codes.js';
import { PaipaiError } from '../../dist/base/errors.js';
import { connectPeer } from '../../dist/session/connect.js';
import { listenPeers } from '../../dist/session/listen.js';
import type {
  ListenOptions,
  Peer,
  PeerListener,
  PeerService,
  SessionOptions,
} from '../../dist/session/types.js';
import type { FrameChannel, Network } from '../../dist/transport/frame-channel.js';
import { MemoryNetwork } from '../../dist/transport/memory-network.js';
import { testEnv } from './test-env.js';

export interface PairOptions {
  service?: PeerService;
  near?: Partial<SessionOptions>;
  far?: Partial<ListenOptions>;
  networks?: { listen: Network; connect: Network; address: string };
}

export interface Pair {
  /** The side that connected; `service` is what the other one offers. */
  near: Peer;
  far: Peer;
  listener: PeerListener;
}

/** Two peers in session; the test's end destroys them. */
export async function sessionPair(options: PairOptions = {}): Promise<Pair> {
  const memory = new MemoryNetwork();
  const networks = options.networks ?? {
    listen: memory,
    connect: memory,
    address: 'tcp://127.0.0.1:0',
  };
  let welcome!: (peer: Peer) => void;
  const arrival = new Promise<Peer>((resolve) => {
    welcome = resolve;
  });
  const listener = await listenPeers(
    testEnv(networks.listen),
    networks.address,
    { nodeId: 'far', service: options.service ?? {}, ...options.far },
    welcome,
  );
  onTestFinished(() => listener.close(0));
  const near = await connectPeer(testEnv(networks.connect), listener.address, {
    nodeId: 'near',
    ...options.near,
  });
  onTestFinished(() => near.destroy());
  return { near, far: await arrival, listener };
}

/** A network whose connecting side gets its channel through `wrap`. */
export function wrappedNetwork(
  inner: Network,
  wrap: (channel: FrameChannel) => FrameChannel,
): Network {
  return {
    engine: inner.engine,
    connect: async (address, options) => wrap(await inner.connect(address, options)),
    listen: (address, onChannel, options) => inner.listen(address, onChannel, options),
  };
}

/** The code with which `promise` fails, or what it became instead. */
export async function codeOf(promise: Promise<unknown>): Promise<PaipaiCode | string> {
  try {
    return `settled: ${String(await promise)}`;
  } catch (error) {
    return error instanceof PaipaiError ? error.code : `other: ${String(error)}`;
  }
}

/** The code that `call` throws, or what it did instead. */
export function codeThrown(call: () => unknown): PaipaiCode | string {
  try {
    return `returned: ${String(call())}`;
  } catch (error) {
    return error instanceof PaipaiError ? error.code : `other: ${String(error)}`;
  }
}

/** Something that happens once, to be awaited by a test. */
export function event<T = void>(): { promise: Promise<T>; fire: (value: T) => void } {
  let fire!: (value: T) => void;
  const promise = new Promise<T>((resolve) => {
    fire = resolve;
  });
  return { promise, fire };
}

/** Fires when the signal does. */
export function fired(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

export function bytes(of: string): Uint8Array {
  return new TextEncoder().encode(of);
}

/** `byteCount` bytes that differ from place to place. */
export function pattern(byteCount: number, seed = 1): Uint8Array {
  const made = new Uint8Array(byteCount);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < byteCount; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    made[i] = state >>> 24;
  }
  return made;
}
