import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newFile } from '../../../dist/cli/target.js';
import { makeFolder } from '../../support/folders.js';
import { codeOf } from '../../support/session-pair.js';
import { startProgram } from './run-cli.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('a new file', () => {
  test('is there under its name when it is finished, and not before', async () => {
    const folder = makeFolder();
    const path = join(folder, 'out');
    const target = await newFile(path, false);
    await target.write(bytes('one '));
    await target.write(bytes('two'));
    expect(readdirSync(folder)).not.toContain('out');
    await target.finish();
    await target.discard();
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(path, 'utf8')).toBe('one two');
  });

  test('leaves nothing when it is given up', async () => {
    const folder = makeFolder();
    const target = await newFile(join(folder, 'out'), false);
    await target.write(bytes('half'));
    await target.discard();
    await target.discard();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('leaves nothing when the process ends in the middle', async () => {
    const folder = makeFolder();
    const module = new URL('../../../dist/cli/target.js', import.meta.url).href;
    const script = `
      const { newFile } = await import(${JSON.stringify(module)});
      const target = await newFile(${JSON.stringify(join(folder, 'out'))}, false);
      await target.write(Buffer.from('half'));
      console.log((await import('node:fs')).readdirSync(${JSON.stringify(folder)}).length);
      process.exit(3);`;
    const child = startProgram(process.execPath, ['--input-type=module', '-e', script]);
    expect(await child.ended).toEqual({ end: 3, out: '1\n', err: '' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('never takes the place of another, also of one that came meanwhile', async () => {
    const folder = makeFolder();
    const path = join(folder, 'out');
    const target = await newFile(path, false);
    writeFileSync(path, 'mine');
    expect(await codeOf(target.finish())).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    await target.discard();
    expect(await codeOf(newFile(path, false))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });

  test('takes the place of another when it is forced, with its permissions', async () => {
    const folder = makeFolder();
    const path = join(folder, 'out');
    writeFileSync(path, 'old');
    chmodSync(path, 0o640);
    const target = await newFile(path, true);
    await target.write(bytes('new'));
    expect(readFileSync(path, 'utf8')).toBe('old');
    const [temporary = ''] = readdirSync(folder).filter((name) => name !== 'out');
    expect(statSync(join(folder, temporary)).mode & 0o777 & ~0o640).toBe(0);
    await target.finish();
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(readdirSync(folder)).toEqual(['out']);
  });

  test('does not take the place of a folder or a link, even when it is forced', async () => {
    const folder = makeFolder();
    const kept = join(folder, 'kept');
    const link = join(folder, 'link');
    mkdirSync(kept);
    symlinkSync('/dev/null', link);
    for (const path of [kept, link]) {
      expect(await codeOf(newFile(path, true))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    }
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['kept', 'link']);
  });

  test('in a folder that is not there fails as the system says it', async () => {
    const path = join(makeFolder(), 'nowhere', 'out');
    await expect(newFile(path, false)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
