import { buildNative, nativeProgram } from '../../support/native.js';
import type { Peer } from '../../support/types.js';

/** Bulk is a transfer of which each side keeps only the last messages. */
function fileOf(program: string): string {
  return program === 'bulk' ? 'transfer' : program;
}

/** The floor that the kernel sets: `bench/native/PROGRAM.c`. */
export const c: Peer = {
  name: 'c',
  about: 'plain C11 on epoll',
  isNode: false,
  programs: ['exchange', 'stream', 'bulk', 'transfer'],
  async prepare(program) {
    return buildNative(fileOf(program));
  },
  command: (program, role) => [nativeProgram(fileOf(program)), role],
};
