import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The packed tarball as a project meets it that depends on it: unpacked under `node_modules`, beside its dependencies. */

const root = fileURLToPath(new URL('../../', import.meta.url));
let project: string;
let installed: string;
let files: string[];
let manifest: Record<string, unknown>;
let command: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'paipainet-package-'));
  const modules = join(project, 'node_modules');
  installed = join(modules, 'paipainet');
  mkdirSync(installed, { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', project], {
    cwd: root,
    stdio: 'pipe',
  });
  const tarball = readdirSync(project).find((name) => name.endsWith('.tgz')) ?? '';
  execFileSync('tar', ['-xzf', join(project, tarball), '-C', installed, '--strip-components=1']);
  files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1));
  manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
}, 60_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

function runNode(...args: string[]): string {
  return execFileSync(process.execPath, args, { cwd: project, encoding: 'utf8', stdio: 'pipe' });
}

describe('the tarball', () => {
  test('has no install script, and keeps npm from inventing one for binding.gyp', () => {
    const scripts = Object.keys(manifest['scripts'] ?? {});
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(scripts).not.toContain(name);
    }
    expect(manifest['gypfile']).toBe(false);
  });

  test('has what people read, what runs, and what the addon is built from', () => {
    const sources = readFileSync(join(root, 'native/sources.txt'), 'utf8').trim().split(/\s+/);
    expect(sources.length).toBeGreaterThan(0);
    expect(files).toEqual(
      expect.arrayContaining([
        'README.md',
        'LICENSE',
        'CHANGELOG.md',
        'docs/ERRORS.md',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/cli/main.js',
        'dist/cli/demo-handlers.js',
        'dist/node/thread-entry.cjs',
        'dist/node/worker-entry.cjs',
        'dist/bench/run.js',
        'bench/native/exchange.c',
        'binding.gyp',
        'native/sources.txt',
        'native/base/error_codes.def',
        ...sources,
      ]),
    );
  });

  test('has nothing that is only of use to its authors', () => {
    const strays = files.filter((path) =>
      /(^|\/)(test|node_modules|build[^/]*|\.ci|\.git[^/]*)\/|\.tsbuildinfo$|\.test\.|\.node$|\.tgz$|^tsconfig|^CMakeLists/.test(
        path,
      ),
    );
    expect(strays).toEqual([]);
  });

  test('has no path of the machine it was packed on', () => {
    const texts = files.filter((path) => /\.(js|cjs|ts|json|md|mjs|txt|gyp)$/.test(path));
    const marked = texts.filter((path) =>
      readFileSync(join(installed, path), 'utf8').includes(root),
    );
    expect(marked).toEqual([]);
  });

  test('has every file that its documents lead to', () => {
    const missing = files
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) => {
        const text = readFileSync(join(installed, path), 'utf8');
        const targets = [...text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)].map(
          ([, target]) => join(dirname(path), target as string), // The group takes part in each match.
        );
        return targets.filter((target) => !existsSync(join(installed, target)));
      });
    expect(missing).toEqual([]);
  });

  test('has every file that its manifest names', () => {
    const { main, types, bin } = manifest as { main: string; types: string; bin: object };
    for (const path of [main, types, ...Object.values(bin)]) {
      expect(existsSync(join(installed, path)), path).toBe(true);
    }
  });
});

describe('a project that depends on it', () => {
  const words = "typeof Net + ' ' + typeof Node + ' ' + typeof Data + ' ' + typeof PaipaiError";

  test('imports it', () => {
    const program = `import { Net, Node, Data, PaipaiError } from 'paipainet'; console.log(${words});`;
    expect(runNode('--input-type=module', '-e', program)).toBe(
      'function function function function\n',
    );
  });

  test('requires it, and gets the same classes', () => {
    const program = `const { Net, Node, Data, PaipaiError } = require('paipainet'); console.log(${words});
      import('paipainet').then((module) => console.log(module.Net === Net));`;
    expect(runNode('--input-type=commonjs', '-e', program)).toBe(
      'function function function function\ntrue\n',
    );
  });

  test('cannot reach into it', () => {
    const program =
      "import('paipainet/dist/api/net.js').catch((error) => console.log(error.code));";
    expect(runNode('-e', program)).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  });

  test('runs a net with handlers of its own', { timeout: 30_000 }, () => {
    writeFileSync(
      join(project, 'handlers.mjs'),
      'export const bytes = { process: (shard) => shard.length, merge: (a, b) => a + b };',
    );
    writeFileSync(
      join(project, 'net.mjs'),
      `import { Data, Net, Node } from 'paipainet';
      const net = new Net({ handlers: new URL('./handlers.mjs', import.meta.url) });
      for (const runAs of ['process', 'thread', 'inline']) net.addNode(new Node(runAs, { runAs }));
      const data = new Data('d', new Uint8Array(9), { shardBytes: 3 });
      net.addData(data);
      await net.start();
      console.log((await net.process(data, 'bytes')).value);
      await net.close();`,
    );
    expect(runNode('net.mjs')).toBe('9\n');
  });

  test('sees its types, and is refused what they forbid', { timeout: 30_000 }, () => {
    writeFileSync(
      join(project, 'use.ts'),
      `import { Data, Net, Node, PaipaiError } from 'paipainet';
export async function use(): Promise<string> {
  await using net = new Net({ placement: 'weighted' });
  const node: Node = new Node(1, { runAs: 'inline' });
  const data: Data = new Data('d', new Uint8Array(3), { shardBytes: 1 });
  net.addNode(node).addData(data);
  await net.start();
  const { report } = await net.process(data);
  // @ts-expect-error There is no such placement.
  new Net({ placement: 'elsewhere' });
  // @ts-expect-error An id is a string or a number.
  new Node({});
  const code: 'PAIPAI_ERR_CLOSED' | string = new PaipaiError('PAIPAI_ERR_CLOSED', '').code;
  return code + report.perNode.map((each) => each.nodeId).join();
}
`,
    );
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable'],
          module: 'nodenext',
          types: ['node'],
        },
        files: ['use.ts'],
      }),
    );
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    expect(runNode(tsc, '-p', project)).toBe('');
  });

  test('runs its command', () => {
    const { bin, version } = manifest as { bin: { paipainet: string }; version: string };
    command = join(project, 'node_modules', '.bin', 'paipainet');
    mkdirSync(dirname(command), { recursive: true });
    // As npm does: a link, and the file made executable.
    chmodSync(join(installed, bin.paipainet), 0o755);
    symlinkSync(join(installed, bin.paipainet), command);
    expect(execFileSync(command, ['--version'], { encoding: 'utf8' })).toBe(`${version}\n`);
  });

  test('benches, with the rivals that are installed beside it', { timeout: 120_000 }, () => {
    const bench = (...args: string[]): string =>
      execFileSync(command, ['bench', ...args], { cwd: project, encoding: 'utf8', stdio: 'pipe' });
    expect(bench('--', '--list')).toMatch(/^Cases:\n {2}pingpong: /);
    const short = ['--rounds', '1', '--seconds', '0.1', '--engine', 'js'];
    const table = bench('requests', '--vs', 'net,ws', '--out', join(project, 'out.json'), ...short);
    expect(table).toMatch(/^paipainet .*\nnet .*\nws /m);
    const result = JSON.parse(readFileSync(join(project, 'out.json'), 'utf8'));
    expect(result.peers.map(({ peer }: { peer: string }) => peer)).toEqual([
      'paipainet',
      'net',
      'ws',
    ]);
    expect(readFileSync(join(project, 'out.svg'), 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(readFileSync(join(project, 'out.md'), 'utf8')).toContain('](out.svg)');
  });
});
