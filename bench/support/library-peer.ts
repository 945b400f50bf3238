import { packageObstacle } from './packages.js';
import { scripts } from './script-peer.js';
import type { Peer } from './types.js';

/** What the adapter of a library that carries whole messages says of it; its programs lie beside `url`. */
export interface Library {
  readonly name: string;
  readonly about: string;
  /** The package, and the major version that the adapter is written for. */
  readonly package: string;
  readonly major: number;
  readonly url: string;
}

/** A peer that runs where its package is installed. */
export function libraryPeer({ name, about, package: packageName, major, url }: Library): Peer {
  return {
    name,
    about,
    programs: ['exchange', 'stream', 'bulk'],
    async prepare() {
      return packageObstacle(packageName, major);
    },
    ...scripts(url),
  };
}
