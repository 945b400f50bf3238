import { describe, expect, onTestFinished, test } from 'vitest';
import { Deadlines } from '../../../dist/session/deadlines.js';
import { Heartbeat } from '../../../dist/session/heartbeat.js';
import { Link } from '../../../dist/session/link.js';
import { checkSettings } from '../../../dist/session/settings.js';
import type { SessionOptions } from '../../../dist/session/types.js';
import { parseAddress } from '../../../dist/transport/address.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { FrameType } from '../../../dist/wire/frame.js';
import { RawPeer } from '../../support/raw-peer.js';
import { codeThrown } from '../../support/session-pair.js';
import { ManualTime } from '../../support/test-env.js';

/** A heartbeat over a real channel, in a time of the test's own. */
async function beating(intervalMs: number, timeoutMs: number) {
  const network = new MemoryNetwork();
  let remote!: RawPeer;
  const listener = await network.listen(parseAddress('tcp://127.0.0.1:0'), (channel) => {
    remote = new RawPeer(channel);
  });
  onTestFinished(() => listener.close());
  const channel = await network.connect(listener.address);
  onTestFinished(() => channel.destroy());
  const time = new ManualTime();
  const settings = checkSettings({ nodeId: 'near', heartbeat: { intervalMs, timeoutMs } });
  const deadlines = new Deadlines(time.env());
  const link = new Link(channel, { settings, deadlines, role: 'connect', onGone() {} });
  let silentAtMs: number | null = null;
  link.onSilent = () => {
    silentAtMs = time.nowMs;
  };
  const heartbeat = new Heartbeat(link, { intervalMs, timeoutMs });
  return {
    time,
    link,
    heartbeat,
    remote,
    silentAtMs: () => silentAtMs,
    hear: () => {
      link.bytesReceived += 32;
    },
    say: () => {
      link.bytesSent += 32;
    },
  };
}

describe('heartbeat', () => {
  test('pings a silent peer each interval, and gives it up before the timeout is over', async () => {
    const { time, link, silentAtMs, remote } = await beating(1_000, 10_000);
    time.advance(1_100);
    expect(link.framesSent).toBe(1);
    expect((await remote.next(FrameType.ping)).payload).toHaveLength(0);
    time.advance(7_800);
    expect(silentAtMs()).toBeNull();
    expect(link.framesSent).toBeGreaterThanOrEqual(6);
    time.advance(1_100);
    expect(silentAtMs()).toBeGreaterThanOrEqual(9_000);
    expect(silentAtMs()).toBeLessThanOrEqual(10_000);
  });

  test('while both sides say something nobody is pinged, nor given up', async () => {
    const { time, link, silentAtMs, hear, say } = await beating(1_000, 3_000);
    for (let i = 0; i < 100; i++) {
      hear();
      say();
      time.advance(500);
    }
    expect(link.framesSent).toBe(0);
    expect(silentAtMs()).toBeNull();
  });

  // Its peer's pings may lie behind more than it reads before the timeout.
  test('a side that only hears gives a sign of life each interval', async () => {
    const { time, link, hear } = await beating(1_000, 3_000);
    for (let i = 0; i < 100; i++) {
      hear();
      time.advance(100);
    }
    expect(link.framesSent).toBeGreaterThanOrEqual(7);
    expect(link.framesSent).toBeLessThanOrEqual(10);
  });

  test('a peer that answers pings is not given up', async () => {
    const { time, link, silentAtMs, hear } = await beating(1_000, 3_000);
    for (let answered = 0; time.nowMs < 60_000; time.advance(100)) {
      if (link.framesSent === answered) continue;
      answered = link.framesSent;
      hear();
    }
    expect(link.framesSent).toBeGreaterThan(20);
    expect(silentAtMs()).toBeNull();
  });

  test('time in which this side stood still is not the peer’s silence', async () => {
    const { time, silentAtMs, hear } = await beating(1_000, 3_000);
    time.advance(1_500);
    // Timers could not run; what the peer sent is read after the first of them.
    time.nowMs += 60_000;
    time.advance(1);
    hear();
    time.advance(1_000);
    expect(silentAtMs()).toBeNull();
  });

  test('stopped', async () => {
    const { time, link, heartbeat, silentAtMs } = await beating(1_000, 3_000);
    heartbeat.stop();
    time.advance(10_000);
    expect(silentAtMs()).toBeNull();
    expect(link.framesSent).toBe(0);
  });

  test.each<[SessionOptions['heartbeat'], object | null]>([
    [false, null],
    [undefined, null],
    [{}, { intervalMs: 10_000, timeoutMs: 30_000 }],
    [{ intervalMs: 5 }, { intervalMs: 5, timeoutMs: 15 }],
    [{ timeoutMs: 9 }, { intervalMs: 3, timeoutMs: 9 }],
    [
      { intervalMs: 5, timeoutMs: 10 },
      { intervalMs: 5, timeoutMs: 10 },
    ],
  ])('the option %o is %o', (heartbeat, settings) => {
    expect(
      checkSettings({ nodeId: 'n', ...(heartbeat !== undefined && { heartbeat }) }).heartbeat,
    ).toEqual(settings);
  });

  test.each([
    true,
    1,
    null,
    { intervalMs: 0 },
    { timeoutMs: Number.NaN },
    { timeoutMs: -1 },
    { intervalMs: 5, timeoutMs: 9 },
    { intervalMs: '5' },
  ])('the option %o is refused', (heartbeat) => {
    expect(codeThrown(() => checkSettings({ nodeId: 'n', heartbeat: heartbeat as never }))).toBe(
      'PAIPAI_ERR_INVALID_ARGUMENT',
    );
  });
});
