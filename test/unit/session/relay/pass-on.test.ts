import { describe, expect, onTestFinished, test } from 'vitest';
import { deferred } from '../../../../dist/base/deferred.js';
import { PaipaiError } from '../../../../dist/base/errors.js';
import { passOn } from '../../../../dist/session/relay/pass-on.js';
import type { Peer, PeerStream } from '../../../../dist/session/types.js';
import { bytes, codeOf, fired, pattern, sessionPair } from '../../../support/session-pair.js';

/** A client, a hub that passes one stream on, and a node at the other end of it. */

const kibi = 1024;
const windowBytes = 1024 * kibi;

interface Relayed {
  readonly near: PeerStream;
  readonly far: PeerStream;
  readonly client: Peer;
  readonly hubToNode: Peer;
  /** How passing on has ended: null when in order. */
  readonly passed: Promise<unknown>;
}

async function relay(): Promise<Relayed> {
  const farArrived = deferred<PeerStream>();
  const isDone = deferred<void>();
  onTestFinished(() => isDone.resolve());
  const toNode = await sessionPair({
    service: {
      onStream: (stream) => {
        farArrived.resolve(stream);
        return isDone.promise;
      },
    },
  });
  const passed = deferred<unknown>();
  const toHub = await sessionPair({
    service: {
      onRequest: ({ payload }) => payload,
      onStream: async (stream) => {
        const far = toNode.near.openStream('accept');
        try {
          await passOn(stream, far);
          passed.resolve(null);
        } catch (thrown) {
          far.reset(thrown as Error);
          passed.resolve(thrown);
          throw thrown;
        }
      },
    },
  });
  const near = toHub.near.openStream('open');
  return {
    near,
    far: await farArrived.promise,
    client: toHub.near,
    hubToNode: toNode.near,
    passed: passed.promise,
  };
}

async function contentOf(stream: PeerStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('passing on', () => {
  test('brings every byte and the trailers both ways, and ends with both directions', async () => {
    const { near, far, passed } = await relay();
    const [there, back] = [pattern(3 * windowBytes), pattern(700)];
    const nearContent = contentOf(near);
    const farContent = contentOf(far);
    await far.write(back);
    far.end(bytes('from the node'));
    expect(await nearContent).toEqual(Buffer.from(back));
    await near.write(there);
    near.end(bytes('from the client'));
    expect(Buffer.compare(await farContent, there)).toBe(0);
    expect(Buffer.from(await near.ended).toString()).toBe('from the node');
    expect(Buffer.from(await far.ended).toString()).toBe('from the client');
    expect(await passed).toBeNull();
  });

  test('reads little further than a window while the other side takes nothing', async () => {
    const { near, far, client } = await relay();
    const piece = pattern(64 * kibi);
    let takenBytes = 0;
    const written = Array.from({ length: 64 }, () =>
      near.write(piece).then(() => {
        takenBytes += piece.length;
      }),
    );
    await Promise.all(written.slice(0, windowBytes / piece.length));
    // Whatever credit the hub gave before its answer is here with it.
    for (let turn = 0; turn < 10; turn++) await client.request('echo');
    // Credit returns for the chunks on their way out, 512 KiB, in quarters of the window.
    expect(takenBytes).toBeLessThanOrEqual(1.75 * windowBytes);
    const content = contentOf(far);
    await Promise.all(written);
    near.end();
    expect((await content).length).toBe(64 * piece.length);
  });

  test('a reset on either side is one on the other, with its code', async () => {
    const fromClient = await relay();
    const farContent = contentOf(fromClient.far);
    fromClient.near.reset(new PaipaiError('PAIPAI_ERR_ABORTED', 'no more of it'));
    expect(await codeOf(farContent)).toBe('PAIPAI_ERR_ABORTED');
    expect(await fromClient.passed).toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });

    const fromNode = await relay();
    fromNode.far.reset(new PaipaiError('PAIPAI_ERR_OVERLOADED', 'too much of it'));
    expect(await fired(fromNode.near.signal)).toMatchObject({ code: 'PAIPAI_ERR_OVERLOADED' });
  });

  test('a connection that ends on either side ends the stream on the other', async () => {
    const lostClient = await relay();
    lostClient.client.destroy();
    expect(await fired(lostClient.far.signal)).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });

    const lostNode = await relay();
    lostNode.hubToNode.destroy();
    expect(await fired(lostNode.near.signal)).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
  });

  test('notices that one side is gone while it waits for the other', async () => {
    const { near, client, passed } = await relay();
    const piece = pattern(64 * kibi);
    const written = Array.from({ length: 64 }, () => near.write(piece));
    for (const write of written) write.catch(() => {});
    // The node reads nothing, so by now the hub waits for it.
    await Promise.all(written.slice(0, windowBytes / piece.length));
    for (let turn = 0; turn < 10; turn++) await client.request('echo');
    client.destroy();
    expect(await passed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
  });

  test('brings what came whole though the connection has ended', async () => {
    const { near, far, hubToNode, client } = await relay();
    const content = pattern(windowBytes / 2);
    await far.write(content);
    far.end(bytes('all of it'));
    // It lies at the hub when this has gone there and back.
    await hubToNode.request('echo').catch(() => {});
    await client.request('echo');
    hubToNode.destroy();
    expect(Buffer.compare(await contentOf(near), content)).toBe(0);
    expect(Buffer.from(await near.ended).toString()).toBe('all of it');
    expect(await fired(near.signal)).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
  });
});
