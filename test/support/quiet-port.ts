import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what systems hand out by themselves (RFC 6335), where other tests get their ports. */
const portLeast = 12_000;
const portMost = 32_000;

/** A port of loopback, for TCP and UDP, that nobody has and hardly anybody will get before it is used. */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = portLeast + Math.floor(Math.random() * (portMost - portLeast));
    if ((await isFree(port, 'tcp')) && (await isFree(port, 'udp'))) return port;
  }
}

async function isFree(port: number, protocol: 'tcp' | 'udp'): Promise<boolean> {
  const opened =
    protocol === 'tcp'
      ? createServer().listen(port, '127.0.0.1')
      : createSocket('udp4').bind(port, '127.0.0.1');
  try {
    await once(opened, 'listening');
  } catch {
    return false;
  }
  opened.close();
  await once(opened, 'close');
  return true;
}
