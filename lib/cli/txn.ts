import { text } from 'node:stream/consumers';
import { checkObject } from '../base/check.js';
import type { Txn } from '../coordination/coordinator.js';
import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions, usageError } from './command.js';
import { coordinationHelp, coordinationOf, coordinationOptions } from './coordination-options.js';
import { printable } from './format.js';
import { toJson } from './json.js';

const help = `Usage: paipainet txn [options] < TRANSACTION

Changes several keys of the table at one moment, if all that are expected hold their versions. The
transaction is JSON on standard input:

  { "expect": [{ "key": "a", "version": 7 }], "set": [{ "key": "a", "value": "1" }, { "key": "b", "value": null }] }

Version 0 is no value, null deletes; bytes that are no text are { "base64": … }.

${coordinationHelp}
${clientHelp}

Exit codes: 0 it was made; 1 some key holds another version and nothing was changed, or it went wrong;
2 it was asked the wrong way; 130 Ctrl-C.`;

export const txnCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('txn', {
      args: [...args],
      allowPositionals: true,
      options: { ...commonOptions, ...clientOptions, ...coordinationOptions },
    });
    takeArguments('txn', positionals, []);
    const options = {
      ...netOptionsOf('txn', values, context),
      ...coordinationOf('txn', values.coordination, context.variables),
    };
    const txn = parseTxn(await text(process.stdin));
    return withNet(options, context, async ({ coordinator }, limits) => {
      const { isSet, versions } = await coordinator.txn(txn, limits);
      const { terminal } = context;
      if (values.json === true) terminal.print(toJson({ isSet, versions }));
      else {
        for (const [key, version] of versions) terminal.print(printable(`${version}  ${key}`));
        if (!isSet) terminal.note('some key holds another version, and nothing was changed');
      }
      return isSet ? 0 : 1;
    });
  },
});

/** What is in it the coordinator looks at. */
function parseTxn(json: string): Txn {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw usageError('txn', 'Standard input is no JSON');
  }
  checkObject('the transaction', parsed);
  const { set, ...rest } = parsed as { set?: unknown };
  if (!Array.isArray(set)) return { ...rest, ...(set === undefined ? {} : { set: set as never }) };
  return { ...rest, set: set.map((one: unknown) => withBytes(one)) };
}

function withBytes(one: unknown): { key: string; value: Uint8Array | undefined } {
  checkObject('txn.set', one);
  const { key, value } = one as { key: string; value?: unknown };
  return { key, value: bytesOf(value) };
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (value === null) return undefined;
  if (typeof value === 'string') return Buffer.from(value);
  const base64 = (value as { base64?: unknown } | undefined)?.base64;
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64');
  throw usageError('txn', 'A value must be text, null or { "base64": … }');
}
