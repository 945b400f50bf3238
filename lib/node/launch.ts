import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { deferred } from '../base/deferred.js';
import type { Env } from '../base/env.js';
import { PaipaiError, type PaipaiErrorDetails, toError } from '../base/errors.js';
import type { NetMember } from '../cluster/membership/member-list.js';
import { closeLine, type EventReport, type StartReport } from './entry-messages.js';
import { childExecArguments } from './exec-arguments.js';
import type { MemberEvent } from './member-events.js';
import type { ProcessConfig } from './process-entry.js';
import { type NodeConfig, startNode } from './runtime.js';

export type RunAs = 'process' | 'thread' | 'inline';
export const runAsChoices: readonly RunAs[] = ['process', 'thread', 'inline'];

export type EmbeddedConfig = NodeConfig & { readonly secret: Uint8Array };

/** A node that this process started. */
export interface EmbeddedNode {
  readonly pid: number;
  readonly address: string;
  /** Ends it, by force when it does not end in order; settles when it is gone. Idempotent. */
  stop(): Promise<void>;
}

const startMsMax = 15_000;
/** A node that runs in a process of its own. */
export interface NodeProcess extends EmbeddedNode {
  /** Settles with how it ended, as `exit code 1` or `signal SIGKILL`; never rejects. */
  readonly ended: Promise<string>;
}

/** A node that does not end within this is killed. */
const stopMsMax = 2_000;
/** How long the standard error of a process that has ended is read on: others may hold it open for as long as they like. */
const stderrMsMax = 100;
/** What is kept of the standard error of a process, for the error when it does not start. */
const stderrCharsMax = 8 * 1024;

/**
 * Runs a node on this machine and waits until it listens.
 * @throws PaipaiError PAIPAI_ERR_NODE_START, with `nodeId` and the node's `stderr`; PAIPAI_ERR_HANDLER_MODULE and whatever else
 * `startNode` of runtime.ts fails with.
 */
export function launchNode(env: Env, runAs: RunAs, config: EmbeddedConfig): Promise<EmbeddedNode> {
  switch (runAs) {
    case 'process':
      return launchProcess(env, config);
    case 'thread':
      return launchThread(env, config);
    case 'inline':
      return launchInline(config);
  }
}

export interface ProcessHooks {
  /** Hears what a node on TCP, which is a member of a net, hears of the other members. */
  readonly onEvent?: (event: MemberEvent, member: NetMember) => void;
  /** Hears of the process as soon as there is one, long before the node is ready. */
  readonly onSpawned?: (pid: number) => void;
  /** Hears that it is gone, also when the node has never been ready. */
  readonly onGone?: (pid: number) => void;
}

/**
 * Runs a node in a process of its own, which ends with this one, whichever way that ends, and waits until it listens and has joined the net that
 * it shall. Fails as `launchNode` does.
 */
