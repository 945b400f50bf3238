import { describe, expect, test } from 'vitest';
import { codeNumbers } from '../../../dist/base/codes.js';
import { listenPeers } from '../../../dist/session/listen.js';
import type { ListenOptions, Peer } from '../../../dist/session/types.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { FrameType } from '../../../dist/wire/frame.js';
import { type RawFrame, RawPeer } from '../../support/raw-peer.js';
import { bytes, codeOf, event, text } from '../../support/session-pair.js';
import { testEnv } from '../../support/test-env.js';

const address = 'tcp://127.0.0.1:7100';

/** A raw peer in session with ours, which echoes requests and swallows streams unless told otherwise. */
async function against(
  options: Partial<ListenOptions> = {},
): Promise<{ raw: RawPeer; peer: Peer }> {
  const network = new MemoryNetwork();
  const arrival = event<Peer>();
  const service: ListenOptions['service'] = {
    onRequest: (request) => request.payload,
    onStream: async (stream) => {
      for await (const _ of stream);
    },
  };
  await listenPeers(
    testEnv(network),
    address,
    { nodeId: 'ours', service, ...options },
    arrival.fire,
  );
  const raw = await RawPeer.ready(network, address);
  raw.send(FrameType.name, { name: 1, payload: bytes('method') });
  return { raw, peer: await arrival.promise };
}

type Frame = [type: number, fields?: Partial<RawFrame> & { flags?: number }];

const request: Frame = [FrameType.request, { name: 1, streamId: 1 }];
const open: Frame = [FrameType.streamOpen, { name: 1, streamId: 1 }];
const kibi64 = 64 * 1024;

