import { transportContract } from './transport-contract.js';

for (const scheme of ['tcp', 'unix'] as const) {
  transportContract(`transport over shared memory, met over ${scheme}`, {
    connecting: 'native',
    listening: 'native',
    scheme,
    sharesMemory: true,
  });
}
