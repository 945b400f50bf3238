import type { Peer } from '../support/types.js';
import { c } from './c/peer.js';
import { childProcess } from './child-process/peer.js';
import { dropIn } from './drop-in/peer.js';
import { etcd } from './etcd/peer.js';
import { grpc } from './grpc/peer.js';
import { nats } from './nats/peer.js';
import { nodeNet } from './node-net/peer.js';
import { oneThread } from './one-thread/peer.js';
import { backends, otherNodes, paipainet } from './paipainet/peer.js';
import { piscina } from './piscina/peer.js';
import { ws } from './ws/peer.js';
import { wsCorked } from './ws-corked/peer.js';
import { zeromq } from './zeromq/peer.js';

/** Every rival; the first that can play a case is what the others are compared with. */
export const peers: readonly [Peer, ...Peer[]] = [
  paipainet,
  ...otherNodes,
  ...backends,
  etcd,
  dropIn,
  nodeNet,
  c,
  zeromq,
  nats,
  ws,
  wsCorked,
  grpc,
  piscina,
  childProcess,
  oneThread,
];
