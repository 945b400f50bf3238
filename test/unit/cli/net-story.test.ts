import { describe, expect, test } from 'vitest';
import { NetStory } from '../../../dist/cli/net-story.js';
import { type NetMember, noLoad } from '../../../dist/cluster/membership/member-list.js';

const member = (nodeId: string): NetMember => ({
  nodeId,
  state: 'alive',
  address: 'tcp://127.0.0.1:1',
  weight: 1,
  instanceId: 1,
  coordinates: false,
  load: noLoad,
});

function storyOf(...observers: string[]): { story: NetStory; told: string[] } {
  const told: string[] = [];
  const story = new NetStory(observers, (event, { nodeId }) => told.push(`${event} ${nodeId}`));
  return { story, told };
}

describe('what several nodes hear', () => {
  test('is told once, and not what they say of each other', () => {
    const { story, told } = storyOf('a', 'b');
    story.hear('a', 'join', member('b'));
    story.hear('b', 'join', member('a'));
    for (const observer of ['b', 'a', 'b']) story.hear(observer, 'join', member('x'));
    for (const event of ['suspect', 'alive', 'leave'] as const) {
      story.hear('b', event, member('x'));
      story.hear('a', event, member('x'));
    }
    expect(told).toEqual(['join x', 'suspect x', 'alive x', 'leave x']);
  });

  test('goes on with the next when the first is gone, and nothing is left out or told twice', () => {
    const { story, told } = storyOf('a', 'b');
    story.hear('a', 'join', member('x'));
    story.hear('b', 'join', member('x'));
    story.hear('b', 'fail', member('x'));
    story.hear('b', 'join', member('y'));
    story.hear('b', 'suspect', member('a'));
    expect(told).toEqual(['join x']);
    story.end('a');
    expect(told).toEqual(['join x', 'fail x', 'join y']);
    story.hear('b', 'fail', member('a'));
    story.hear('b', 'leave', member('y'));
    expect(told).toEqual(['join x', 'fail x', 'join y', 'leave y']);
  });

  test('has a node that stands still, and one that takes the place of one that has ended', () => {
    const { story, told } = storyOf('a', 'b');
    story.hear('a', 'join', member('b'));
    story.hear('a', 'suspect', member('b'));
    story.hear('a', 'alive', member('b'));
    story.end('b');
    story.hear('a', 'suspect', member('b'));
    story.hear('a', 'fail', member('b'));
    story.hear('a', 'join', member('b'));
    story.hear('a', 'fail', member('b'));
    expect(told).toEqual(['suspect b', 'alive b', 'join b', 'fail b']);
  });

  test('may be nothing, when all have ended', () => {
    const { story, told } = storyOf('a');
    story.end('a');
    story.hear('a', 'join', member('x'));
    expect(told).toEqual([]);
  });
});
