import { describe, expect, onTestFinished, test } from 'vitest';
import { QuorumPeers } from '../../../dist/node/quorum-peers.js';
import { listenPeers } from '../../../dist/session/listen.js';
import type { IncomingRequest, Peer } from '../../../dist/session/types.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { codeOf } from '../../support/session-pair.js';
import { testEnv } from '../../support/test-env.js';

async function peersOf(answer: (request: IncomingRequest) => Promise<Uint8Array>) {
  const env = testEnv(new MemoryNetwork());
  const listener = await listenPeers(env, 'tcp://127.0.0.1:0', {
    nodeId: 'b',
    service: { onRequest: answer },
  });
  onTestFinished(() => listener.close(0));
  const peers = new QuorumPeers({
    env,
    session: { nodeId: 'a' },
    addressOf: async (id) => (id === 'nowhere' ? undefined : listener.address),
  });
  onTestFinished(() => peers.close());
  return peers;
}

const question = new Uint8Array([1]);

describe('members of a quorum', () => {
  test('ask each other over one connection, and over a new one when a question was not answered in time', async () => {
    const asked: Peer[] = [];
    const peers = await peersOf(({ peer }) => {
      asked.push(peer);
      return asked.length === 3 ? new Promise(() => {}) : Promise.resolve(question);
    });
    const ask = (): Promise<Uint8Array> => peers.ask('b', question, 200);
    expect(await ask()).toEqual(question);
    expect(await ask()).toEqual(question);
    expect(await codeOf(ask())).toBe('PAIPAI_ERR_DEADLINE');
    expect(await ask()).toEqual(question);
    const [first, second, third, fourth] = asked;
    expect([second, third]).toEqual([first, first]);
    expect(fourth).not.toBe(first);
  });

  test('are asked by their names: nobody who has another, or no address', async () => {
    const peers = await peersOf(async () => question);
    expect(await codeOf(peers.ask('c', question, 1_000))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
    expect(await codeOf(peers.ask('nowhere', question, 1_000))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
  });
});
