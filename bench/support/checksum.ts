import zlib from 'node:zlib';
import type { extendCrc32c as Extend } from '../../dist/wire/crc32c.js';

const portableUrl: URL = new URL('../../wire/crc32c.js', import.meta.url);
const { extendCrc32c } = (await import(portableUrl.href)) as { extendCrc32c: typeof Extend };

/** What `checksum` is made by: zlib.crc32, which Node has from 20.15 and 22.2, or the CRC32C of this package in JavaScript. */
export const checksumName: 'zlib' | 'portable' =
  typeof zlib.crc32 === 'function' ? 'zlib' : 'portable';

/** Of `bytes` behind those with checksum `before`. Both sides of a trial run on one Node, and so use the same. */
export const checksum: (bytes: Uint8Array, before?: number) => number =
  checksumName === 'zlib' ? zlib.crc32 : (bytes, before = 0) => extendCrc32c(before, bytes);
