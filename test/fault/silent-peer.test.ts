import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Peer, PeerStream } from '../../dist/api/transport.js';
import { connecting, once, type Setting, wireTo } from '../contract/transport-pairs.js';
import { bound } from '../support/bounds.js';
import { bytes, codeOf, fired, pattern, text } from '../support/session-pair.js';

const program = fileURLToPath(new URL('../accept/soak/server.mjs', import.meta.url));
const closed = 'PAIPAI_ERR_PEER_CLOSED';
const deadline = 'PAIPAI_ERR_DEADLINE';
/** What even a quiet machine may add to a time. */
const slackMs = 250;

const settings: (Setting & { over: string })[] = [
  { connecting: 'native', listening: 'native', scheme: 'tcp', over: 'TCP' },
  {
    connecting: 'native',
    listening: 'native',
    scheme: 'tcp',
    sharesMemory: true,
    over: 'shared memory',
  },
  { connecting: 'js', listening: 'js', scheme: 'tcp', over: 'TCP' },
];

/** A process that echoes requests and streams. */
async function server({ listening }: Setting): Promise<{ child: ChildProcess; address: string }> {
  const child = fork(program, [listening, 'tcp://127.0.0.1:0'], { execArgv: ['--expose-gc'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const { address } = await once<{ address: string }>(child, 'message');
  return { child, address };
}

/** No heartbeat: what is asked for here is that deadlines do without. */
async function quietPeer(setting: Setting, address: string): Promise<Peer> {
  const peer = await connecting(setting, address, { heartbeat: false });
  expect(text(await peer.request('echo', bytes('here')))).toBe('here');
  return peer;
}

interface Copying {
  stream: PeerStream;
  /** How writing, reading and the other side's end come to an end. */
  ends: Promise<string[]>;
  /** Bytes have come back, so that both directions are under way. */
  underWay: Promise<void>;
}

/** Writes to the echo without end, and reads what comes back. */
function copyWithoutEnd(
  peer: Peer,
  options: { deadlineMs?: number; signal?: AbortSignal } = {},
): Copying {
  const stream = peer.openStream('echo', undefined, options);
  let onBytes: () => void;
  const underWay = new Promise<void>((resolve) => {
    onBytes = resolve;
  });
  const writing = async (): Promise<void> => {
    const content = pattern(300_000);
    for (;;) await stream.write(content);
  };
  const reading = async (): Promise<void> => {
    for await (const chunk of stream) if (chunk.length > 0) onBytes();
  };
  const ends = Promise.all([writing(), reading(), stream.ended].map(codeOf));
  return { stream, ends, underWay };
}

describe.each(settings)('$connecting over $over', (setting) => {
  test('killed in the middle of a stream: every part of it settles', async () => {
    const { child, address } = await server(setting);
    const peer = await quietPeer(setting, address);
    const { stream, ends, underWay } = copyWithoutEnd(peer);
    await underWay;
    child.kill('SIGKILL');
    expect(await ends).toEqual([closed, closed, closed]);
    expect(stream.signal.aborted).toBe(true);
  });

  test('stopped: requests and streams settle at their deadlines, and go on when it does', async () => {
    const { child, address } = await server(setting);
    const peer = await quietPeer(setting, address);
    const deadlineMs = 500;
    const { stream, underWay } = copyWithoutEnd(peer, { deadlineMs: 30_000 });
    await underWay;
    stream.reset(new Error('enough'));
    await peer.request('echo');
    child.kill('SIGSTOP');
    const startMs = performance.now();
    const late = copyWithoutEnd(peer, { deadlineMs });
    const failures = [
      codeOf(peer.request('echo', pattern(100), { deadlineMs })),
      codeOf(peer.request('echo', pattern(1_000_000), { deadlineMs })),
      codeOf(late.stream.ended),
      fired(late.stream.signal).then((reason) => (reason as { code: string }).code),
    ];
    expect(await Promise.all(failures)).toEqual([deadline, deadline, deadline, deadline]);
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThanOrEqual(deadlineMs);
    expect(tookMs).toBeLessThan(bound(deadlineMs * 1.1 + slackMs));
    child.kill('SIGCONT');
    expect(text(await peer.request('echo', bytes('again')))).toBe('again');
    // A write under way lets go of its bytes with the connection's help, and has now.
    expect(await late.ends).toEqual([deadline, deadline, deadline]);
  });

  test.each<[string, number, (peer: Peer) => Promise<void> | void]>([
    ['closed', 200, (peer) => peer.close(200)],
    ['destroyed', 0, (peer) => peer.destroy()],
  ])('stopped, and %s: everything settles when it should', async (_, graceMs, end) => {
    const { child, address } = await server(setting);
    const peer = await quietPeer(setting, address);
    const copying = copyWithoutEnd(peer);
    await copying.underWay;
    child.kill('SIGSTOP');
    const requests = Array.from({ length: 100 }, () => codeOf(peer.request('echo')));
    const isOver = once(peer, 'close');
    const startMs = performance.now();
    void end(peer);
    expect(new Set(await Promise.all(requests))).toEqual(new Set([closed]));
    expect(performance.now() - startMs).toBeLessThan(bound(graceMs + slackMs));
    expect(await copying.ends).toEqual([closed, closed, closed]);
    await isOver;
    // Saying goodbye to somebody who does not read takes a second at most.
    expect(performance.now() - startMs).toBeLessThan(bound(graceMs + 1_000 + slackMs));
    expect(peer.stats()).toMatchObject({ requestsInFlight: 0, streamsOpen: 0, queuedBytes: 0 });
  });

  test('a stream aborted before, during and after', async () => {
    const { address } = await server(setting);
    const peer = await quietPeer(setting, address);
    const aborted = 'PAIPAI_ERR_ABORTED';
    const before = async (): Promise<unknown> =>
      peer.openStream('echo', undefined, { signal: AbortSignal.abort() }).ended;
    expect(await codeOf(before())).toBe(aborted);
    const during = new AbortController();
    const copying = copyWithoutEnd(peer, { signal: during.signal });
    await copying.underWay;
    during.abort();
    expect(await copying.ends).toEqual([aborted, aborted, aborted]);
    const after = new AbortController();
    const stream = peer.openStream('echo', undefined, { signal: after.signal });
    stream.end();
    await stream.ended;
    after.abort();
    expect(text(await peer.request('echo', bytes('on')))).toBe('on');
    expect(peer.stats().streamsOpen).toBe(0);
  });

  if (setting.sharesMemory) return;

  test.each(['cut', 'reset', 'half-closed'] as const)(
    'the wire is %s in the middle of a stream: every part of it settles',
    async (how) => {
      const { address } = await server(setting);
      const wire = await wireTo(address);
      const peer = await quietPeer(setting, wire.address);
      const over = once<Error>(peer, 'close');
      const { ends, underWay } = copyWithoutEnd(peer);
      await underWay;
      wire.after(10_000, (client, upstream) => {
        if (how === 'reset') {
          client.resetAndDestroy();
          upstream.resetAndDestroy();
        } else if (how === 'cut') {
          client.destroy();
          upstream.end();
        } else {
          upstream.end();
        }
      });
      expect(await ends).toEqual([closed, closed, closed]);
      // The frame under way is cut on this side too.
      const { code } = (await over) as NodeJS.ErrnoException;
      expect([closed, 'PAIPAI_ERR_FRAME_TRUNCATED']).toContain(code);
    },
  );
});
