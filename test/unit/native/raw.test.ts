import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { nativeCoreOf } from '../../../dist/native/handles.js';
import { loadNative } from '../../../dist/native/load.js';

test('what was handed out once is not handed out again, whoever asks behind it', async () => {
  const native = loadNative();
  if (!native.ok) throw new Error(native.reason);
  const core = nativeCoreOf(native.binding);
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });

  let received = '';
  let onReceived = (): void => {};
  const raw = core.adoptRaw(Reflect.get(accepted, '_handle').fd, {
    onData(bytes, start, end) {
      received += bytes.toString('latin1', start, end);
      core.deliverRaw(raw);
      core.afterBatch(() => core.deliverRaw(raw));
      queueMicrotask(() => core.deliverRaw(raw));
      setImmediate(onReceived);
    },
    onReadable: () => {},
    onEnd: () => {},
    onDone: () => {},
  });
  core.resumeRaw(raw);
  for (const text of ['first', 'second']) {
    const came = new Promise<void>((resolve) => {
      onReceived = resolve;
    });
    client.write(text);
    await came;
  }
  core.closeRaw(raw, false);
  expect(received).toBe('firstsecond');
});