describe('a peer that breaks a rule hears GOODBYE with PROTOCOL, and the connection ends', () => {
  test.each<[string, Frame[]]>([
    ['a type that does not exist', [[99]]],
    ['flags', [[FrameType.request, { name: 1, streamId: 1, flags: 1 }]]],
    ['a second hello', [[FrameType.hello]]],
    ['a second ready', [[FrameType.ready]]],
    ['a name never introduced', [[FrameType.request, { name: 2, streamId: 1 }]]],
    ['name 0', [[FrameType.message, { name: 0 }]]],
    ['a name introduced twice', [[FrameType.name, { name: 1, payload: bytes('again') }]]],
    ['a name under index 0', [[FrameType.name, { name: 0, payload: bytes('x') }]]],
    ['an empty name', [[FrameType.name, { name: 2 }]]],
    [
      'a name of 256 bytes',
      [[FrameType.name, { name: 2, payload: new Uint8Array(256).fill(120) }]],
    ],
    ['a name that is not UTF-8', [[FrameType.name, { name: 2, payload: new Uint8Array([0xff]) }]]],
    ['request id 0', [[FrameType.request, { name: 1, streamId: 0 }]]],
    ['a request id of our parity', [[FrameType.request, { name: 1, streamId: 2 }]]],
    ['a request id used twice', [request, request]],
    ['a request id that falls', [[FrameType.request, { name: 1, streamId: 3 }], request]],
    ['a stream id used for a request', [open, request]],
    ['a message on a stream', [[FrameType.message, { name: 1, streamId: 1 }]]],
    ['an answer never asked for', [[FrameType.response, { streamId: 2 }]]],
    ['an error never asked for', [[FrameType.error, { streamId: 2, argument: 44 }]]],
    ['an answer to a request of its own', [request, [FrameType.response, { streamId: 1 }]]],
    ['cancel of a request never made', [[FrameType.cancel, { streamId: 1, argument: 41 }]]],
    ['cancel for no reason there is', [request, [FrameType.cancel, { streamId: 1, argument: 0 }]]],
    [
      'data for a stream never opened',
      [[FrameType.streamData, { streamId: 1, payload: bytes('x') }]],
    ],
    ['an end for a stream never opened', [[FrameType.streamEnd, { streamId: 1 }]]],
    ['a reset for a stream never opened', [[FrameType.streamReset, { streamId: 1, argument: 45 }]]],
    ['credit for a stream never opened', [[FrameType.credit, { streamId: 1, argument: 1 }]]],
    ['credit of 0', [open, [FrameType.credit, { streamId: 1, argument: 0 }]]],
    ['credit of 2^31', [open, [FrameType.credit, { streamId: 1, argument: 0x8000_0000 }]]],
    ['empty data', [open, [FrameType.streamData, { streamId: 1 }]]],
    [
      'a chunk above 256 KiB',
      [open, [FrameType.streamData, { streamId: 1, payload: new Uint8Array(256 * 1024 + 1) }]],
    ],
    [
      'metadata above 64 KiB',
      [[FrameType.streamOpen, { name: 1, streamId: 1, payload: new Uint8Array(kibi64 + 1) }]],
    ],
    [
      'a trailer above 64 KiB',
      [open, [FrameType.streamEnd, { streamId: 1, payload: new Uint8Array(kibi64 + 1) }]],
    ],
    ['an end that counts other bytes', [open, [FrameType.streamEnd, { streamId: 1, argument: 1 }]]],
    [
      'a second end',
      [open, [FrameType.streamEnd, { streamId: 1 }], [FrameType.streamEnd, { streamId: 1 }]],
    ],
    ['a ping above 64 bytes', [[FrameType.ping, { payload: new Uint8Array(65) }]]],
    ['a ping on a stream', [[FrameType.ping, { streamId: 1 }]]],
  ])('%s', async (_, frames) => {
    const { raw, peer } = await against({
      service: { onStream: () => {}, onRequest: (r) => r.payload },
    });
    for (const [type, fields] of frames) raw.send(type, fields);
    const goodbye = await raw.next(FrameType.goodbye);
    expect(goodbye.argument).toBe(codeNumbers.PAIPAI_ERR_PROTOCOL);
    await raw.closed;
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
    expect(peer.state).toBe('closed');
  });

  test('data beyond the credit', async () => {
    const { raw, peer } = await against({ streamWindowBytes: 64 * 1024 });
    raw.send(...open);
    const { argument: credit } = await raw.next(FrameType.credit);
    expect(credit).toBe(64 * 1024);
    raw.send(FrameType.streamData, { streamId: 1, payload: new Uint8Array(credit + 1) });
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
  });

  test('data into a sink beyond the credit', async () => {
    const { raw, peer } = await against({
      inFlightBytesMax: 1024 * 1024,
      service: {
        onStream: (stream) =>
          void stream.receiveInto(new Uint8Array(4 * 1024 * 1024)).catch(() => {}),
      },
    });
    raw.send(...open);
    const { argument: credit } = await raw.next(FrameType.credit);
    expect(credit).toBeLessThan(1024 * 1024);
    for (let i = 0; i < 8; i++) {
      raw.send(FrameType.streamData, { streamId: 1, payload: new Uint8Array(256 * 1024) });
    }
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
  });
});

