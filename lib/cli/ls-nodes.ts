import { Net } from '../api/net.js';
import { Node } from '../api/node.js';
import { isLivingMember, type NetMember } from '../cluster/membership/member-list.js';
import { type ClientOptions, type Limits, withLimits } from './client.js';
import type { CommandContext } from './command.js';
import { codeOf } from './failure.js';
import { formatBytes, formatCount, left, printable, right } from './format.js';
import { netMembers } from './net-members.js';
import { printTable } from './table.js';
import type { Terminal } from './terminal.js';

/** A node as `paipainet ls nodes` lists it: what the net says of it, and what it says itself where it answers. */
export interface ListedNode extends Pick<NetMember, 'nodeId' | 'state' | 'address' | 'weight'> {
  readonly answer?: NodeAnswer;
  /** Why it does not answer, though the net takes it for living. */
  readonly error?: { readonly code: string; readonly message: string };
}

interface NodeAnswer {
  readonly pid: number;
  readonly engine: string;
  /** Whether its shards lie on disk. */
  readonly isDurable: boolean;
  /** Copies of shards that it holds, and their bytes. */
  readonly shards: number;
  readonly bytes: number;
}

/** Nodes that are asked at the same time. */
const askedAtOnceMax = 16;

/** Fails as `netMembers` and `withLimits` do; a single node that does not answer is no failure. */
export function listNodes(options: ClientOptions, context: CommandContext): Promise<ListedNode[]> {
  return withLimits(options, context, (limits, operation) =>
    operation.race(listEach(options, limits)),
  );
}

async function listEach(options: ClientOptions, limits: Limits): Promise<ListedNode[]> {
  const { signal } = limits;
  const members = await netMembers(options, signal);
  const listed: ListedNode[] = [];
  for (let at = 0; at < members.length; at += askedAtOnceMax) {
    signal.throwIfAborted();
    const some = members.slice(at, at + askedAtOnceMax);
    listed.push(...(await Promise.all(some.map((member) => ask(member, options, limits)))));
  }
  return listed;
}

async function ask(
  member: NetMember,
  { name, secret }: ClientOptions,
  { signal }: Limits,
): Promise<ListedNode> {
  const { nodeId, state, address, weight } = member;
  const listed = { nodeId, state, address, weight };
  if (!isLivingMember(member) || address === '') return listed;
  const net = new Net({
    deadlineMs: Number.POSITIVE_INFINITY,
    ...(name === undefined ? {} : { name }),
    ...(secret === undefined ? {} : { secret }),
  });
  try {
    net.addNode(new Node(nodeId, { address }));
    await net.start();
    const held = (await net.contents({ signal })).flatMap(({ perNode }) => perNode);
    const [info] = net.info().nodes;
    if (info === undefined) return listed;
    const { pid, engine, isDurable } = info;
    const shards = held.reduce((sum, one) => sum + one.shards, 0);
    const bytes = held.reduce((sum, one) => sum + one.bytes, 0);
    return { ...listed, answer: { pid, engine, isDurable, shards, bytes } };
  } catch (thrown) {
    signal.throwIfAborted();
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    return { ...listed, error: { code: codeOf(error), message: error.message } };
  } finally {
    await net.close();
  }
}

export function printNodes(terminal: Terminal, nodes: readonly ListedNode[]): void {
  printTable(
    terminal,
    [
      left('node'),
      left('state'),
      left('address'),
      right('weight'),
      left('store'),
      right('shards'),
      right('bytes'),
      left('engine'),
      right('pid'),
    ],
    nodes.map(({ nodeId, state, address, weight, answer }) => [
      printable(nodeId),
      state,
      printable(address),
      String(weight),
      ...(answer === undefined
        ? []
        : [
            answer.isDurable ? 'disk' : 'memory',
            formatCount(answer.shards),
            formatBytes(answer.bytes),
            answer.engine,
            String(answer.pid),
          ]),
    ]),
  );
  for (const { error } of nodes) {
    if (error !== undefined) terminal.note(printable(`error ${error.code}: ${error.message}`));
  }
}
