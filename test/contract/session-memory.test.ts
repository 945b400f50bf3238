import { MemoryNetwork } from '../../dist/transport/memory-network.js';
import { sessionContract } from './session-contract.js';

sessionContract('memory', () => {
  const network = new MemoryNetwork();
  return { listen: network, connect: network, address: 'tcp://127.0.0.1:0' };
});
