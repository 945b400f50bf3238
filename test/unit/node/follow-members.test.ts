import { expect, onTestFinished, test } from 'vitest';
import {
  encodeMemberView,
  memberWatchMethod,
  type NetMember,
} from '../../../dist/cluster/membership/member-list.js';
import { linkNode } from '../../../dist/cluster/transfer/node-link.js';
import { MemberFollower } from '../../../dist/node/follow-members.js';
import type { IncomingRequest } from '../../../dist/session/types.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { event, sessionPair } from '../../support/session-pair.js';
import { testEnv } from '../../support/test-env.js';

test('a node that does not say who is there is not asked again while there is another', async () => {
  const asked: string[] = [];
  const linkTo = async (nodeId: string, isSilent: boolean) => {
    const onRequest = ({ method }: IncomingRequest): Uint8Array => {
      expect(method).toBe(memberWatchMethod);
      asked.push(nodeId);
      if (isSilent) throw new Error('not now');
      return encodeMemberView({ revision: 1, members: [] });
    };
    const { near } = await sessionPair({ service: { onRequest } });
    return linkNode(nodeId, near, 3);
  };
  const links = [await linkTo('a', true), await linkTo('b', true), await linkTo('c', false)];
  const env = testEnv(new MemoryNetwork());
  const told = event<readonly NetMember[]>();
  const follower = new MemberFollower(
    // The first of those that may be asked.
    { ...env, random: { ...env.random, next: () => 0 } },
    {
      links: () => links,
      search: () => Promise.reject(new Error('there are links')),
      onMembers: told.fire,
    },
  );
  onTestFinished(() => follower.stop());
  expect(await told.promise).toEqual([]);
  expect(asked).toEqual(['a', 'b', 'c']);
});
