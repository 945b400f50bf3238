import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { loadNative } from '../../dist/native/load.js';
import { type Address, parseAddress } from '../../dist/transport/address.js';
import type { FrameChannel, FrameReceiver } from '../../dist/transport/frame-channel.js';
import { NativeNetwork } from '../../dist/transport/native-network.js';

export function nativeNetwork(): NativeNetwork {
  const loaded = loadNative();
  if (!loaded.ok) throw new Error(loaded.reason);
  return new NativeNetwork(loaded.binding);
}

export function unixAddress(): Address {
  const folder = mkdtempSync(join(tmpdir(), 'paipai-lifetime-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return parseAddress(`unix://${folder}/socket`);
}

/** A receiver that does nothing but what is given. */
export function receiver(own: Partial<FrameReceiver> = {}): FrameReceiver {
  return { onFrame() {}, onSink() {}, onDrain() {}, onClose() {}, ...own };
}

/** A connected pair whose receivers do nothing yet. */
export async function nativePair(
  network: NativeNetwork,
  address: Address = unixAddress(),
): Promise<[FrameChannel, FrameChannel]> {
  let accept!: (channel: FrameChannel) => void;
  const accepted = new Promise<FrameChannel>((resolve) => {
    accept = resolve;
  });
  const listener = await network.listen(address, (channel) => {
    channel.receiver = receiver();
    accept(channel);
  });
  const client = await network.connect(listener.address);
  client.receiver = receiver();
  const server = await accepted;
  await listener.close();
  onTestFinished(() => {
    client.destroy();
    server.destroy();
  });
  return [client, server];
}

/** Turns of the loop until `done`; the test's own timeout is the limit. */
export async function turnsUntil(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

/** Collects garbage until `done`, with turns between. */
export async function collectUntil(done: () => boolean): Promise<void> {
  await turnsUntil(() => {
    globalThis.gc!();
    return done();
  });
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Bytes that differ from place to place and are the same for the same seed. */
export function patternBytes(byteCount: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  let state = seed;
  for (let i = 0; i < byteCount; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
