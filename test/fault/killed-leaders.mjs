// Leaders are killed, again and again: node killed-leaders.mjs local|quorum|etcd KILLS. Candidates are processes of their own. Ends with one line of JSON, and
// with 1 when two led in one term, when a term was not above the one before, or when nobody led within twice the lease.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startBackend } from './coordination-backends.mjs';

const [, , kind = 'local', kills = '20'] = process.argv;
const ttlMs = 1_000;
const candidateCount = 3;
const program = fileURLToPath(new URL('./candidate.mjs', import.meta.url));

const backend = await startBackend(kind);
const candidates = new Set();
const waiting = [];
let highest = 0;
let violations = 0;
const betweenMs = [];

function startCandidate() {
  const child = fork(program, [JSON.stringify(backend.netOptions), String(ttlMs)]);
  candidates.add(child);
  child.on('message', ({ term }) => {
    if (term <= highest) {
      violations++;
      console.error(`term ${term} came behind ${highest}`);
    }
    highest = Math.max(highest, term);
    waiting.shift()?.(child);
  });
}

function nextLeader() {
  return new Promise((resolve) => {
    waiting.push(resolve);
  });
}

const first = nextLeader();
for (let at = 0; at < candidateCount; at++) startCandidate();
let leader = await first;
for (let kill = 0; kill < Number(kills); kill++) {
  const startMs = performance.now();
  const next = nextLeader();
  candidates.delete(leader);
  const gone = once(leader, 'exit');
  leader.kill('SIGKILL');
  await gone;
  startCandidate();
  leader = await next;
  const tookMs = performance.now() - startMs;
  betweenMs.push(tookMs);
  // What etcd makes of the lease may be more than was asked for.
  if (tookMs > 2 * Math.max(ttlMs, backend.ttlMsLeast)) {
    violations++;
    console.error(`nobody led for ${tookMs.toFixed(0)} ms`);
  }
}
for (const child of candidates) {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
await backend.end();
betweenMs.sort((a, b) => a - b);
const medianMs = betweenMs[betweenMs.length >> 1];
const mostMs = betweenMs.at(-1);
console.log(JSON.stringify({ kind, kills: betweenMs.length, violations, ttlMs, medianMs, mostMs }));
process.exitCode = violations > 0 ? 1 : 0;
