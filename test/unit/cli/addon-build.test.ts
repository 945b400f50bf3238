import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildAddon } from '../../../dist/cli/addon-build.js';
import { withBuildLock } from '../../../dist/cli/addon-lock.js';
import {
  addonFingerprint,
  addonIsCurrent,
  addonPath,
  writeAddonStamp,
} from '../../../dist/cli/addon-stamp.js';
import { findToolchain, missingTools } from '../../../dist/cli/toolchain.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'paipainet-build-'));
  mkdirSync(join(root, 'native', 'base'), { recursive: true });
  writeFileSync(join(root, 'binding.gyp'), '{}');
  writeFileSync(join(root, 'native', 'sources.txt'), 'native/base/a.cc\n');
  writeFileSync(join(root, 'native', 'base', 'a.cc'), 'int a;\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const signal = new AbortController().signal;

describe('the stamp of the addon', () => {
  function pretendBuilt(): void {
    mkdirSync(join(root, 'build', 'Release'), { recursive: true });
    writeFileSync(addonPath(root), '');
  }

  test('says that nothing is to be done while the sources are as they were', () => {
    expect(addonIsCurrent(root, addonFingerprint(root))).toBe(false);
    pretendBuilt();
    expect(addonIsCurrent(root, addonFingerprint(root))).toBe(false);
    writeAddonStamp(root, addonFingerprint(root));
    expect(addonIsCurrent(root, addonFingerprint(root))).toBe(true);
  });

  test.each([
    ['the content of a source', () => writeFileSync(join(root, 'native/base/a.cc'), 'int b;\n')],
    ['a new source', () => writeFileSync(join(root, 'native/base/b.h'), '')],
    ['a removed source', () => rmSync(join(root, 'native/base/a.cc'))],
    ['the list of sources', () => writeFileSync(join(root, 'native/sources.txt'), '')],
    ['the build file', () => writeFileSync(join(root, 'binding.gyp'), '{ }')],
    ['a missing addon', () => rmSync(addonPath(root))],
    ['a stamp that is damaged', () => writeFileSync(join(root, 'build/paipainet-stamp.json'), '{')],
  ])('is void after a change: %s', (_name, change) => {
    pretendBuilt();
    writeAddonStamp(root, addonFingerprint(root));
    change();
    expect(addonIsCurrent(root, addonFingerprint(root))).toBe(false);
  });
});

describe('the lock of the build', () => {
  const lock = (): string => join(root, 'build', 'paipainet.lock');

  test('lets one build run at a time', async () => {
    const notes: string[] = [];
    let running = 0;
    let most = 0;
    const build = (): Promise<void> =>
      withBuildLock(root, { signal, note: (line) => notes.push(line) }, async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
      });
    await Promise.all([build(), build(), build()]);
    expect(most).toBe(1);
    expect(notes[0]).toContain(`process ${process.pid}`);
    expect(existsSync(lock())).toBe(false);
  });

  test('is given back when the build fails', async () => {
    const failing = withBuildLock(root, { signal, note: () => {} }, () =>
      Promise.reject(new Error('no')),
    );
    await expect(failing).rejects.toThrow('no');
    expect(existsSync(lock())).toBe(false);
  });

  test('of a process that is gone is taken over', async () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    mkdirSync(lock(), { recursive: true });
    writeFileSync(join(lock(), 'owner'), `${gone} some-token`);
    expect(await withBuildLock(root, { signal, note: () => {} }, async () => 'built')).toBe(
      'built',
    );
  });

  test('is no longer waited for after an abort', async () => {
    mkdirSync(lock(), { recursive: true });
    writeFileSync(join(lock(), 'owner'), `${process.pid} held`);
    const controller = new AbortController();
    const note = (): void => controller.abort(new Error('enough'));
    const waiting = withBuildLock(root, { signal: controller.signal, note }, async () => {});
    await expect(waiting).rejects.toThrow(/enough|abort/i);
    expect(existsSync(lock())).toBe(true);
  });
});

describe('building', () => {
  const tinyAddon = {
    'binding.gyp': JSON.stringify({
      targets: [{ target_name: 'paipainet', sources: ['native/tiny.cc'] }],
    }),
    'native/tiny.cc': `#include <node_api.h>
static napi_value Init(napi_env env, napi_value exports) {
  napi_value answer;
  napi_create_int32(env, 42, &answer);
  napi_set_named_property(env, exports, "answer", answer);
  return exports;
}
NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
`,
  };

  // Without them node-gyp downloads, which no test may wait for.
  const { headers } = findToolchain(process.env);
  // Looked for here as well: a search of ours that misses them must fail, not skip.
  const header = join(dirname(realpathSync(process.execPath)), '../include/node/node_api.h');
  const isMissing = headers === undefined && !existsSync(header);
  const why = isMissing ? ' (skipped: no headers of Node beside it)' : '';
  const timeout = 60_000;

  test.skipIf(why)(`leaves an addon that loads${why}`, { timeout }, async () => {
    for (const [path, text] of Object.entries(tinyAddon)) writeFileSync(join(root, path), text);
    const options = { signal, variables: process.env, verbose: false };
    expect(await buildAddon(root, options)).toEqual({ ok: true });
    expect(createRequire(import.meta.url)(addonPath(root))).toEqual({ answer: 42 });
  });

  test.skipIf(why)(`says what the compiler said when it fails${why}`, { timeout }, async () => {
    for (const [path, text] of Object.entries(tinyAddon)) writeFileSync(join(root, path), text);
    writeFileSync(join(root, 'native/tiny.cc'), '#error "this cannot be built"\n');
    const outcome = await buildAddon(root, { signal, variables: process.env, verbose: false });
    expect(outcome).toMatchObject({
      ok: false,
      reason: expect.stringContaining('see its output above'),
      output: expect.stringContaining('this cannot be built'),
    });
  });

  test('names every tool that is missing', async () => {
    const variables = { PATH: root };
    expect(missingTools(findToolchain(variables))).toEqual([
      'python3',
      'make',
      'a C++ compiler (g++ or clang++)',
    ]);
    const outcome = await buildAddon(root, { signal, variables, verbose: false });
    expect(outcome).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/python3, make, a C\+\+ compiler.*PAIPAINET_ENGINE=js/),
    });
  });

  test('says when the sources are not there', async () => {
    rmSync(join(root, 'binding.gyp'));
    const outcome = await buildAddon(root, { signal, variables: process.env, verbose: false });
    expect(outcome).toMatchObject({ ok: false, reason: expect.stringContaining('no binding.gyp') });
  });

  test('ends its tools on abort', async () => {
    for (const [path, text] of Object.entries(tinyAddon)) writeFileSync(join(root, path), text);
    const controller = new AbortController();
    const building = buildAddon(root, {
      signal: controller.signal,
      variables: process.env,
      verbose: false,
    });
    controller.abort(new Error('enough'));
    await expect(building).rejects.toThrow('enough');
  });
});
