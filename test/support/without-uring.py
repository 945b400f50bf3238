"""Runs a command whose system call io_uring_setup is refused with EPERM, as containers do: without-uring.py COMMAND..."""

import ctypes
import os
import struct
import sys

IO_URING_SETUP = 425
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2
EPERM = 1


def statement(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


filters = b"".join(
    [
        statement(0x20, 0),  # Load the number of the call.
        statement(0x15, IO_URING_SETUP, 0, 1),
        statement(0x06, 0x00050000 | EPERM),
        statement(0x06, 0x7FFF0000),  # Allow.
    ]
)
buffer = ctypes.create_string_buffer(filters)
program = struct.pack("HxxxxxxP", len(filters) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_SECCOMP, FILTER, program) != 0:
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
