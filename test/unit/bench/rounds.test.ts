import { describe, expect, test } from 'vitest';
import { pingpong } from '../../../dist/bench/cases/pingpong.js';
import { Refusal } from '../../../dist/bench/support/refusal.js';
import { choosePeers } from '../../../dist/bench/support/rounds.js';
import type { Peer } from '../../../dist/bench/support/types.js';

function peer(name: string, programs: string[], obstacle: string | null = null): Peer {
  return {
    name,
    about: name,
    isNode: true,
    programs,
    prepare: async () => obstacle,
    command: () => ['true'],
  };
}

const exchange = [pingpong.program];
const peers = [
  peer('never', []),
  peer('ours', exchange),
  peer('rival', exchange),
  peer('missing', exchange, 'it is not installed'),
];

async function namesOf(rivals: string[] | undefined, among = peers): Promise<string[]> {
  return (await choosePeers(among, pingpong, rivals)).map(({ name }) => name);
}

describe('choosePeers', () => {
  test('takes whoever can play, and run here', async () => {
    expect(await namesOf(undefined)).toEqual(['ours', 'rival']);
  });

  test('compares those that are asked for with the first that plays the case', async () => {
    expect(await namesOf(['rival'])).toEqual(['ours', 'rival']);
    expect(await namesOf(['ours'])).toEqual(['ours']);
    expect(await namesOf([])).toEqual(['ours']);
  });

  test('refuses when none of those that are asked for can', async () => {
    await expect(namesOf(['missing', 'never'])).rejects.toThrow(Refusal);
    await expect(namesOf(['stranger'])).rejects.toThrow(/no peer "stranger"/);
  });

  test('refuses when ours cannot, and says why', async () => {
    const [, , rival] = peers as [Peer, Peer, Peer];
    await expect(namesOf(undefined, [peer('ours', exchange, 'no addon'), rival])).rejects.toThrow(
      'ours: no addon',
    );
  });
});
