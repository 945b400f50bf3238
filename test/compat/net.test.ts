import * as nodeNet from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as ourNet from '../../dist/drop-in/net.js';
import { type NetModule, Recorder } from './recorder.js';
import { scenarios } from './scenarios.js';
import { runSteps, stepsOf } from './sequences.js';

/** The same scripts through `node:net` and through ours: what their sockets and servers say must be the same. */

async function logsOf(
  net: NetModule,
  script: (net: NetModule, recorder: Recorder) => Promise<void>,
): Promise<Record<string, string[]>> {
  const recorder = new Recorder();
  await script(net, recorder);
  return recorder.logs;
}

describe('what node:net does, ours does', () => {
  test.each(Object.entries(scenarios))('%s', async (_name, scenario) => {
    const expected = await logsOf(nodeNet, scenario);
    expect(Object.keys(expected).length).toBeGreaterThan(0);
    expect(await logsOf(ourNet, scenario)).toEqual(expected);
  });

  test('whatever is called, in any order', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(stepsOf, fc.boolean(), async (steps, allowHalfOpen) => {
        const script = (net: NetModule, recorder: Recorder): Promise<void> =>
          runSteps(net, recorder, steps, allowHalfOpen);
        const expected = await logsOf(nodeNet, script);
        expect(await logsOf(ourNet, script)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});

test('ours carries its connections, accepted ones too', async () => {
  const server = ourNet.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepting = new Promise<nodeNet.Socket>((resolve) => server.once('connection', resolve));
  const client = ourNet.connect((server.address() as nodeNet.AddressInfo).port);
  const accepted = await accepting;
  await new Promise<void>((resolve) =>
    client.connecting ? client.once('connect', resolve) : resolve(),
  );
  for (const socket of [client, accepted]) {
    expect(socket).toBeInstanceOf(ourNet.Socket);
    expect(socket).toBeInstanceOf(nodeNet.Socket);
    expect(Reflect.get(socket, '_handle').constructor.name).toBe('RawTcpHandle');
    socket.destroy();
  }
  server.close();
});
