import { loadNative } from '../../dist/native/load.js';
import type { Network } from '../../dist/transport/frame-channel.js';
import { NativeNetwork } from '../../dist/transport/native-network.js';
import { PortableNetwork } from '../../dist/transport/portable-network.js';

const native = loadNative();
if (!native.ok) throw new Error(native.reason);

const urlOf = (file: string) => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);

/** Both engines, and for each an expression that makes it in another process. */
export const engines: Record<'native' | 'js', { network: Network; source: string }> = {
  native: {
    network: new NativeNetwork(native.binding),
    source: `new (await import(${urlOf('transport/native-network.js')})).NativeNetwork((await import(${urlOf('native/load.js')})).loadNative().binding)`,
  },
  js: {
    network: new PortableNetwork(),
    source: `new (await import(${urlOf('transport/portable-network.js')})).PortableNetwork()`,
  },
};

/** Who connects and who listens, in every mix that has the native engine in it. */
export const nativePairs = [
  ['native', 'native'],
  ['native', 'js'],
  ['js', 'native'],
] as const;

/** A network whose channels stay with their sockets. */
export function pinned(network: Network): Network {
  return {
    engine: network.engine,
    connect: (address, options) => network.connect(address, { ...options, path: address.scheme }),
    listen: (address, onChannel, options) =>
      network.listen(address, onChannel, { ...options, path: address.scheme }),
  };
}
