import { EventEmitter } from 'node:events';

function Late(): void {}

Late.prototype = Object.create(EventEmitter.prototype, { constructor: { value: Late } });

/**
 * An `EventEmitter` that gets its table of listeners with the first of them: Node's constructor makes one, 230 bytes, for each
 * object. Its methods take a missing table for an empty one, as those rely on who mix the prototype into objects of their own.
 */
export const LateEmitter: typeof EventEmitter = Late as unknown as typeof EventEmitter; // Nothing else tells them apart.
