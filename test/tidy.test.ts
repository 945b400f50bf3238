import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/** What the pages on style promise of the files, where no compiler or linter looks. */

const root = fileURLToPath(new URL('../', import.meta.url));

/** Every file that people write, by its path below the root. */
const files: readonly string[] = filesBelow('');

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (/^(\.git|node_modules|dist|build|build-.*|.*\.tgz)$/.test(entry.name)) return [];
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function matching(pattern: RegExp): string[] {
  return files.filter((path) => pattern.test(path));
}

/** Every match as `path:line: text`, so that a failure says where to go. */
function findings(paths: readonly string[], isWrong: (line: string) => boolean): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, i) => (isWrong(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

/** From the ground up; a folder sees those below its own floor, and none beside it. */
const libFloors = [
  ['base'],
  ['native', 'wire'],
  ['transport', 'store', 'drop-in'],
  ['session'],
  ['data'],
  ['coordination'],
  ['cluster'],
  ['processing', 'transactions'],
  ['node'],
  ['api'],
  ['cli', 'index.ts'],
] as const;

const nativeFloors = [
  ['base'],
  ['memory', 'frame', 'shm'],
  ['io'],
  ['loop'],
  ['socket'],
  ['binding'],
] as const;

function floorOf(floors: readonly (readonly string[])[], folder: string): number {
  return floors.findIndex((floor) => floor.includes(folder));
}

function mayImport(floors: readonly (readonly string[])[], from: string, to: string): boolean {
  return from === to || floorOf(floors, to) < floorOf(floors, from);
}

function firstFolder(path: string): string {
  return path.split('/')[0] ?? '';
}

describe('lib', () => {
  const modules = matching(/^lib\/.*\.ts$/);
  const imports = modules.flatMap((path) =>
    [...read(path).matchAll(/(?:\bfrom|\bimport\(|\bimport)\s*'([^']+)'/g)].map((match) => ({
      path,
      specifier: match[1] ?? '',
    })),
  );

  test('stands in folders that have a floor', () => {
    const folders = new Set(modules.map((path) => firstFolder(path.slice('lib/'.length))));
    expect([...folders].filter((folder) => floorOf(libFloors, folder) < 0)).toEqual([]);
  });

  test('imports from its own folder and from below', () => {
    const wrong = imports
      .filter(({ specifier }) => specifier.startsWith('.'))
      .filter(({ path, specifier }) => {
        const target = relative('lib', normalize(join(dirname(path), specifier)));
        const from = firstFolder(relative('lib', path));
        return !mayImport(libFloors, from, firstFolder(target));
      });
    expect(wrong).toEqual([]);
  });

  test('imports in base come from Node alone', () => {
    const foreign = imports.filter(
      ({ path, specifier }) => path.startsWith('lib/base/') && !/^(\.|node:)/.test(specifier),
    );
    expect(foreign).toEqual([]);
  });

  test('takes time and chance from its environment', () => {
    const deciding = modules.filter(
      (path) =>
        !/^lib\/(cli|node)\//.test(path) && !/^lib\/transport\/(portable|native)-/.test(path),
    );
    const wrong = findings(deciding, (line) =>
      /^[^*/]*\b(Date\.now|Math\.random|(?<!\.)setTimeout|(?<!\.)setInterval)\(/.test(line),
    );
    expect(wrong).toEqual([]);
  });
});

describe('native', () => {
  const sources = matching(/^native\/.*\.(h|cc|def)$/);
  const includes = sources.flatMap((path) =>
    [...read(path).matchAll(/^\s*#\s*include\s+["<]([^">]+)[">]/gm)].map((match) => ({
      path,
      included: match[1] ?? '',
    })),
  );

  test('includes from its own folder and from below', () => {
    const own = new Set(sources.map((path) => firstFolder(path.slice('native/'.length))));
    const wrong = includes
      .filter(({ included }) => own.has(firstFolder(included)))
      .filter(({ path, included }) => {
        const from = firstFolder(path.slice('native/'.length));
        return !mayImport(nativeFloors, from, firstFolder(included));
      });
    expect(wrong).toEqual([]);
  });

  test('knows Node and libuv in binding only', () => {
    const wrong = includes.filter(
      ({ path, included }) =>
        /^(napi|node_api|uv|node|v8)(\.h|-inl\.h)$/.test(included) &&
        !path.startsWith('native/binding/'),
    );
    expect(wrong).toEqual([]);
  });

  test('has every source in sources.txt, once', () => {
    const listed = read('native/sources.txt').trim().split('\n');
    expect([...listed].sort()).toEqual(matching(/^native\/.*\.cc$/).sort());
  });

  test.each(['binding.gyp', 'CMakeLists.txt'])('%s takes its sources from that list', (path) => {
    expect(read(path)).toContain('native/sources.txt');
    expect(findings([path], (line) => /\bnative\/\w+\/\S+\.cc\b/.test(line))).toEqual([]);
  });
});

describe('no file', () => {
  const code = matching(/\.(ts|mjs|js|cc|h|c|def|gyp|sh)$/);

  test('has an open end that does not say what kind it is', () => {
    const wrong = findings(
      code.filter((path) => path !== 'test/tidy.test.ts'),
      (line) =>
        /\b(FIXME|XXX|HACK)\b/.test(line) ||
        (/\bTODO\b/.test(line) && !/\bTODO\((perf|safety|port|cleanup|test)\): \S+ \S+/.test(line)),
    );
    expect(wrong).toEqual([]);
  });

  test('leaves a test out without printing why', () => {
    // `context.skip(condition, 'why')` prints its reason; `skipIf` does when the title takes it up.
    const silent =
      /\b(it|test|describe|suite)(\.\w+)*\.(only|skip|todo|runIf|skipIf(?!\(.*\)\(\s*`[^`]*\$\{))\b/;
    const tests = matching(/^test\/.*\.test\.ts$/).filter((path) => path !== 'test/tidy.test.ts');
    expect(tests.filter((path) => silent.test(read(path)))).toEqual([]);
  });

  test('names a folder of somebody’s machine', () => {
    const wrong = findings(
      files.filter((path) => !/\.(bin|png|jpg|gz)$/.test(path)),
      (line) => /(?<![\w.~$}-])\/(root|home|Users|work)\/[\w.]/.test(line),
    );
    expect(wrong).toEqual([]);
  });

  test('in test or bench imports TypeScript from lib', () => {
    const wrong = findings(matching(/^(test|bench)\/.*\.(ts|mjs)$/), (line) =>
      /(\bfrom|\bimport\()\s*'(\.\.\/)+lib\//.test(line),
    );
    expect(wrong).toEqual([]);
  });
});

describe('package-lock.json', () => {
  test('records no address to download from', () => {
    expect(findings(['package-lock.json'], (line) => line.includes('"resolved"'))).toEqual([]);
  });

  test('knows every optional dependency, those of other platforms too', () => {
    // npm leaves out what its registry could not give when it wrote the file, and `npm ci` then refuses the file everywhere.
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter(
        (name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)),
      );
    expect(missing).toEqual([]);
  });
});
