import { describe, expect, test } from 'vitest';
import { memoryChannelPair } from '../../../dist/transport/memory-channel.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { FrameType } from '../../../dist/wire/frame.js';
import { FrameLog } from '../../support/frame-log.js';

/** A scheduler whose turns a test takes one by one. */
function manual() {
  const waiting: (() => void)[] = [];
  const schedule = (callback: () => void): void => void waiting.push(callback);
  const run = (): number => {
    let count = 0;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      next();
      count++;
    }
    return count;
  };
  return { schedule, run, waiting };
}

describe('memory channels', () => {
  test('nothing happens but in turns of the given scheduler', () => {
    const { schedule, run } = manual();
    const [near, far] = memoryChannelPair({ schedule });
    const [nearLog, farLog] = [new FrameLog(), new FrameLog()];
    near.receiver = nearLog;
    far.receiver = farLog;
    run();
    near.send(FrameType.message, 0, 0, 0, 1, Uint8Array.of(1, 2, 3));
    far.sendBulk(4, new Uint8Array(10), () => {});
    near.close();
    expect([nearLog.frames, farLog.frames, nearLog.closes]).toEqual([[], [], []]);
    run();
    expect(farLog.frames).toMatchObject([{ argument: 1, payloadBytes: 3 }]);
    expect(nearLog.frames).toMatchObject([
      { type: FrameType.streamData, streamId: 4, payloadBytes: 10 },
    ]);
    expect([nearLog.closes, farLog.closes]).toEqual([[null], [null]]);
  });

  test('an idle pair schedules nothing', () => {
    const { schedule, run, waiting } = manual();
    const [near, far] = memoryChannelPair({ schedule });
    near.receiver = new FrameLog();
    far.receiver = new FrameLog();
    run();
    near.send(FrameType.message, 0, 0, 0, 1);
    run();
    expect(waiting).toEqual([]);
  });

  test('frames wait for a receiver', () => {
    const { schedule, run } = manual();
    const [near, far] = memoryChannelPair({ schedule });
    near.send(FrameType.message, 0, 0, 0, 1);
    run();
    const log = new FrameLog();
    far.receiver = log;
    run();
    expect(log.frames).toHaveLength(1);
  });

  test('an end without receivers ends, too', () => {
    const { schedule, run } = manual();
    const [near] = memoryChannelPair({ schedule });
    const log = new FrameLog();
    near.receiver = log;
    near.send(FrameType.message, 0, 0, 0, 1);
    run();
    near.close();
    run();
    // The other end has no receiver yet, so the frame is kept for it until it gives up.
    expect(log.closes).toEqual([]);
    near.destroy();
    run();
    expect(log.closes).toEqual([null]);
  });

  test('networks are apart from each other', async () => {
    const address = { scheme: 'tcp', host: 'a', port: 1 } as const;
    const [one, other] = [new MemoryNetwork(), new MemoryNetwork()];
    await one.listen(address, (channel) => {
      channel.receiver = new FrameLog();
    });
    await one.connect(address);
    await expect(other.connect(address)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      syscall: 'connect',
    });
  });
});
