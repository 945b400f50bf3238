import { connect, listen, type Peer, type PeerStream } from 'paipainet/transport';
import { cpuSeconds } from '../support/program.js';

export interface Start {
  readonly address: string;
  readonly options: { readonly path: 'auto' | 'tcp'; readonly secret: string };
}

/** Metadata of a shard: its length, and the indexes of the nodes that it goes to from here, one after the other. A trailer: its CRC32C. */
export function words(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

/** A node that takes shards, checks them, and hands them on to the nodes that come next; until its standard input ends. */
export async function serve({ address, options }: Start): Promise<void> {
  const nodes: Peer[] = [];
  /** Places that hold no shard, by their length: shards are not kept, so that what is measured is the way of their bytes. */
  const places = new Map<number, Uint8Array[]>();

  async function takeShard(stream: PeerStream): Promise<void> {
    const { method, metadata } = stream;
    const [shardBytes = 0, next, ...rest] = new Uint32Array(metadata.slice().buffer);
    const idle = places.get(shardBytes) ?? [];
    places.set(shardBytes, idle);
    const place = idle.pop() ?? new Uint8Array(shardBytes);
    const onward =
      next === undefined ? undefined : nodes[next]?.openStream(method, words(shardBytes, ...rest));
    const written: Promise<void>[] = [];
    let passedBytes = 0;
    const pass = (landedBytes: number): void => {
      if (onward === undefined || landedBytes === passedBytes) return;
      written.push(onward.write(place.subarray(passedBytes, landedBytes)));
      passedBytes = landedBytes;
    };
    const onProgress = method === 'pieces' ? pass : undefined;
    const { bytes, crc32c, trailer } = await stream.receiveInto(place, onProgress);
    const checksum = words(crc32c);
    if (bytes !== shardBytes || !checksum.equals(trailer))
      throw new Error('a shard came with other bytes than were sent');
    if (onward !== undefined) {
      pass(shardBytes);
      await Promise.all(written);
      onward.end(checksum);
      if (!checksum.equals(await onward.ended)) throw new Error('other bytes were confirmed');
    }
    stream.end(checksum);
    idle.push(place);
  }

  const listener = await listen(address, {
    ...options,
    onStream: takeShard,
    methods: {
      /** The addresses of all nodes; this one is connected to itself too, so that everybody counts alike. */
      async join(addresses) {
        for (const each of JSON.parse(Buffer.from(addresses).toString()) as string[])
          nodes.push(await connect(each, options));
      },
      cpuSeconds: () => Buffer.from(String(cpuSeconds())),
    },
  });
  process.stdout.write(`${listener.address}\n`);
  process.stdin.resume().once('end', () => process.exit(0));
}
