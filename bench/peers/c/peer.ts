import { buildNative, nativeProgram } from '../../support/native.js';
import type { Peer } from '../../support/types.js';

/** The floor that the kernel sets: `bench/native/CASE.c`. */
export const c: Peer = {
  name: 'c',
  about: 'plain C11 on epoll, CRC32C by instruction',
  cases: ['transfer'],
  async prepare(caseName) {
    return buildNative(caseName);
  },
  command: (caseName, role) => [nativeProgram(caseName), role],
};
