import { PaipaiError } from '../base/errors.js';
import { nodeError } from '../cluster/transfer/node-error.js';
import type { RecordNodes } from '../transactions/record-nodes.js';
import { linksOf, type StartedNet } from './started-net.js';

/** The nodes of a running net, as those that keep its records. */
export function recordNodesOf(net: StartedNet): RecordNodes {
  const { nodes, roster } = net;
  return {
    found() {
      const takers = linksOf(net).filter(({ nodeId }) => nodes.isTaker(nodeId));
      return takers.map(({ nodeId }) => roster.nameOf(nodeId));
    },
    async ask(name, method, payload, options) {
      const nodeId = roster.idOf(name);
      if (!roster.isLiving(nodeId)) {
        throw new PaipaiError(
          'PAIPAI_ERR_NODE_LOST',
          `node ${name}, which keeps records, is gone`,
          {
            nodeId: name,
          },
        );
      }
      const link = roster.link(nodeId);
      return link.peer.request(method, payload, options).catch((thrown: unknown) => {
        throw nodeError(link, thrown);
      });
    },
  };
}
