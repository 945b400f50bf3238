import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `sun_path` of unix(7) holds 108 bytes with the closing zero; this is what stands in the folder, and some to spare. */
const fileNameBytesMax = 24;
const folderBytesMax = 107 - fileNameBytesMax;

/** A folder, for this user alone, in which the embedded nodes of a net listen until the net is connected to them. */
export class SocketFolder {
  readonly #path: string;
  #count = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  static async make(): Promise<SocketFolder> {
    const name = 'paipainet-XXXXXX';
    const isShort = Buffer.byteLength(join(tmpdir(), name)) <= folderBytesMax;
    // mkdtemp(3) gives the folder mode 0700.
    return new SocketFolder(await mkdtemp(join(isShort ? tmpdir() : '/tmp', name.slice(0, -6))));
  }

  /** The address of one more socket. */
  nextAddress(): string {
    this.#count++;
    return `unix://${this.#path}/${this.#count}.sock`;
  }

  async remove(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true });
  }
}
