import { RelayedNetwork } from '../support/relayed-network.js';
import { sessionContract } from './session-contract.js';

/** A session that a node in between passes on keeps every promise of one that has a connection of its own. */
sessionContract('a relay', () => {
  const network = new RelayedNetwork();
  return { listen: network, connect: network, address: 'tcp://127.0.0.1:0' };
});