describe('what a peer may do', () => {
  test('a ping is answered with its bytes and its number', async () => {
    const { raw } = await against();
    raw.send(FrameType.ping, { argument: 7, payload: new Uint8Array(64).fill(3) });
    expect(await raw.next(FrameType.pong)).toMatchObject({
      argument: 7,
      payload: new Uint8Array(64).fill(3),
    });
  });

  test('frames for what is over are ignored', async () => {
    const { raw, peer } = await against();
    raw.send(...request);
    await raw.next(FrameType.response);
    raw.send(FrameType.cancel, { streamId: 1, argument: codeNumbers.PAIPAI_ERR_ABORTED });
    raw.send(FrameType.streamOpen, { name: 1, streamId: 3 });
    raw.send(FrameType.streamReset, { streamId: 3, argument: codeNumbers.PAIPAI_ERR_STREAM_RESET });
    raw.send(FrameType.streamData, { streamId: 3, payload: bytes('late') });
    raw.send(FrameType.streamEnd, { streamId: 3, argument: 4 });
    raw.send(FrameType.credit, { streamId: 3, argument: 1 });
    raw.send(FrameType.request, { name: 1, streamId: 5, payload: bytes('still here') });
    expect(text((await raw.next(FrameType.response)).payload)).toBe('still here');
    expect(peer.state).toBe('open');
  });

  test('a second answer is ignored, and a late one after giving up', async () => {
    const { raw, peer } = await against();
    const first = peer.request('ask');
    const { streamId } = await raw.next(FrameType.request);
    raw.send(FrameType.response, { streamId, payload: bytes('one') });
    raw.send(FrameType.response, { streamId, payload: bytes('two') });
    expect(text(await first)).toBe('one');

    const second = codeOf(peer.request('ask', undefined, { deadlineMs: 5 }));
    const { streamId: secondId } = await raw.next(FrameType.request);
    expect(await second).toBe('PAIPAI_ERR_DEADLINE');
    const cancel = await raw.next(FrameType.cancel);
    expect(cancel).toMatchObject({ streamId: secondId, argument: codeNumbers.PAIPAI_ERR_DEADLINE });
    raw.send(FrameType.response, { streamId: secondId, payload: bytes('late') });
    raw.send(FrameType.request, { name: 1, streamId: 1 });
    await raw.next(FrameType.response);
    expect(peer.state).toBe('open');
  });

  test('a method is introduced once and its deadline travels', async () => {
    const { raw, peer } = await against();
    const asked = [
      peer.request('ask', undefined, { deadlineMs: 1_234.5 }),
      peer.request('ask', undefined, { deadlineMs: Infinity }),
      peer.request('ask'),
    ];
    const requests = [
      await raw.next(FrameType.request),
      await raw.next(FrameType.request),
      await raw.next(FrameType.request),
    ];
    expect(requests.map(({ argument }) => argument)).toEqual([1_235, 0, 30_000]);
    expect(requests.map(({ streamId }) => streamId)).toEqual([2, 4, 6]);
    await raw.next(FrameType.name);
    expect(raw.frames.some(({ type }) => type === FrameType.name)).toBe(false);
    for (const { streamId } of requests) raw.send(FrameType.response, { streamId });
    await Promise.all(asked);
  });

  test('an error of an unknown number reads as REMOTE', async () => {
    const { raw, peer } = await against();
    const answer = codeOf(peer.request('ask'));
    const { streamId } = await raw.next(FrameType.request);
    raw.send(FrameType.error, { streamId, argument: 4_000_000 });
    expect(await answer).toBe('PAIPAI_ERR_REMOTE');
  });

  test('GOODBYE without a number is an orderly end, also in the middle of work', async () => {
    const { raw, peer } = await against();
    const answer = codeOf(peer.request('ask'));
    await raw.next(FrameType.request);
    raw.send(FrameType.goodbye);
    expect(await answer).toBe('PAIPAI_ERR_PEER_CLOSED');
    expect(await peer.closed).toBeNull();
    expect((await raw.next(FrameType.goodbye)).argument).toBe(0);
  });

  test('GOODBYE with a number is the reason', async () => {
    const { raw, peer } = await against();
    raw.send(FrameType.goodbye, { argument: codeNumbers.PAIPAI_ERR_OVERLOADED });
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_OVERLOADED' });
  });

  test('an end without GOODBYE is no orderly one', async () => {
    const { raw, peer } = await against();
    raw.channel.close();
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
  });

  test('who asks for more than it reads is refused, then dropped', async () => {
    const { raw, peer } = await against({
      inFlightBytesMax: 1024 * 1024,
      service: { onRequest: () => new Uint8Array(600 * 1024) },
    });
    raw.channel.pause();
    for (let id = 1; id <= 5; id += 2) raw.send(FrameType.request, { name: 1, streamId: id });
    raw.send(FrameType.ping);
    await codeOf(peer.request('x', undefined, { deadlineMs: 20 }));
    raw.channel.resume();
    await raw.next(FrameType.pong);
    const answers = raw.frames.filter(
      ({ type }) => type === FrameType.response || type === FrameType.error,
    );
    expect(answers.map(({ type, argument }) => [type, argument])).toEqual([
      [FrameType.response, 0],
      [FrameType.response, 0],
      [FrameType.error, codeNumbers.PAIPAI_ERR_OVERLOADED],
    ]);
    raw.channel.pause();
    for (let i = 0; i < 30_000; i++) raw.send(FrameType.ping, { payload: new Uint8Array(64) });
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_BACK_PRESSURE' });
  });
});
