import { once } from 'node:events';
import { closeSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseAddress } from '../transport/address.js';
import { closeLine, type EventReport, failedStart, type StartReport } from './entry-messages.js';
import { onMemberEvents } from './member-events.js';
import { type NodeConfig, type RunningNode, startNode } from './runtime.js';

/**
 * An embedded node as a process of its own. Its starter holds the other end of standard input: the first line is the config (the
 * secret too, which so stands neither among the arguments nor in the environment), a line `close` ends the node in order, and the
 * end of the input means that the starter is gone, by whatever way.
 */

/** The pipe for the report on the start, and for what a member hears of its net. */
const reportFd = 3;
const inputLineMax = 1024 * 1024;

/** The config as it stands in the line: the secret, if there is one, is base64. */
export type ProcessConfig = Omit<NodeConfig, 'secret'> & { readonly secret?: string };

let socketPath: string | undefined;
let node: RunningNode | undefined;

function report(message: StartReport | EventReport): void {
  writeSync(reportFd, `${JSON.stringify(message)}\n`);
}

async function start(line: string): Promise<void> {
  const { secret, ...config }: ProcessConfig = JSON.parse(line); // Written by launch.ts.
  const address = parseAddress(config.listen);
  if (address.scheme === 'unix') socketPath = address.path;
  try {
    node = await startNode({
      ...config,
      ...(secret === undefined ? {} : { secret: Buffer.from(secret, 'base64') }),
    });
    await joined(node);
    report({ kind: 'ready', address: node.address });
    if (node.members().length > 0) followNet(node);
    else closeSync(reportFd);
  } catch (thrown) {
    report(failedStart(thrown));
    process.exit(1);
  }
}

/** Waits until it is in the net that it shall join; whoever has started it finds in the standard error what is in the way. */
async function joined(member: RunningNode): Promise<void> {
  const { joinProblem } = member;
  if (joinProblem === null) return;
  process.stderr.write(`${joinProblem.message}; trying on\n`);
  const isIn = once(member.events, 'joined').then(() => null);
  const reason = await Promise.race([isIn, member.closed]);
  if (reason !== null) throw reason;
}

function followNet(member: RunningNode): void {
  onMemberEvents(member, (event, about) => report({ kind: 'event', event, member: about }));
  void member.closed.then((reason) => {
    if (reason === null) return;
    process.stderr.write(`${reason.message}\n`);
    process.exit(1);
  });
}

async function closeInOrder(): Promise<void> {
  await node?.close();
  process.exit(0);
}

/**
 * The starter is gone and cannot clean up. The kill also ends worker threads that are stuck inside the system, where an ordinary
 * exit would wait for them.
 */
function endAtOnce(): void {
  if (socketPath !== undefined) {
    rmSync(socketPath, { force: true });
    try {
      rmdirSync(dirname(socketPath));
    } catch {
      // Other nodes of the net still have their sockets in it; the last one removes it.
    }
  }
  process.kill(process.pid, 'SIGKILL');
}

// Ctrl-C and a closed terminal reach the whole process group; the starter decides what they mean.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
process.on('SIGTERM', () => void closeInOrder());
// What handlers print goes where the starter prints, and whoever reads that may have stopped.
process.stdout.on('error', () => {});

let input = '';
let hasConfig = false;
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text: string) => {
  input += text;
  if (input.length > inputLineMax) endAtOnce();
  const lines = input.split('\n');
  input = lines.pop() ?? '';
  for (const line of lines) {
    if (!hasConfig) {
      hasConfig = true;
      void start(line);
    } else if (line === closeLine) {
      void closeInOrder();
    }
  }
});
process.stdin.on('end', endAtOnce);
process.stdin.on('error', endAtOnce);
