import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../dist/native/load.js';

/** The suite tests the native engine, unless it was told to test the other one: a quiet fallback must not pass for it. */
describe('the engine under test', () => {
  test('is the native one, unless PAIPAINET_ENGINE=js', (context) => {
    context.skip(
      process.env['PAIPAINET_ENGINE'] === 'js',
      'PAIPAINET_ENGINE=js asks for the portable engine',
    );
    const native = loadNative();
    expect(native.ok ? 'native' : native.reason).toBe('native');
  });
});
