import { createSocket } from 'node:dgram';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DatagramKey } from '../../../../dist/cluster/membership/datagram-key.js';
import { parseEndpoint } from '../../../../dist/cluster/membership/datagram-network.js';
import {
  decodeMemberView,
  encodeRevision,
} from '../../../../dist/cluster/membership/member-list.js';
import { reached } from '../../../main-job/nets.js';
import {
  hears,
  livingIn,
  openMember,
  startMember,
  startMembers,
} from '../../../support/members.js';
import { quietPort } from '../../../support/quiet-port.js';
import { codeOf } from '../../../support/session-pair.js';

/** Over real sockets on loopback. Nobody is buried for silence here, unless a test says so: what dies does so by its closed port. */
const patient = {
  parameters: {
    suspicionLeastMs: 3_600_000,
    probeIntervalMs: 100,
    probeTimeoutMs: 50,
    // All of them share one loop, which may stand still for longer than a probe waits.
    stallNoticeMs: 20,
  },
};

describe('members', () => {
  test('find each other through one that they join, and tell what they know', async () => {
    const [a, b, c] = await startMembers(3);
    expect(a.heard).toEqual(['joined', 'join b', 'join c']);
    expect(b.heard.slice(0, 2)).toEqual(['joined', 'join a']);
    expect(new Set(c.heard)).toEqual(new Set(['joined', 'join a', 'join b']));
    const [self, ...others] = c.membership.members();
    expect(self).toMatchObject({ nodeId: 'c', state: 'alive', address: c.address, weight: 1 });
    const addresses = others.map(({ nodeId, address }) => [nodeId, address]).sort();
    expect(addresses).toEqual([
      ['a', a.address],
      ['b', b.address],
    ]);
  });

  test('hear what one has to do, which is no news for those who watch', async () => {
    const [a, b] = await startMembers(3, patient);
    const loadOfA = () => b.membership.members().find(({ nodeId }) => nodeId === 'a')?.load;
    const { signal } = new AbortController();
    const ask = async (revision: number) =>
      decodeMemberView(await b.membership.answerWatch(encodeRevision(revision), signal));
    const { revision } = await ask(0);
    const watching = ask(revision);
    const load = { inFlight: 5, latencyMs: 12.5, cpu: 0.75, storedBytes: 1_000_000 };
    a.membership.tellLoad(load);
    expect(await reached(10_000, () => loadOfA()?.inFlight === 5)).toBe(true);
    expect(loadOfA()).toEqual(load);
    expect(b.heard).not.toContain('update a');
    // The first thing that happens is what ends the wait.
    await a.membership.close();
    const { revision: next, members } = await watching;
    expect(next).toBe(revision + 1);
    expect(members?.find(({ nodeId }) => nodeId === 'a')).toMatchObject({ state: 'left', load });
  });

  test('end a watch whose caller is gone, and all of them when they leave', async () => {
    const a = await startMember('a', patient);
    const stop = new AbortController();
    const { revision } = decodeMemberView(
      await a.membership.answerWatch(encodeRevision(0), stop.signal),
    );
    const gone = a.membership.answerWatch(encodeRevision(revision), stop.signal);
    stop.abort();
    expect(decodeMemberView(await gone).revision).toBe(revision);
    const waiting = a.membership.answerWatch(
      encodeRevision(revision),
      new AbortController().signal,
    );
    const code = codeOf(waiting);
    await a.membership.close();
    expect(await code).toBe('PAIPAI_ERR_CLOSED');
  });

  test('hear that one has said goodbye, and do not suspect it', async () => {
    const [a, b, c] = await startMembers(3, patient);
    await c.membership.close();
    for (const member of [a, b]) {
      expect(await hears(member, 'leave c')).toBe(true);
      expect(member.heard).not.toContain('suspect c');
    }
  });

  test('bury one whose port is closed, and take it back when it returns', async () => {
    const [a, b, c] = await startMembers(3, patient);
    await c.crash();
    expect(await hears(a, 'fail c')).toBe(true);
    expect(await hears(b, 'fail c')).toBe(true);
    const again = await startMember('c', { ...patient, seeds: [b.address] });
    expect(await reached(10_000, () => livingIn(a.membership).includes('c'))).toBe(true);
    expect(livingIn(again.membership)).toEqual(['a', 'b', 'c']);
    expect(a.heard.filter((word) => word === 'join c')).toHaveLength(2);
  });

  test('of two bury the silent one after its suspicion, because one witness is not enough', async () => {
    const fast = {
      parameters: { suspicionLeastMs: 300, probeIntervalMs: 100, probeTimeoutMs: 50 },
    };
    const a = await startMember('a', fast);
    const b = await startMember('b', { ...fast, seeds: [a.address] });
    expect(await hears(a, 'join b')).toBe(true);
    await b.crash();
    expect(await hears(a, 'suspect b', 'fail b')).toBe(true);
  });
});

