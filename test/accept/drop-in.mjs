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
async function eachWay(node, { name, ways, carrying }, settings) {
  const plain = await go(node, name, 'plain', settings, 120_000);
  const figures = [`${Object.keys(plain.seen).length} results; plain ${Math.round(plain.ms)} ms`];
  const wrong = plain.carried === 0 ? [] : ['ours are used where Node’s are meant'];
  for (const way of ways) {
    const outcome = await go(node, name, way, settings, patience(plain.ms));
    figures.push(`${way} ${Math.round(outcome.ms)} ms, ${outcome.carried} carried`);
    wrong.push(...differences(plain.seen, outcome.seen).map((each) => `${way}: ${each}`));
    if (outcome.carried > 0 !== carrying.includes(way)) {
      wrong.push(`${way}: ${outcome.carried} sockets were carried`);
    }
  }
  return { pass: wrong.length === 0, figure: [figures.join('; '), ...wrong].join('\n      ') };
}

/**
 * @param name of the program
 * @param servers that it needs
 * @param ways that there are beside Node's own: `register`, and `net` where the library takes a socket
 * @param carrying those of them in which not all of its sockets stay with Node
 */
function work(promise, name, servers, { ways = ['register', 'net'], carrying = ways } = {}) {
  const onNode = (node, full) =>
    withFolder((folder) =>
      withServers(servers, folder, (addresses) =>
        eachWay(node, { name, ways, carrying }, { times: full ? 5 : 1, ...addresses }),
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
  work('http and https work the same, clients and servers', 'http', []),
  work('http2 works the same, clients and servers', 'http2', [], { carrying: ['net'] }),
  work('tls works the same, clients and servers', 'tls', []),
  work('ws works the same, clients and servers', 'ws', []),
  work('fastify works the same, under wrk', 'fastify', ['wrk']),
  work('undici works the same, against nginx and node:http', 'undici', ['nginx']),
  work('mqtt works the same, against Mosquitto', 'mqtt', ['mosquitto']),
  work('mysql2 works the same, against MariaDB', 'mysql2', ['mariadb']),
];
