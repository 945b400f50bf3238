import { transportContract } from './transport-contract.js';
import { enginePairs } from './transport-pairs.js';

for (const [connecting, listening] of enginePairs) {
  transportContract(`transport ${connecting}–${listening} over tcp`, {
    connecting,
    listening,
    scheme: 'tcp',
  });
}
