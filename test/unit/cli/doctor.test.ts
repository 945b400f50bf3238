import { describe, expect, test } from 'vitest';
import { runCli } from './run-cli.js';

describe('paipainet doctor', () => {
  test('says that the native engine works, and ends with 0', async () => {
    const { end, out, err } = await runCli(['doctor', '--json'], { PAIPAINET_ENGINE: '' });
    expect({ end, err }).toEqual({ end: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({
      engine: 'native',
      reason: expect.stringMatching(/./),
      native: { works: true, tried: [expect.stringMatching(/paipainet\.node$/)] },
      crc32c: expect.stringMatching(/^(sse4\.2|arm|table)$/),
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
    });
  });

  test('says why it does not where addons are forbidden, and ends with 1', async () => {
    const { end, out } = await runCli(['doctor', '--json'], {
      PAIPAINET_ENGINE: '',
      NODE_OPTIONS: '--no-addons',
    });
    expect(end).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      engine: 'js',
      native: { works: false, reason: expect.stringContaining('--no-addons') },
      crc32c: 'js',
      advice: expect.arrayContaining([expect.stringContaining('--no-addons')]),
    });
  });

  test('tells the engine in use from one that works', async () => {
    const { end, out } = await runCli(['doctor'], { PAIPAINET_ENGINE: 'js' });
    expect(end).toBe(0);
    expect(out).toMatch(/engine +js: PAIPAINET_ENGINE/);
    expect(out).toMatch(/native +works/);
  });

  test('names what cannot be found', async () => {
    const { out } = await runCli(['doctor'], { PATH: '' });
    for (const tool of ['python3', 'make', 'compiler'])
      expect(out).toMatch(new RegExp(`${tool} +missing`));
  });
});
