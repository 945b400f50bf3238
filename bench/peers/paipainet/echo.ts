import type { ListenOptions } from 'paipainet/transport';
import type { Tally } from '../../support/content.js';

/** A service that answers each request with its own payload, on both surfaces, and adds every payload to `taken`. */
export function echoService(
  taken: Tally,
  payloadBytes: number,
): Pick<ListenOptions, 'fast' | 'methods'> {
  return {
    fast: {
      methods: {
        fastEcho(batch) {
          const { bytes, length } = batch;
          for (let i = 0; i < length; i++) {
            const start = batch.start(i);
            const end = batch.end(i);
            taken.addRange(bytes, start, end, payloadBytes);
            batch.replyRange(i, start, end);
          }
        },
      },
    },
    methods: {
      echo(payload) {
        taken.addBytes(payload, payloadBytes);
        return payload;
      },
    },
  };
}
