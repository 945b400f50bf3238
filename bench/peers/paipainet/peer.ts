import { scripts } from '../../support/script-peer.js';
import { tableObstacle } from '../../support/table.js';
import type { Peer, Role } from '../../support/types.js';

const { command, isNode } = scripts(import.meta.url);

/** The command of a program on so many embedded nodes. */
function onNodes(count: number, runAs: 'process' | 'thread'): Peer['command'] {
  return (program: string, role: Role) => {
    const own = program === 'process' ? ['--nodes', `${count}`, '--run-as', runAs] : [];
    return [...command(program, role), ...own];
  };
}

/** This package, through its public words. */
export const paipainet: Peer = {
  name: 'paipainet',
  about: 'this package; two nodes by processes where there are nodes',
  programs: ['exchange', 'stream', 'bulk', 'fairness', 'transfer', 'process'],
  async prepare(program) {
    return program === 'process' ? tableObstacle() : null;
  },
  command: onNodes(2, 'process'),
  isNode,
};

function otherwise(name: string, count: number, runAs: 'process' | 'thread'): Peer {
  return {
    ...paipainet,
    name,
    about: 'the same with other nodes',
    programs: ['process'],
    command: onNodes(count, runAs),
  };
}

/** This package with other nodes. */
export const otherNodes: readonly Peer[] = [
  otherwise('1-process', 1, 'process'),
  otherwise('4-processes', 4, 'process'),
  otherwise('1-thread', 1, 'thread'),
  otherwise('2-threads', 2, 'thread'),
  otherwise('4-threads', 4, 'thread'),
];

/** Members of a net that agree as `backend` has them, in the case `coordination`. */
function agreeing(backend: 'quorum' | 'local', about: string): Peer {
  return {
    name: backend,
    about,
    isNode,
    programs: ['coordination'],
    prepare: async () => null,
    command: (program, role) => [...command(program, role), '--backend', backend],
  };
}

/** What a net agrees on by itself. */
export const backends: readonly Peer[] = [
  agreeing('quorum', 'three nodes of this package that agree as a quorum'),
  agreeing('local', 'one node of this package that decides alone, in a net of three'),
];
