import { describe, expect, test } from 'vitest';
import { checkEtcd, type EtcdOptions } from '../../../../dist/coordination/etcd/etcd-options.js';
import { Net } from '../../../../dist/index.js';
import { codeThrown } from '../../../support/session-pair.js';

function hostsOf(choice: string | EtcdOptions): string[] {
  return checkEtcd(choice, 'default').endpoints.map(({ origin }) => origin);
}

describe('how an etcd is named', () => {
  test('by a URL, with several members, a user, and TLS', () => {
    expect(hostsOf('etcd://127.0.0.1:2379')).toEqual(['http://127.0.0.1:2379']);
    expect(hostsOf('etcds://a:1,b:2,[::1]:3/')).toEqual([
      'https://a:1',
      'https://b:2',
      'https://[::1]:3',
    ]);
    const { login, prefix } = checkEtcd('etcd://ann:p%3A%40%2F@a:1', 'my net/1');
    expect(login).toEqual({ name: 'ann', password: 'p:@/' });
    expect(prefix).toBe('paipainet/my%20net%2F1/');
  });

  test('by an object, with a prefix of its own', () => {
    const { endpoints, prefix, tls } = checkEtcd(
      { etcd: ['https://a:1'], prefix: 'ours/', ca: 'PEM' },
      'default',
    );
    expect([endpoints[0]?.origin, prefix, tls]).toEqual(['https://a:1', 'ours/', { ca: 'PEM' }]);
  });

  test.each<[string, unknown]>([
    ['no member', { etcd: [] }],
    ['too many', { etcd: Array.from({ length: 17 }, (_, at) => `http://a:${at + 1}`) }],
    ['a path', { etcd: ['http://a:1/v3'] }],
    ['another scheme', { etcd: ['ftp://a:1'] }],
    ['no address', { etcd: [1] }],
    ['a user without a password', { etcd: ['http://a:1'], user: 'ann' }],
    ['a password in an address', { etcd: ['http://ann:p@a:1'] }],
    ['a misspelt option', { etcd: ['http://a:1'], pasword: 'p' }],
    ['a prefix of nothing', { etcd: ['http://a:1'], prefix: '' }],
    ['a number as a certificate', { etcd: ['http://a:1'], ca: 1 }],
    ['no host', 'etcd://'],
    ['percent signs that mean nothing', 'etcd://a:%@b:1'],
    ['another word', 'zookeeper'],
    ['a number', 2379],
    ['null', null],
  ])('%s is refused', (_, coordination) => {
    const options = { coordination } as object;
    expect(codeThrown(() => new Net(options))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  test('no password is in the message', () => {
    for (const coordination of ['etcd://ann:secret@', { etcd: ['http://ann:secret@a:1'] }]) {
      expect(() => new Net({ coordination } as object)).toThrow(/^(?!.*secret)/);
    }
  });
});
