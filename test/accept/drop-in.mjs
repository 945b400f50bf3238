// The drop-in under real software: clients against real servers, servers under real clients, each over Node's sockets and both ways over
// ours. A program of `drop-in/` works with one library and prints what it saw, which must be the same each way.

import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { withServers } from './drop-in/servers.mjs';
import { installNode, run, withFolder } from './support.mjs';

const register = ['--import', 'paipainet/register'];
const otherMajors = [22, 24];

/** What takes longer than this stands still. */
const patience = (plainMs) => 5 * plainMs + 5_000;

/** Runs a program to its end one way; throws unless it ended by itself, and well. */
async function go(node, name, way, settings, timeoutMs) {
  const args = [
    ...(way === 'register' ? register : []),
    `test/accept/drop-in/${name}.mjs`,
    JSON.stringify({ way, ...settings }),
  ];
  const startMs = performance.now();
  const { code, stdout, stderr } = await run(node, args, { timeoutMs });
  const ms = performance.now() - startMs;
  if (code !== 0) {
    const isLate = code === 'SIGKILL';
    const why = isLate ? `not over after ${Math.round(timeoutMs)} ms` : `ended with ${code}`;
    throw new Error(`${name}, ${way}: ${why}\n${stdout}${stderr}`.slice(-2_000));
  }
  return { ms, ...JSON.parse(stdout) };
}

/** The names of results that differ, with both values. */
function differences(expected, seen) {
  const names = new Set([...Object.keys(expected), ...Object.keys(seen)]);
  return [...names]
    .filter((name) => !isDeepStrictEqual(expected[name], seen[name]))
    .map((name) => `${name}: ${JSON.stringify(seen[name])}, not ${JSON.stringify(expected[name])}`);
}

/** One program over Node's sockets, then over ours each way that its library knows. */
async function eachWay(node, { name, ways, carries }, settings) {
  const plain = await go(node, name, 'plain', settings, 120_000);
  const figures = [`${Object.keys(plain.seen).length} results; plain ${Math.round(plain.ms)} ms`];
  const wrong = plain.carried === 0 ? [] : ['ours are used where Node’s are meant'];
  for (const way of ways) {
    const outcome = await go(node, name, way, settings, patience(plain.ms));
    figures.push(`${way} ${Math.round(outcome.ms)} ms, ${outcome.carried} carried`);
    wrong.push(...differences(plain.seen, outcome.seen).map((each) => `${way}: ${each}`));
    if (outcome.carried > 0 !== carries) {
      wrong.push(`${way}: ${outcome.carried} sockets were carried`);
    }
  }
  return { pass: wrong.length === 0, figure: [figures.join('; '), ...wrong].join('\n      ') };
}

/**
 * @param name of the program
 * @param servers that it needs
 * @param ways that there are beside Node's own: `register`, and `net` where the library takes a socket
 * @param carries false where all that it has are sockets that stay with Node
 */
function work(promise, name, servers, { ways = ['register', 'net'], carries = true } = {}) {
  const onNode = (node, full) =>
    withFolder((folder) =>
      withServers(servers, folder, (addresses) =>
        eachWay(node, { name, ways, carries }, { times: full ? 5 : 1, ...addresses }),
      ),
    );
  return {
    promise,
    command: `node [--import paipainet/register] test/accept/drop-in/${name}.mjs`,
    run: async (full) => {
      const { pass, figure } = await onNode(process.execPath, full);
      if (!full) return { pass, figure };
      const lines = [{ pass, figure: `${process.version}: ${figure}` }];
      for (const major of otherMajors) {
        const line = await withFolder(async (folder) =>
          onNode(join(await installNode(major, folder), 'node'), full),
        );
        lines.push({ ...line, figure: `Node ${major}: ${line.figure}` });
      }
      return {
        pass: lines.every((line) => line.pass),
        figure: lines.map((line) => line.figure).join('\n      '),
      };
    },
  };
}

export const checks = [
  work('ioredis works the same, against Redis', 'ioredis', ['redis']),
  work('node-redis works the same, against Redis', 'node-redis', ['redis'], { ways: ['register'] }),
  work('pg works the same, against PostgreSQL', 'pg', ['postgres']),
];
