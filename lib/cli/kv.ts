import type { Net, NetCoordinator } from '../api/net.js';
import { PaipaiError } from '../base/errors.js';
import {
  clientCommand,
  clientHelp,
  clientOptions,
  type Limits,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import {
  type Command,
  type CommandContext,
  commonOptions,
  integerOption,
  parseOptions,
  usageError,
} from './command.js';
import { coordinationHelp, coordinationOf, coordinationOptions } from './coordination-options.js';
import { printable } from './format.js';
import { toJson } from './json.js';
import { standardOutput } from './target.js';

const help = `Usage: paipainet kv get KEY [options]
       paipainet kv put KEY VALUE [options]
       paipainet kv delete KEY [options]
       paipainet kv ls [PREFIX] [options]
       paipainet kv watch KEY [options]

The table that a net agrees on. "get" writes the bytes of the value and nothing else, "ls" a line
for each key with its version, "watch" a line for each change from now on.

  --expect VERSION     put and delete only when the key holds that version; 0: no value
  --after VERSION      watch what came behind that version as well
${coordinationHelp}
${clientHelp}

With --json a value is text where it is UTF-8, else { "base64": … }.

Exit codes: 0 done; 1 it went wrong, there is no such key, or it holds another version; 2 it was asked
the wrong way; 130 Ctrl-C.`;

interface Task {
  readonly coordinator: NetCoordinator;
  readonly limits: Limits;
  readonly context: CommandContext;
  readonly key: string;
  readonly value: string | undefined;
  readonly expect: number | undefined;
  readonly after: number | undefined;
  readonly isJson: boolean;
}

const tasks: Readonly<Record<string, { count: 0 | 1 | 2; run: (task: Task) => Promise<number> }>> =
  {
    get: { count: 1, run: get },
    put: { count: 2, run: change },
    delete: { count: 1, run: change },
    ls: { count: 0, run: list },
    watch: { count: 1, run: watch },
  };

export const kvCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('kv', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        ...coordinationOptions,
        expect: { type: 'string' },
        after: { type: 'string' },
      },
    });
    const [name = '', ...rest] = positionals;
    const task = tasks[name];
    if (task === undefined) throw usageError('kv', 'Give get, put, delete, ls or watch');
    const names = ['KEY', 'VALUE'].slice(0, task.count);
    const [key = '', value] = takeArguments('kv', rest, names, name === 'ls' ? 1 : 0);
    const expect = versionOf('expect', values.expect);
    const after = versionOf('after', values.after);
    if (expect !== undefined && task.run !== change) {
      throw usageError('kv', '--expect goes with put and delete');
    }
    if (after !== undefined && name !== 'watch') throw usageError('kv', '--after goes with watch');
    const options = {
      ...netOptionsOf('kv', values, context),
      ...coordinationOf('kv', values.coordination, context.variables),
    };
    return withNet(options, context, (net: Net, limits) =>
      task.run({
        coordinator: net.coordinator,
        limits,
        context,
        key,
        value,
        expect,
        after,
        isJson: values.json === true,
      }),
    );
  },
});

function versionOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return integerOption('kv', name, text, 0, Number.MAX_SAFE_INTEGER);
}

async function get({ coordinator, limits, context, key, isJson }: Task): Promise<number> {
  const { value, version } = await coordinator.get(key, limits);
  if (isJson) context.terminal.print(toJson({ key, version, value: readable(value) }));
  else if (value !== undefined) await standardOutput().write(value);
  else context.terminal.note(printable(`there is no key ${key}`));
  return value === undefined ? 1 : 0;
}

async function change(task: Task): Promise<number> {
  const { coordinator, limits, context, key, value, expect, isJson } = task;
  const bytes = value === undefined ? undefined : Buffer.from(value);
  const result = await coordinator.txn(
    {
      ...(expect === undefined ? {} : { expect: [{ key, version: expect }] }),
      set: [{ key, value: bytes }],
    },
    limits,
  );
  const version = result.versions.get(key) ?? 0;
  if (isJson) context.terminal.print(toJson({ key, isSet: result.isSet, version }));
  else if (result.isSet) context.terminal.print(String(version));
  else context.terminal.note(printable(`${key} holds version ${version}, and stays as it is`));
  return result.isSet ? 0 : 1;
}

async function list({ coordinator, limits, context, key: prefix, isJson }: Task): Promise<number> {
  const all: { key: string; version: number }[] = [];
  for (let isComplete = false; !isComplete; ) {
    const page = await coordinator.list(prefix, { ...limits, after: all.at(-1)?.key });
    all.push(...page.keys);
    ({ isComplete } = page);
  }
  if (isJson) context.terminal.print(toJson({ keys: all }));
  else for (const { key, version } of all) context.terminal.print(printable(`${version}  ${key}`));
  return 0;
}

async function watch(task: Task): Promise<number> {
  const { coordinator, limits, context, key, isJson } = task;
  const after = task.after ?? (await coordinator.get(key, limits)).asOf;
  for await (const { version, value } of coordinator.watch(key, { after, ...limits })) {
    const text = value === undefined ? '(deleted)' : Buffer.from(value).toString();
    context.terminal.print(
      isJson ? toJson({ key, version, value: readable(value) }) : printable(`${version}  ${text}`),
    );
  }
  throw new PaipaiError('PAIPAI_ERR_PEER_CLOSED', 'the watch has ended');
}

/** Text where it is some. */
export function readable(value: Uint8Array | undefined): string | Uint8Array | null {
  if (value === undefined) return null;
  const text = Buffer.from(value).toString();
  return Buffer.compare(Buffer.from(text), value) === 0 ? text : value;
}