describe('a node that joins', () => {
  test('goes on trying when its seed is down, and serves meanwhile', async () => {
    const port = await quietPort();
    const seed = `tcp://127.0.0.1:${port}`;
    const late = await startMember('late', { seeds: [seed] });
    expect(late.membership.isMember).toBe(false);
    expect(late.membership.joinProblem).toMatchObject({
      code: 'PAIPAI_ERR_NODE_START',
      address: seed,
    });
    expect(late.membership.members()).toMatchObject([{ nodeId: 'late' }]);
    await startMember('seed', { port });
    expect(await hears(late, 'joined', 'join seed')).toBe(true);
    expect(late.membership.joinProblem).toBeNull();
  });

  test('founds a net with another that waits for it in turn', async () => {
    const port = await quietPort();
    const a = await startMember('a', { seeds: [`tcp://127.0.0.1:${port}`] });
    const b = await startMember('b', { port, seeds: [a.address] });
    expect(await hears(a, 'joined', 'join b')).toBe(true);
    expect(await hears(b, 'joined', 'join a')).toBe(true);
    expect(a.failures).toEqual([]);
  });

  test('and finds but itself among its seeds founds a net', async () => {
    const port = await quietPort();
    const own = await startMember('own', { port, seeds: [`tcp://127.0.0.1:${port}`] });
    expect(own.membership.isMember).toBe(true);
  });

  test.each([
    ['another secret', { secret: 'something else, and long' }, 'PAIPAI_ERR_SECRET'],
    ['no secret', {}, 'PAIPAI_ERR_SECRET'],
    ['another net', { secret: 'open sesame, please', netName: 'other' }, 'PAIPAI_ERR_NET_NAME'],
  ])('with %s is refused, and the net hears nothing of it', async (_what, options, code) => {
    const a = await startMember('a', { secret: 'open sesame, please' });
    const stranger = await openMember('b', { ...options, seeds: [a.address] });
    expect(await codeOf(stranger.membership.start())).toBe(code);
    expect(a.membership.members()).toHaveLength(1);
    expect(a.heard).toEqual(['joined']);
  });

  test('under the id of one that lives is refused; who has the id keeps it and hears of it', async () => {
    const [a, b] = await startMembers(3);
    const second = await openMember('b', { seeds: [a.address] });
    await expect(second.membership.start()).rejects.toMatchObject({
      code: 'PAIPAI_ERR_DUPLICATE_ID',
      nodeId: 'b',
    });
    expect(await hears(b, 'duplicate b')).toBe(true);
    expect(livingIn(a.membership)).toEqual(['a', 'b', 'c']);
    expect(a.heard).not.toContain('suspect b');
  });

  test('under the id of one that was just killed takes it over', async () => {
    const [a, , c] = await startMembers(3, patient);
    await c.crash();
    const again = await startMember('c', { ...patient, seeds: [a.address] });
    expect(again.membership.isMember).toBe(true);
    expect(await reached(10_000, () => livingIn(a.membership).length === 3)).toBe(true);
  });

  test('can be closed in the middle of it', async () => {
    const a = await startMember('a');
    const b = await openMember('b', { seeds: [a.address] });
    const starting = b.membership.start();
    await b.membership.close();
    await starting;
    expect(() => b.membership.answerExchange(new Uint8Array(9))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_CLOSED' }),
    );
  });
});

test('garbage that comes as datagrams is counted, and changes nothing', async () => {
  const [a, b, c] = await startMembers(3, { secret: 'open sesame, please' });
  const { port = 0 } = parseEndpoint(a.datagramAddress) ?? {};
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  const { ignored } = a.membership.counts;
  const thrown: [Uint8Array, keyof typeof ignored][] = [
    [new Uint8Array(0), 'malformed'],
    [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'malformed'],
    [new Uint8Array(1_401), 'tooLarge'],
    [new DatagramKey('other', new Uint8Array(0)).seal(1, new Uint8Array(40)), 'netName'],
    [new DatagramKey('net', Buffer.from('another secret')).seal(1, new Uint8Array(40)), 'key'],
    [
      new DatagramKey('net', Buffer.from('open sesame, please')).seal(1, new Uint8Array(40)),
      'malformed',
    ],
  ];
  for (const [bytes] of thrown) socket.send(bytes, port, '127.0.0.1');
  const sum = (): number => Object.values(ignored).reduce((all, count) => all + count, 0);
  expect(await reached(10_000, () => sum() === thrown.length)).toBe(true);
  expect(ignored).toMatchObject({ malformed: 3, tooLarge: 1, netName: 1, key: 1 });
  for (const { membership } of [a, b, c]) expect(livingIn(membership)).toEqual(['a', 'b', 'c']);
});
