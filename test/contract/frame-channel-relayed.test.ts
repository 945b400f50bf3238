import { RelayedNetwork } from '../support/relayed-network.js';
import { frameChannelContract } from './frame-channel.js';

const network = new RelayedNetwork();
frameChannelContract('through a relay', {
  connecting: network,
  listening: network,
  freshAddress: () => ({ scheme: 'tcp', host: '127.0.0.1', port: 0 }),
  hasSockets: false,
});
