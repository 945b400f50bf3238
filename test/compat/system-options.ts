import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';

const program = `
import json, socket, sys
for fd in range(3, 3 + int(sys.argv[1])):
  s = socket.socket(fileno=fd)
  print(json.dumps({
    'noDelay': s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
    'keepAlive': s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0,
    'idleSeconds': s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
  }))
`;

export interface SystemOptions {
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
  /** Until the first probe. */
  readonly idleSeconds: number;
}

/** What the kernel has for TCP sockets: asked by a program that inherits them, since Node cannot ask. Needs python3, as building does. */
export function systemOptionsOf(...sockets: Socket[]): SystemOptions[] {
  const fds = sockets.map((each) => (each as never as { _handle: { fd: number } })._handle.fd);
  const args = ['-S', '-E', '-c', program, `${fds.length}`];
  const { stdout, stderr, status } = spawnSync('python3', args, {
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`python3 could not look at the sockets: ${stderr}`);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
