import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../../../dist/base/errors.js';
import {
  formatEndpoint,
  parseEndpoint,
} from '../../../../dist/cluster/membership/datagram-network.js';
import {
  decodeMemberList,
  decodeMemberView,
  decodeRevision,
  encodeMemberList,
  encodeMemberView,
  encodeRevision,
  memberOf,
  type NetMember,
  noLoad,
} from '../../../../dist/cluster/membership/member-list.js';
import { encodeMetadata } from '../../../../dist/cluster/membership/metadata.js';
import { codeThrown } from '../../../support/session-pair.js';

const load = { inFlight: 3, latencyMs: 0.5, cpu: 1, storedBytes: 2 ** 40 };
const a = { nodeId: 'a', state: 'alive', address: 'tcp://10.0.0.1:7100' } as const;
const long = { nodeId: 'ä'.repeat(127), state: 'suspect', address: '' } as const;
const gone = { weight: 3, instanceId: 7, coordinates: false, load: noLoad };
const members: readonly NetMember[] = [
  { ...a, weight: 1, instanceId: 0, coordinates: true, load },
  { ...long, weight: 0.5, instanceId: 2 ** 48 - 1, coordinates: false, load: noLoad },
  { ...gone, nodeId: 'b', state: 'dead', address: 'tcp://[::1]:1', coordinates: true },
  { ...gone, nodeId: 'c', state: 'left', address: 'tcp://host:1', weight: 1e9 },
];

describe('a list of members', () => {
  test('comes back as it went', () => {
    expect(decodeMemberList(encodeMemberList(members))).toEqual(members);
    expect(decodeMemberList(encodeMemberList([]))).toEqual([]);
  });

  test('property: any bytes are a list, or a typed error', () => {
    const whole = encodeMemberList(members);
    fc.assert(
      fc.property(
        fc.nat(whole.byteLength - 1),
        fc.nat(255),
        fc.nat(whole.byteLength),
        (at, byte, length) => {
          const changed = whole.slice(0, length);
          if (at < length) changed[at] = byte;
          try {
            expect(decodeMemberList(changed).length).toBeLessThanOrEqual(members.length);
          } catch (error) {
            expect(error).toBeInstanceOf(PaipaiError);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('that announces more members than it has bytes is refused, as is one of another version', () => {
    const many = encodeMemberList(members);
    many.set([255, 255, 0, 0], 1);
    expect(codeThrown(() => decodeMemberList(many))).toBe('PAIPAI_ERR_PROTOCOL');
    const later = encodeMemberList(members);
    later[0] = 2;
    expect(codeThrown(() => decodeMemberList(later))).toBe('PAIPAI_ERR_VERSION_MISMATCH');
    expect(codeThrown(() => decodeMemberList(new Uint8Array(0)))).toBe('PAIPAI_ERR_PROTOCOL');
  });
});

test('a view comes back as it went, and so does the revision that is asked for', () => {
  const view = { revision: 2 ** 40, members };
  expect(decodeMemberView(encodeMemberView(view))).toEqual(view);
  const known = { revision: 3, members: undefined };
  expect(decodeMemberView(encodeMemberView(known))).toEqual(known);
  expect(decodeRevision(encodeRevision(2 ** 40))).toBe(2 ** 40);
  for (const bytes of [0, 5, 7]) {
    expect(codeThrown(() => decodeRevision(new Uint8Array(bytes)))).toBe('PAIPAI_ERR_PROTOCOL');
  }
  expect(codeThrown(() => decodeMemberView(new Uint8Array(3)))).toBe('PAIPAI_ERR_PROTOCOL');
});

test('a member whose metadata cannot be read, or name no TCP address, is one without an address', () => {
  const record = {
    nodeId: 'a',
    instanceId: 7,
    incarnation: 1,
    state: 'alive',
    address: '10.0.0.1:7100',
  } as const;
  const said = (transportAddress: string) =>
    memberOf({
      ...record,
      metadata: encodeMetadata({ transportAddress, weight: 2, coordinates: false, load }),
    });
  expect(said('tcp://10.0.0.1:7100')).toMatchObject({ address: 'tcp://10.0.0.1:7100', weight: 2 });
  expect(said('unix:///run/node.sock')).toMatchObject({ address: '', weight: 2 });
  expect(said('nonsense')).toMatchObject({ address: '', weight: 2 });
  expect(memberOf({ ...record, metadata: new Uint8Array(3) })).toMatchObject({
    address: '',
    weight: 1,
    load: noLoad,
  });
});

test('datagram addresses are an IP address and a port, and nothing else is one', () => {
  for (const text of ['10.0.0.5:7100', '[::1]:1', '[fe80::1]:65535']) {
    const endpoint = parseEndpoint(text);
    expect(endpoint === undefined ? '' : formatEndpoint(endpoint)).toBe(text);
  }
  const wrong = ['host:1', '10.0.0.5', '10.0.0.5:0', '10.0.0.5:65536', '::1:5', '[10.0.0.5]:1', ''];
  for (const text of wrong) expect(parseEndpoint(text), text).toBeUndefined();
});
