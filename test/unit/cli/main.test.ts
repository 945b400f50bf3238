import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const manifest = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
);

function paipainet(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    env: { ...process.env, PAIPAINET_DEBUG: '' },
  });
  return { code: status, out: stdout, err: stderr };
}

const commands = [
  'demo',
  'node',
  'up',
  'ls',
  'put',
  'get',
  'process',
  'mapreduce',
  'explain',
  'plan',
  'build',
  'doctor',
  'bench',
];

describe('paipainet', () => {
  test('--version prints the version of the package', () => {
    expect(paipainet('--version')).toEqual({ code: 0, out: `${manifest.version}\n`, err: '' });
  });

  test('--help lists the commands, within 100 columns', () => {
    const { code, out, err } = paipainet('--help');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const command of commands) expect(out).toContain(`\n  ${command} `);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('without a command shows how it is used, on standard error', () => {
    const { code, out, err } = paipainet();
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^Usage: paipainet COMMAND/);
  });

  test.each(commands)('%s --help explains the command', (command) => {
    const { code, out, err } = paipainet(command, '--help');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`^Usage: paipainet ${command}`));
  });

  test.each([
    [['frobnicate'], "Unknown command 'frobnicate'"],
    [['--frobnicate'], "Unknown option '--frobnicate'"],
    [['demo', '--frobnicate'], "Unknown option '--frobnicate'"],
    [['demo', '--key'], '--key'],
    [['demo', '--nodes', '0'], '--nodes must be a whole number from 1 to 64'],
    [['demo', '--nodes', '65'], '--nodes must be a whole number from 1 to 64'],
    [['demo', '--nodes', 'x'], '--nodes must be a whole number from 1 to 64'],
    [['demo', '--shard-bytes', '0'], '--shard-bytes must be a whole number'],
    [['demo', '--shard-bytes', '67108865'], '--shard-bytes must be a whole number'],
    [['demo', 'a.csv', 'b.csv'], "Unexpected argument 'b.csv'"],
    [['node'], 'Give --listen ADDRESS'],
    [['build', 'something'], "Unexpected argument 'something'"],
    [['doctor', '--nodes'], "Unknown option '--nodes'"],
  ])('%j is refused in one line that names the culprit', (args, culprit) => {
    const { code, out, err } = paipainet(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^error PAIPAI_ERR_INVALID_ARGUMENT: [^\n]+\n$/);
    expect(err).toContain(culprit);
  });

  test('--verbose shows the stack', () => {
    expect(paipainet('demo', '--frobnicate', '--verbose').err).toContain('    at ');
  });
});
