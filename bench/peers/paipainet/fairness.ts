/** The case `fairness`: one request at a time, alone and then beside a stream on the same connection. */
import { connect, listen, type OnAnswer, type PeerStream } from 'paipainet/transport';
import { fillContent, messageBytesOf, Tally } from '../../support/content.js';
import { Latencies, type Percentiles } from '../../support/latencies.js';
import { play, setting, warmUpSeconds } from '../../support/program.js';
import type { Settings } from '../../support/types.js';
import { echoService } from './echo.js';
import { addressFor, engineOf, isFast, pathOf } from './settings.js';

/** What one write hands over; the same bytes each time. */
const pieceBytes = 16 * 1024 * 1024;

/** V8 compiles what carries a stream again and again for about so long, on the CPU that carries it. */
const streamWarmUpSeconds = 2;

/** Of the setting `reading`. */
function isIterated({ reading = 'into' }: Settings): boolean {
  if (reading === 'into' || reading === 'iterate') return reading === 'iterate';
  throw new Error(`--reading takes into or iterate, not ${reading}`);
}

await play({
  async server(settings) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const taken = new Tally();
    let streamedBytes = 0;
    let streamedCrc32c = -1;
    const target = new Uint8Array(
      isIterated(settings) ? 0 : setting(settings, 'stream-bytes', 2 ** 30),
    );
    // Its pages are there before the clock starts.
    target.fill(1);
    const listener = await listen(addressFor(settings), {
      engine: engineOf(settings),
      path: pathOf(settings),
      ...echoService(taken, payloadBytes),
      async onStream(stream) {
        if (isIterated(settings)) {
          streamedBytes = await lengthOf(stream);
        } else {
          const received = await stream.receiveInto(target);
          streamedBytes = received.bytes;
          streamedCrc32c = received.crc32c;
        }
        stream.end();
      },
    });
    return {
      address: listener.address,
      verify: () => ({
        takenCount: taken.count,
        takenChecksum: taken.checksum,
        streamedBytes,
        // Who iterates has no checksum of all bytes; the frames have theirs.
        streamedCrc32c,
      }),
      close: () => listener.close(),
    };
  },

  async client(settings, address) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const seconds = setting(settings, 'seconds', 1);
    const streamBytes = setting(settings, 'stream-bytes', 2 ** 30);
    const latencies = new Latencies();
    const answered = new Tally();
    const peer = await connect(address, { engine: engineOf(settings), path: pathOf(settings) });
    const words = new Int32Array(payloadBytes / 4);
    const payload = new Uint8Array(words.buffer);
    const piece = new Uint8Array(pieceBytes).map((_, i) => i * 31);
    let sentCount = 0;
    let sentCrc32c = -1;
    let isOver = false;

    /** Adds an answer to the last request. */
    const take = (number: number): void => {
      if (number !== sentCount - 1) throw new Error(`request ${sentCount - 1} got another answer`);
      latencies.lap();
    };

    const ask = async (): Promise<void> => {
      while (!isOver) {
        fillContent(words, 0, words.length, sentCount++);
        take(answered.addBytes(await peer.request('echo', payload), payloadBytes));
      }
    };

    const askFast = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const next = (): void => {
          if (isOver) return resolve();
          fillContent(words, 0, words.length, sentCount++);
          peer.fast.request('fastEcho', payload, onAnswer);
        };
        const onAnswer: OnAnswer = (error, bytes, start, end) => {
          if (error !== null) return reject(error);
          take(answered.addRange(bytes, start, end, payloadBytes));
          next();
        };
        next();
      });

    /** Requests until `work` is done; what they took. */
    const askBeside = async (work: Promise<unknown>): Promise<Percentiles> => {
      isOver = false;
      latencies.start();
      const asking = isFast(settings) ? askFast() : ask();
      await work;
      isOver = true;
      await asking;
      return latencies.facts();
    };

    const streamOnce = async (): Promise<void> => {
      const stream = peer.openStream('bytes');
      for (let at = 0; at < streamBytes; at += pieceBytes) {
        await stream.write(piece.subarray(0, Math.min(pieceBytes, streamBytes - at)));
      }
      stream.end();
      await stream.ended;
      if (!isIterated(settings)) sentCrc32c = stream.sentCrc32c;
    };

    /** One whole stream after the other, until at least so many seconds are over; how many. */
    const streamFor = async (duration: number): Promise<number> => {
      const end = performance.now() + duration * 1e3;
      let count = 0;
      do {
        await streamOnce();
        count++;
      } while (performance.now() < end);
      return count;
    };

    const wait = (duration: number): Promise<void> =>
      new Promise((resolve) => setTimeout(resolve, duration * 1e3));

    await askBeside(wait(warmUpSeconds));
    await askBeside(streamFor(streamWarmUpSeconds));
    return {
      async run() {
        const before = answered.count;
        const alone = await askBeside(wait(seconds));
        const startMs = performance.now();
        const streaming = streamFor(seconds);
        const beside = await askBeside(streaming);
        const streamSeconds = (performance.now() - startMs) / 1e3;
        return {
          count: answered.count - before,
          aloneP50Microseconds: alone.p50Microseconds,
          aloneP99Microseconds: alone.p99Microseconds,
          besideP50Microseconds: beside.p50Microseconds,
          besideP99Microseconds: beside.p99Microseconds,
          streamBytes: streamBytes * (await streaming),
          streamSeconds,
        };
      },
      verify() {
        const sent = new Tally();
        sent.addKnown(0, 1, sentCount, payloadBytes);
        return {
          sentCount: sent.count,
          sentChecksum: sent.checksum,
          answeredCount: answered.count,
          answeredChecksum: answered.checksum,
          sentCrc32c,
        };
      },
      close: () => peer.close(),
    };
  },
});

async function lengthOf(stream: PeerStream): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}
