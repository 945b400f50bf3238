import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { electCommand } from '../../../dist/cli/elect.js';
import { kvCommand } from '../../../dist/cli/kv.js';
import { lockCommand } from '../../../dist/cli/lock.js';
import { quorumCommand } from '../../../dist/cli/quorum.js';
import type { RunningNode } from '../../../dist/node/runtime.js';
import { runNode } from '../../../dist/node/serve.js';
import { makeFolder } from '../../support/folders.js';
import { cliArguments, isAlive, runCli, startCli } from './run-cli.js';
import { runCommand } from './run-command.js';

/** The commands that ask the coordinator of a net, each as a person or a script calls it. */

let node: RunningNode;
let variables: { PAIPAINET_JOIN: string };

beforeAll(async () => {
  node = await runNode({ listen: 'tcp://127.0.0.1:0', nodeId: 'table', coordinator: true });
  variables = { PAIPAINET_JOIN: node.address };
  return () => node.close();
});

const kv = (...args: string[]) => runCommand(kvCommand, args, variables);

async function txn(input: string, ...args: string[]) {
  const child = spawn(process.execPath, cliArguments(['txn', ...args]), {
    env: { ...process.env, ...variables },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(input);
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
  return { end: child.exitCode, out, err };
}

describe('kv', () => {
  test('puts, lists, deletes, and only when the key holds what is expected', async () => {
    const { out, end } = await kv('put', 'kv/a', '1');
    const version = Number(out);
    expect([end, version > 0]).toEqual([0, true]);
    expect((await runCli(['kv', 'get', 'kv/a'], variables)).out).toBe('1');
    const refused = await kv('put', 'kv/a', '2', '--expect', '0');
    expect([refused.end, refused.out]).toEqual([1, '']);
    expect(refused.err).toContain(`version ${version}`);
    expect((await kv('put', 'kv/a', '2', '--expect', String(version))).end).toBe(0);
    const got = await kv('get', 'kv/a', '--json');
    expect(JSON.parse(got.out)).toMatchObject({ key: 'kv/a', value: '2' });
    await kv('put', 'kv/b', '');
    expect((await kv('ls', 'kv/')).out).toMatch(/^\d+ {2}kv\/a\n\d+ {2}kv\/b\n$/);
    await kv('delete', 'kv/a');
    const gone = await kv('get', 'kv/a', '--json');
    expect([gone.end, JSON.parse(gone.out)]).toEqual([1, { key: 'kv/a', version: 0, value: null }]);
  });

  test('watches from a version on, until it is interrupted', async () => {
    const after = Number((await kv('put', 'watched', '1')).out);
    await kv('put', 'watched', '2');
    const watching = startCli(['kv', 'watch', 'watched', '--after', String(after)], variables);
    await watching.seen(/\d+ {2}2\n/);
    await kv('delete', 'watched');
    await watching.seen(/\(deleted\)\n/);
    watching.child.kill('SIGINT');
    expect((await watching.ended).end).toBe(130);
  });

  test.each([
    [[]],
    [['set', 'a', '1']],
    [['get']],
    [['get', 'a', 'b']],
    [['put', 'a']],
    [['get', 'a', '--expect', '1']],
    [['put', 'a', '1', '--after', '1']],
    [['put', 'a', '1', '--expect', 'x']],
    [['get', 'a', '--coordination', 'zookeeper']],
    [['get', 'a', '--coordination', 'quorum:a,b']],
  ])('%j is refused', async (args) => {
    await expect(kv(...args)).rejects.toMatchObject({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' });
  });
});

describe('txn', () => {
  test('changes several keys at once, or none', async () => {
    const made = await txn(
      '{ "expect": [{ "key": "txn/a", "version": 0 }], "set": [{ "key": "txn/a", "value": "1" }, { "key": "txn/b", "value": { "base64": "/w==" } }] }',
      '--json',
    );
    expect(JSON.parse(made.out)).toMatchObject({ isSet: true });
    expect(JSON.parse((await kv('get', 'txn/b', '--json')).out).value).toEqual({ base64: '/w==' });
    const refused = await txn(
      '{ "expect": [{ "key": "txn/a", "version": 0 }], "set": [{ "key": "txn/b", "value": null }] }',
    );
    expect(refused.end).toBe(1);
    expect(refused.err).toContain('nothing was changed');
    expect((await kv('get', 'txn/b')).end).toBe(0);
  });

  test.each([
    '',
    '[]',
    '{',
    '{"set":[{"key":"a","value":1}]}',
    '{"set":[1]}',
    '{"set":[{"key":""}]}',
  ])('%j is refused', async (input) => {
    const { end, err } = await txn(input);
    expect(end).toBe(2);
    expect(err).toContain('PAIPAI_ERR_INVALID_ARGUMENT');
  });
});

describe('lock and elect', () => {
  test('run a program with its token, and end as it does', async () => {
    const program = ['--', process.execPath, '-e'];
    const locked = [
      'job',
      ...program,
      'process.exit(Number(process.env.PAIPAINET_TOKEN) > 0 ? 7 : 1)',
    ];
    expect((await runCommand(lockCommand, locked, variables)).end).toBe(7);
    const leading = ['boss', '--value', 'me', ...program, 'process.kill(process.pid, "SIGKILL")'];
    expect((await runCommand(electCommand, leading, variables)).end).toBe(137);
    const nobody = await runCommand(electCommand, ['boss'], variables);
    expect([nobody.end, nobody.out]).toEqual([1, '']);
  });

  test('one waits for the other, and says so when that takes too long', async () => {
    const holder = startCli(['lock', 'held', '--', 'sleep', '60'], variables);
    onTestFinished(() => void holder.child.kill('SIGKILL'));
    const queue = async () => (await kv('ls', 'paipainet/lock/held/')).out;
    while ((await queue()) === '');
    const late = runCommand(lockCommand, ['held', '--wait', '1', '--', 'true'], variables);
    await expect(late).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
    const next = runCommand(lockCommand, ['held', '--', 'true'], variables);
    // The program hears of it, and the lock is free when it has ended.
    holder.child.kill('SIGTERM');
    expect((await holder.ended).end).toBe(143);
    expect((await next).end).toBe(0);
  });

  test('who leads is told, with what it says of itself', async () => {
    const leader = startCli(
      ['elect', 'chief', '--value', 'me', '--', 'sh', '-c', 'echo $$; exec sleep 60'],
      variables,
    );
    onTestFinished(() => void leader.child.kill('SIGKILL'));
    const [pid] = await leader.seen(/\d+/);
    const told = await runCommand(electCommand, ['chief', '--json'], variables);
    expect(JSON.parse(told.out)).toMatchObject({ name: 'chief', value: 'me' });
    leader.child.kill('SIGINT');
    expect((await leader.ended).end).toBe(130);
    expect(isAlive(Number(pid))).toBe(false);
    expect((await runCommand(electCommand, ['chief'], variables)).end).toBe(1);
  });

  test.each([
    ['lock', ['a']],
    ['lock', ['--', 'true']],
    ['lock', ['a', '--']],
    ['lock', ['a', '--ttl', '0', '--', 'true']],
    ['lock', ['a', '--', '/there/is/no/such/program']],
    ['elect', ['a', '--ttl', '5']],
    ['elect', []],
  ])('%s %j is refused', async (name, args) => {
    const running = runCommand(name === 'lock' ? lockCommand : electCommand, args, variables);
    await expect(running).rejects.toMatchObject({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' });
  });
});

describe('quorum', () => {
  test('says who agrees together, and has one replaced', async () => {
    const quorum = ['a', 'b', 'c'];
    const seeds: string[] = [];
    for (const nodeId of [...quorum, 'd']) {
      const store = { files: join(makeFolder(), 's') };
      const listen = 'tcp://127.0.0.1:0';
      const member = await runNode({
        listen,
        nodeId,
        quorum,
        store,
        ...(seeds.length > 0 && { join: seeds }),
      });
      onTestFinished(() => member.close());
      seeds.push(member.address);
    }
    const run = (...args: string[]) =>
      runCommand(quorumCommand, args, {
        PAIPAINET_JOIN: seeds[0] as string,
        PAIPAINET_COORDINATION: 'quorum:a,b,c',
      });
    const first = await run();
    expect([first.end, first.out]).toEqual([0, expect.stringMatching(/a +voting\n.*c +voting/s)]);
    const replaced = await run('replace', 'b', 'd', '--json');
    const members = ['a', 'd', 'c'].map((nodeId) => ({ nodeId, state: 'voting' }));
    expect(JSON.parse(replaced.out)).toEqual({ members });
    const unknown = await run('replace', 'b', '--json');
    expect([unknown.end, JSON.parse(unknown.out).error.code]).toEqual([
      1,
      'PAIPAI_ERR_UNKNOWN_NODE',
    ]);
  });

  test.each([
    [['list']],
    [['replace']],
    [['replace', 'a', 'b', 'c']],
    [[]],
    [['--coordination', 'etcd://127.0.0.1:1']],
  ])('%j is refused', async (args) => {
    const running = runCommand(quorumCommand, args, variables);
    await expect(running).rejects.toMatchObject({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' });
  });
});
