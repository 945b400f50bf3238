import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { selectEngine } from '../../../dist/node/select-network.js';
import { crc32c } from '../../../dist/wire/crc32c.js';

const variable = 'PAIPAINET_ENGINE';
let before: string | undefined;

beforeEach(() => {
  before = process.env[variable];
  delete process.env[variable];
});
afterEach(() => {
  if (before === undefined) delete process.env[variable];
  else process.env[variable] = before;
});

describe('the engine', () => {
  test('is the native one where its addon loads, as it does for these tests', () => {
    expect(selectEngine('auto').name).toBe('native');
    expect(selectEngine('native').name).toBe('native');
  });

  test('is the one that is asked for, and the option goes before the variable', () => {
    expect(selectEngine('js')).toMatchObject({
      name: 'js',
      reason: 'the option engine asks for it',
    });
    process.env[variable] = 'js';
    expect(selectEngine('auto')).toMatchObject({
      name: 'js',
      reason: 'PAIPAINET_ENGINE asks for it',
    });
    expect(selectEngine('native').name).toBe('native');
  });

  test('cannot be another word', () => {
    process.env[variable] = 'fast';
    expect(() => selectEngine('auto')).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });

  test.each(['native', 'js'] as const)('computes the same with %s', (name) => {
    const bytes = new Uint8Array(1_000).map((_, at) => at * 7);
    expect(selectEngine(name).crc32c(bytes)).toBe(crc32c(bytes));
    expect(selectEngine(name).network.engine).toBe(name);
  });
});
