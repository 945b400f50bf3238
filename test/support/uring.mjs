import { spawnSync } from 'node:child_process';

// The flags of the best set-up that we ask for: submit all, cooperative task work, its flag, single issuer. They are of Linux 6.0, and
// a kernel that takes them has everything else that we use.
const flags = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 12);

const askKernel = `
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
ring = libc.syscall(425, 8, ctypes.create_string_buffer(struct.pack("3I", 0, 0, ${flags}) + bytes(108)))
print("" if ring >= 0 else "io_uring_setup: " + os.strerror(ctypes.get_errno()))
`;

/**
 * Why the kernel gives this process no ring, or an empty text. Asked by a program that has nothing of ours: were it our own probe that
 * decided what is left out, one that fails where it should not would pass for a kernel without io_uring.
 */
export function whyNoUring() {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', askKernel], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`asking the kernel for a ring: ${stderr}`);
  return stdout.trim();
}
