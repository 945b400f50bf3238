import { onTestFinished } from 'vitest';
import { formatEndpoint } from '../../dist/cluster/membership/datagram-network.js';
import { memberListMethod, type NetMember } from '../../dist/cluster/membership/member-list.js';
import { exchangeMethod, Membership } from '../../dist/cluster/membership/membership.js';
import type { SwimParameters } from '../../dist/cluster/membership/parameters.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { UdpNetwork } from '../../dist/node/udp-network.js';
import { listenPeers } from '../../dist/session/listen.js';
import { reached } from '../main-job/nets.js';
import { testEnv } from './test-env.js';

export interface TestMember {
  readonly membership: Membership;
  readonly nodeId: string;
  readonly address: string;
  readonly datagramAddress: string;
  /** `join b`, `fail b` … in the order in which it heard of them. */
  readonly heard: string[];
  /** The code with which it could not go on. */
  readonly failures: string[];
  /** As if its process were killed: its ports are closed, and nobody is told. */
  crash(): Promise<void>;
}

export interface TestMemberOptions {
  readonly seeds?: readonly string[];
  readonly netName?: string;
  readonly secret?: string;
  readonly port?: number;
  readonly parameters?: Partial<SwimParameters>;
}

const memberEvents = ['join', 'suspect', 'alive', 'fail', 'leave', 'update'] as const;

/** A member of a net on loopback, over real sockets; `membership.start()` is the caller's. */
export async function openMember(
  nodeId: string,
  { seeds = [], netName = 'net', secret, port = 0, parameters = {} }: TestMemberOptions = {},
): Promise<TestMember> {
  const env = { ...testEnv(selectEngine('auto').network), datagrams: new UdpNetwork() };
  let membership: Membership | undefined;
  const listener = await listenPeers(env, `tcp://127.0.0.1:${port}`, {
    nodeId,
    netName,
    ...(secret === undefined ? {} : { secret }),
    service: {
      onRequest: ({ method, payload }) => {
        if (membership === undefined) throw new Error('asked before it was opened');
        if (method === exchangeMethod) return membership.answerExchange(payload);
        if (method === memberListMethod) return membership.answerList();
        throw new Error(`no method ${method}`);
      },
    },
  });
  const socket = await env.datagrams.bind('127.0.0.1', port);
  const datagramAddress = formatEndpoint(socket.endpoint);
  const failures: string[] = [];
  membership = new Membership(env, socket, {
    nodeId,
    netName,
    secret,
    datagramAddress,
    transportAddress: listener.address,
    weight: 1,
    seeds,
    // On loopback two rounds of it are enough.
    parameters: { leaveMs: 200, ...parameters },
    onFailed: ({ code }) => failures.push(code),
  });
  const { events } = membership;
  const heard: string[] = [];
  for (const event of memberEvents) {
    events.on(event, (member: NetMember) => heard.push(`${event} ${member.nodeId}`));
  }
  events.on('duplicate', (id) => heard.push(`duplicate ${id}`));
  events.on('joined', () => heard.push('joined'));
  events.on('seedRefused', ({ code }) => heard.push(code));
  const opened = membership;
  const crash = async (): Promise<void> => {
    socket.close();
    await Promise.all([listener.close(0), opened.close()]);
  };
  onTestFinished(crash);
  return { membership, nodeId, address: listener.address, datagramAddress, heard, failures, crash };
}

export async function startMember(
  nodeId: string,
  options?: TestMemberOptions,
): Promise<TestMember> {
  const member = await openMember(nodeId, options);
  await member.membership.start();
  return member;
}

/** Nodes a, b, c …; all but the first join there. Settles when each knows all. */
export async function startMembers(
  count: number,
  options: TestMemberOptions = {},
): Promise<[TestMember, TestMember, TestMember, ...TestMember[]]> {
  const members: TestMember[] = [];
  for (let at = 0; at < count; at++) {
    const seeds = members[0] === undefined ? [] : [members[0].address];
    members.push(await startMember(String.fromCharCode(97 + at), { ...options, seeds }));
  }
  const knowAll = await reached(10_000, () =>
    members.every(({ membership }) => livingIn(membership).length === count),
  );
  if (!knowAll) throw new Error(`not all ${count} have found each other`);
  return members as [TestMember, TestMember, TestMember, ...TestMember[]]; // `count` of them.
}

/** Ids of who is alive to this member, itself included, in order. */
export function livingIn(membership: Membership): string[] {
  return membership
    .members()
    .filter(({ state }) => state === 'alive')
    .map(({ nodeId }) => nodeId)
    .sort();
}

export async function hears(member: TestMember, ...what: string[]): Promise<boolean> {
  return reached(20_000, () => what.every((word) => member.heard.includes(word)));
}
