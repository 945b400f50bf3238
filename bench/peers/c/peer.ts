import { buildNative, nativeProgram } from '../../support/native.js';
import type { Peer } from '../../support/types.js';

/** The floor that the kernel sets: `bench/native/PROGRAM.c`. */
export const c: Peer = {
  name: 'c',
  about: 'plain C11 on epoll',
  programs: ['exchange', 'stream', 'transfer'],
  async prepare(program) {
    return buildNative(program);
  },
  command: (program, role) => [nativeProgram(program), role],
};
