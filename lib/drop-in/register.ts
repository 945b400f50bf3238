import { Server, Socket } from 'node:net';
import type { ServerInternals, SocketInternals } from './internals.js';
import { serverMembersOver, socketMembersOver } from './members.js';

/**
 * Moves `node:net`, and whatever stands on it, over to the addon's sockets: `node --import paipainet/register app.js`. Sockets that are
 * connected already stay with what carries them. `PAIPAINET_REGISTER=off` leaves everything as it is.
 */

const socketPrototype = Socket.prototype as Socket & SocketInternals;
const serverPrototype = Server.prototype as Server & ServerInternals;
const { connect, _unrefTimer, _writeGeneric, resetAndDestroy } = socketPrototype;
const { _listen2 } = serverPrototype;

let isOn = false;
const socketMembers = socketMembersOver(
  { connect, _unrefTimer, _writeGeneric, resetAndDestroy },
  () => isOn,
);
const serverMembers = serverMembersOver({ _listen2 }, () => isOn);

/** Done by the import already; idempotent. */
export function register(): void {
  if (isOn) return;
  isOn = true;
  Object.assign(socketPrototype, socketMembers);
  Object.assign(serverPrototype, serverMembers);
}

/** What connects and what is accepted from now on is Node's own again. Connections that stand go on as they are. */
export function unregister(): void {
  isOn = false;
  // The other members serve the connections that stand, and leave others alone.
  if (socketPrototype.connect === socketMembers.connect) socketPrototype.connect = connect;
  if (serverPrototype._listen2 === serverMembers._listen2) serverPrototype._listen2 = _listen2;
}

if (process.env['PAIPAINET_REGISTER'] !== 'off') register();