export async function launchProcess(
  env: Env,
  config: NodeConfig & { readonly secret?: Uint8Array },
  { onEvent, onSpawned, onGone }: ProcessHooks = {},
): Promise<NodeProcess> {
  const { nodeId, secret, ...rest } = config;
  const entry = fileURLToPath(new URL('./process-entry.js', import.meta.url));
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...childExecArguments(process.execArgv), entry], {
      stdio: ['pipe', 'inherit', 'pipe', 'pipe'],
    });
  } catch (thrown) {
    throw startFailed(nodeId, toError(thrown).message, { cause: thrown });
  }
  const { pid = 0 } = child;
  if (pid > 0) onSpawned?.(pid);
  const stderr = followStderr(child);
  const reported = deferred<StartReport>();
  const exited = deferred<string>();
  const fail = (why: string, cause?: unknown): void =>
    reported.reject(startFailed(nodeId, why, { cause, stderr: stderr.tail() }));

  child.on('error', (error) => {
    fail(error.message, error);
    exited.resolve(error.message);
  });
  child.on('exit', (exitCode, signal) => {
    onGone?.(pid);
    const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`;
    const letGo = (): void => {
      restTimer.cancel();
      for (const stream of child.stdio) stream?.destroy();
      fail(`its process ended with ${how}`);
      exited.resolve(how);
    };
    // `close` comes after the last byte of standard error, but not while a process that a handler started holds the pipe.
    const restTimer = env.timers.after(stderrMsMax, letGo, { keepAlive: true });
    child.once('close', letGo);
  });
  readLines(child, (line) => {
    const report: StartReport | EventReport = JSON.parse(line); // From process-entry.ts.
    if (report.kind === 'event') onEvent?.(report.event, report.member);
    else reported.resolve(report);
  });
  const timer = env.timers.after(
    startMsMax,
    () => fail(`it was not ready within ${startMsMax} ms`),
    {
      keepAlive: true,
    },
  );

  const stop = async (): Promise<void> => {
    child.stdin?.write(`${closeLine}\n`);
    const killTimer = env.timers.after(stopMsMax, () => child.kill('SIGKILL'), { keepAlive: true });
    await exited.promise;
    killTimer.cancel();
  };
  child.stdin?.on('error', () => {}); // The process ended; `exit` says how.
  const line: ProcessConfig = {
    ...rest,
    nodeId,
    ...(secret === undefined ? {} : { secret: Buffer.from(secret).toString('base64') }),
  };
  child.stdin?.write(`${JSON.stringify(line)}\n`);
  try {
    const address = addressOf(await reported.promise, nodeId);
    stderr.passOn();
    return { pid, address, stop, ended: exited.promise };
  } catch (thrown) {
    child.kill('SIGKILL');
    await exited.promise;
    throw thrown;
  } finally {
    timer.cancel();
  }
}

async function launchThread(env: Env, config: EmbeddedConfig): Promise<EmbeddedNode> {
  const { nodeId } = config;
  const worker = new Worker(new URL('./thread-entry.cjs', import.meta.url), { workerData: config });
  const reported = deferred<StartReport>();
  const exited = deferred<void>();
  worker.once('message', reported.resolve);
  worker.on('error', (error) =>
    reported.reject(startFailed(nodeId, error.message, { cause: error })),
  );
  worker.on('exit', (code) => {
    reported.reject(startFailed(nodeId, `its thread ended with exit code ${code}`));
    exited.resolve();
  });
  const timer = env.timers.after(
    startMsMax,
    () => reported.reject(startFailed(nodeId, `it was not ready within ${startMsMax} ms`)),
    { keepAlive: true },
  );
  try {
    const address = addressOf(await reported.promise, nodeId);
    return {
      pid: process.pid,
      address,
      async stop(): Promise<void> {
        worker.postMessage(closeLine);
        const kill = env.timers.after(stopMsMax, () => void worker.terminate(), {
          keepAlive: true,
        });
        await exited.promise;
        kill.cancel();
      },
    };
  } catch (thrown) {
    await worker.terminate();
    throw thrown;
  } finally {
    timer.cancel();
  }
}

async function launchInline(config: EmbeddedConfig): Promise<EmbeddedNode> {
  const node = await startNode(config);
  return { pid: process.pid, address: node.address, stop: () => node.close() };
}

function addressOf(report: StartReport, nodeId: string): string {
  if (report.kind === 'ready') return report.address;
  throw new PaipaiError(report.code, `node ${nodeId} did not start: ${report.message}`, { nodeId });
}

function startFailed(nodeId: string, why: string, details: PaipaiErrorDetails = {}): PaipaiError {
  const { stderr = '' } = details;
  const said = stderr === '' ? '' : `; it wrote:\n${stderr}`;
  return new PaipaiError('PAIPAI_ERR_NODE_START', `node ${nodeId} did not start: ${why}${said}`, {
    ...details,
    nodeId,
  });
}

/** Calls back with each line on the report pipe. */
function readLines(child: ChildProcess, onLine: (line: string) => void): void {
  // The fourth entry of `stdio` above is a pipe, so the child's fourth stream is a socket.
  const pipe = child.stdio[3] as NodeJS.ReadableStream | null | undefined;
  let text = '';
  pipe?.setEncoding('utf8');
  pipe?.on('data', (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  pipe?.on('error', () => {}); // The process ended; `exit` says how.
}

interface Stderr {
  /** Its end so far. */
  tail(): string;
  /** From now on, and what was kept, to our own standard error. */
  passOn(): void;
}

function followStderr(child: ChildProcess): Stderr {
  let text = '';
  let passes = false;
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (chunk: string) => {
    if (passes) process.stderr.write(chunk);
    else text = (text + chunk).slice(-stderrCharsMax);
  });
  return {
    tail: () => text.trim(),
    passOn() {
      passes = true;
      if (text !== '') process.stderr.write(text);
    },
  };
}
