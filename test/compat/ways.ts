import net from 'node:net';
import { expect } from 'vitest';
import { type NetModule, Recorder } from './recorder.js';
import { settle } from './support.js';

/**
 * Plain `node:net` is the standard; `paipainet/net` and `node:net` with `paipainet/register` are held to it. With
 * `PAIPAINET_COMPAT_SELF=1` it is held to itself: what fails then is a script that leaves something to chance, and no difference.
 */

/** What is done with `net` from beginning to end; whoever calls compares what `recorder` saw. */
export type Script = (net: NetModule, recorder: Recorder) => Promise<void>;

export interface Way {
  readonly net: NetModule;
  /** Until what it returns is called, sockets go this way. */
  enter(): () => void;
}

/** What docs/DROP-IN.md says is different over io_uring, with libuv before 1.52. */
export const tellsResets: boolean =
  process.env['PAIPAINET_IO'] === 'uring' && Number(process.versions.uv.split('.')[1]) < 52;
export const whyResets = 'io_uring tells of the reset, libuv before 1.52 of the end';

/** A script that hangs is shown with what it saw. */
const deadlineMs = 20_000;

const standard: Way = { net, enter: () => () => {} };

async function ours(): Promise<Record<string, Way>> {
  if (process.env['PAIPAINET_COMPAT_SELF'] === '1') return { 'node:net itself': standard };
  const { prototype } = net.Socket;
  const members = Object.getOwnPropertyDescriptors(prototype);
  const { default: ourNet } = await import('../../dist/drop-in/net.js');
  // Registered for the scripts that it is for, and for no other.
  process.env['PAIPAINET_REGISTER'] = 'off';
  const { register, unregister } = await import('../../dist/drop-in/register.js');
  delete process.env['PAIPAINET_REGISTER'];
  return {
    'paipainet/net': { net: ourNet, enter: () => () => {} },
    'paipainet/register': {
      net,
      enter() {
        register();
        return () => {
          unregister();
          // Members that serve connections which stand: here none does.
          Object.defineProperties(prototype, members);
        };
      },
    },
  };
}

export const ways: Readonly<Record<string, Way>> = await ours();

/** What each socket and server of `script` said. Nothing that it throws is left uncaught. */
async function logsOf(way: Way, script: Script): Promise<Record<string, string[]>> {
  const recorder = new Recorder();
  const uncaught = recorder.takeUncaught();
  const leave = way.enter();
  let deadline: NodeJS.Timeout | undefined;
  const hanging = new Promise<void>((resolve) => {
    deadline = setTimeout(() => {
      recorder.note('script', `has not ended within ${deadlineMs} ms`);
      resolve();
    }, deadlineMs);
  });
  try {
    await Promise.race([script(way.net, recorder).then(() => settle(recorder)), hanging]);
  } finally {
    clearTimeout(deadline);
    leave();
    uncaught();
  }
  return recorder.logs;
}

/** Fails with the difference where a way is not as the standard. */
export async function expectNoDifference(script: Script): Promise<void> {
  const expected = await logsOf(standard, script);
  expect(Object.keys(expected).length).toBeGreaterThan(0);
  expect(expected).not.toHaveProperty('script');
  for (const [name, way] of Object.entries(ways)) {
    expect(await logsOf(way, script), name).toEqual(expected);
  }
}
