import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAddress, isLocalAddress, parseAddress } from '../../../dist/transport/address.js';

describe('addresses', () => {
  test.each([
    ['tcp://127.0.0.1:7100', { scheme: 'tcp', host: '127.0.0.1', port: 7100 }],
    ['tcp://localhost:0', { scheme: 'tcp', host: 'localhost', port: 0 }],
    ['tcp://node-7.example.org:65535', { scheme: 'tcp', host: 'node-7.example.org', port: 65_535 }],
    ['tcp://[::1]:7100', { scheme: 'tcp', host: '::1', port: 7100 }],
    ['tcp://[fe80::1%eth0]:7100', { scheme: 'tcp', host: 'fe80::1%eth0', port: 7100 }],
    ['unix:///tmp/a.sock', { scheme: 'unix', path: '/tmp/a.sock' }],
    ['unix:///with space/ü', { scheme: 'unix', path: '/with space/ü' }],
  ])('%s is read and written', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(formatAddress(parseAddress(text))).toBe(text);
  });

  test('a closing slash is no part of it', () => {
    expect(formatAddress(parseAddress('tcp://127.0.0.1:7100/'))).toBe('tcp://127.0.0.1:7100');
  });

  test('a Unix path of 107 bytes fits, 108 do not', () => {
    const path = (bytes: number): string =>
      `/${'é'.repeat((bytes - 1) / 2)}${bytes % 2 ? '' : 'x'}`;
    expect(Buffer.byteLength(path(107))).toBe(107);
    expect(parseAddress(`unix://${path(107)}`)).toEqual({ scheme: 'unix', path: path(107) });
    expect(() => parseAddress(`unix:///${'x'.repeat(107)}`)).toThrowError(
      expect.objectContaining({
        code: 'PAIPAI_ERR_INVALID_ADDRESS',
        message: expect.stringContaining('107'),
      }),
    );
  });

  test.each([
    [undefined],
    [7100],
    [''],
    ['127.0.0.1:7100'],
    ['http://127.0.0.1:7100'],
    ['tcp://127.0.0.1'],
    ['tcp://127.0.0.1:'],
    ['tcp://:7100'],
    ['tcp://127.0.0.1:65536'],
    ['tcp://127.0.0.1:100000'],
    ['tcp://127.0.0.1:-1'],
    ['tcp://127.0.0.1:7100/path'],
    ['tcp://user@127.0.0.1:7100'],
    ['tcp://::1:7100'],
    ['tcp://[127.0.0.1]:7100'],
    ['tcp://[]:7100'],
    ['tcp://a b:7100'],
    ['unix://'],
    ['unix://relative.sock'],
    ['unix:///zero\0byte'],
    [`tcp://${'a'.repeat(2000)}:1`],
  ])('%j is refused, with a hint', (text) => {
    expect(() => parseAddress(text)).toThrowError(
      expect.objectContaining({
        code: 'PAIPAI_ERR_INVALID_ADDRESS',
        message: expect.stringContaining('tcp://host:port or unix:///path'),
      }),
    );
  });

  test('any text: an address that is written back as one, or the typed error', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string().map((rest) => `tcp://${rest}`),
      fc.tuple(fc.string(), fc.nat(99_999)).map(([host, port]) => `tcp://${host}:${port}`),
      fc.string().map((rest) => `unix:///${rest}`),
    );
    fc.assert(
      fc.property(text, (input) => {
        try {
          const address = parseAddress(input);
          expect(parseAddress(formatAddress(address))).toEqual(address);
        } catch (error) {
          expect(error).toMatchObject({ code: 'PAIPAI_ERR_INVALID_ADDRESS' });
        }
      }),
    );
  });

  test.each([
    ['tcp://127.0.0.1:1', true],
    ['tcp://127.255.0.9:1', true],
    ['tcp://[::1]:1', true],
    ['tcp://localhost:1', true],
    ['unix:///tmp/a.sock', true],
    ['tcp://0.0.0.0:1', false],
    ['tcp://[::]:1', false],
    ['tcp://10.0.0.1:1', false],
    ['tcp://127.0.0.1.example.org:1', false],
    ['tcp://example.org:1', false],
  ])('%s is reached from this machine only: %s', (text, isLocal) => {
    expect(isLocalAddress(parseAddress(text))).toBe(isLocal);
  });
});
