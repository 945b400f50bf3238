import net from 'node:net';
import type { ServerInternals, SocketInternals } from './internals.js';
import { serverMembersOver, socketMembersOver } from './members.js';

/**
 * The module `node:net`, its connections carried by the addon: `paipainet/net`. What opens, listens and refuses is Node's own, and so is
 * everything where there is no addon.
 */

/** A constructor that works with and without `new`, and as the parent of both kinds of classes. */
function constructorOver<Type extends typeof net.Socket | typeof net.Server>(
  parent: Type,
  members: object,
): Type {
  // V8 gives objects of a class that is derived by `extends` one shape, others each one of their own (2.4 KiB a socket, and slower).
  class Derived extends (parent as typeof net.Socket) {}
  function Constructor(this: unknown, ...args: unknown[]): unknown {
    if (new.target === undefined && this instanceof Constructor) {
      return Reflect.apply(parent, this, args);
    }
    const isPlain = new.target === undefined || new.target === Constructor;
    return Reflect.construct(parent, args, isPlain ? Derived : new.target);
  }
  Object.defineProperty(Constructor, 'name', { value: parent.name, configurable: true });
  Object.setPrototypeOf(Constructor, parent);
  Constructor.prototype = Derived.prototype;
  for (const [name, value] of Object.entries({ constructor: Constructor, ...members })) {
    Object.defineProperty(Constructor.prototype, name, {
      value,
      // As Node's own members are: some copy what they find in an object.
      enumerable: name !== 'constructor',
      writable: true,
      configurable: true,
    });
  }
  return Constructor as unknown as Type; // It constructs what `parent` does.
}

const always = (): boolean => true;

export const Socket: typeof net.Socket = constructorOver(
  net.Socket,
  socketMembersOver(net.Socket.prototype as net.Socket & SocketInternals, always),
);

export const Server: typeof net.Server = constructorOver(
  net.Server,
  serverMembersOver(
    net.Server.prototype as net.Server & ServerInternals,
    always,
    (options) => new Socket(options),
  ),
);

// What the addon does not carry is Node's own, and ours all the same.
Object.defineProperty(Socket, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (this === Socket) return value instanceof net.Socket;
    return Function.prototype[Symbol.hasInstance].call(this as () => unknown, value);
  },
});

interface NetInternals {
  _normalizeArgs(args: unknown[]): [net.SocketConstructorOpts & { timeout?: number }];
}
const { _normalizeArgs: normalizeArgs } = net as unknown as NetInternals;

// Named as Node's are.
export const connect: typeof net.connect = function connect(...args: unknown[]): net.Socket {
  const normalized = normalizeArgs(args);
  const [options] = normalized;
  const socket = new Socket(options);
  if (options.timeout) socket.setTimeout(options.timeout);
  return Reflect.apply(socket.connect, socket, [normalized]) as net.Socket;
};

export const createConnection: typeof net.createConnection = connect;

export const createServer: typeof net.createServer = function createServer(
  ...args: unknown[]
): net.Server {
  return Reflect.construct(Server, args) as net.Server;
};

/** All of `node:net`, what has no types included, with our sockets: what `require('paipainet/net')` gives. */
const module: typeof net = Object.defineProperties(
  {},
  {
    ...Object.getOwnPropertyDescriptors(net),
    ...Object.getOwnPropertyDescriptors({
      Socket,
      Stream: Socket,
      Server,
      connect,
      createConnection,
      createServer,
    }),
  },
) as typeof net; // All of its members are there.

export default module;

export {
  BlockList,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  isIPv4,
  isIPv6,
  SocketAddress,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
} from 'node:net';
export { module as 'module.exports' };
