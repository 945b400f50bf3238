import dns from 'node:dns';
import { closed, gone, once, type Scenes, withServer } from '../support.js';

/** Look-ups by the user's own function, which may do what it likes. */

type Answer = (...values: unknown[]) => void;

/** What such a function may do, by name. */
export const lookups: Readonly<Record<string, (answer: Answer, isAll: boolean) => void>> = {
  'an address': (answer, isAll) =>
    isAll ? answer(null, [{ address: '127.0.0.1', family: 4 }]) : answer(null, '127.0.0.1', 4),
  'an address later': (answer, isAll) => setImmediate(() => lookups['an address']!(answer, isAll)),
  'an address in a tick': (answer, isAll) =>
    process.nextTick(() => lookups['an address']!(answer, isAll)),
  'one when asked for all': (answer) => answer(null, '127.0.0.1', 4),
  'all when asked for one': (answer) => answer(null, [{ address: '127.0.0.1', family: 4 }]),
  'an error': (answer) => answer(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
  'an error later': (answer) => setImmediate(() => answer(new Error('no such name'))),
  'an error that is none': (answer) => answer('no such name'),
  nothing: (answer) => answer(),
  'nothing but null': (answer) => answer(null),
  'an empty list': (answer) => answer(null, []),
  'no address': (answer) => answer(null, 'nonsense', 4),
  'a wrong family': (answer) => answer(null, '127.0.0.1', 6),
  'a family of its own': (answer) => answer(null, '127.0.0.1', 100),
  'a list of nonsense': (answer) => answer(null, [{ address: 'nonsense', family: 4 }]),
  'a list of other things': (answer) => answer(null, [null, 7]),
  'two answers': (answer, isAll) => {
    lookups['an address']!(answer, isAll);
    lookups['an address']!(answer, isAll);
  },
  'an answer, then an error': (answer, isAll) => {
    lookups['an address']!(answer, isAll);
    answer(new Error('after all, no'));
  },
  'an exception': () => {
    throw new Error('thrown by the look-up');
  },
};

/** As the option `lookup`; `note` is told what it is asked. */
export function lookupOf(behaviour: string, note: (...what: unknown[]) => void): never {
  const lookup = (host: string, options: { all?: boolean }, answer: Answer): void => {
    note('asked for', host, options);
    lookups[behaviour]!(answer, options.all === true);
  };
  return lookup as never;
}

export const scenes: Scenes = {
  'a look-up that may do anything': withServer(async (net, recorder, { port }) => {
    for (const autoSelectFamily of [false, true]) {
      for (const behaviour of Object.keys(lookups)) {
        const name = `${behaviour}, ${autoSelectFamily}`;
        const lookup = lookupOf(behaviour, (...what) => recorder.note(name, ...what));
        const socket = recorder.attempt(name, () =>
          recorder.socket(name, net.connect({ port, host: 'some.name', lookup, autoSelectFamily })),
        );
        if (socket === undefined) continue;
        await Promise.race([once(socket, 'connect'), closed(socket)]);
        await gone(socket);
      }
    }
  }),

  'addresses are not looked up': withServer(async (net, recorder, { port }) => {
    const lookup = lookupOf('an exception', (...what) => recorder.note('lookup', ...what));
    const socket = recorder.socket('client', net.connect({ port, host: '127.0.0.1', lookup }));
    await once(socket, 'connect');
    await gone(socket);
  }),

  'what a look-up is asked': withServer(async (net, recorder, { port }) => {
    const questions: readonly object[] = [
      {},
      { family: 4 },
      { family: 6 },
      { family: 0 },
      { hints: dns.ADDRCONFIG },
      { hints: dns.V4MAPPED | dns.ALL, family: 6 },
      { autoSelectFamily: true, family: 4 },
      { autoSelectFamily: true },
    ];
    for (const [i, question] of questions.entries()) {
      const lookup = lookupOf('an address', (...what) => recorder.note(`${i}`, ...what));
      const socket = net.connect({ port, host: 'some.name', lookup, ...question });
      recorder.socket(`${i}`, socket);
      await once(socket, 'connect');
      await gone(socket);
    }
  }),

  'dns.lookup is read when it is called': withServer(async (net, recorder, { port }) => {
    const { lookup } = dns;
    dns.lookup = lookupOf('an address', (...what) => recorder.note('patched', ...what));
    try {
      const socket = recorder.socket('client', net.connect({ port, host: 'some.name' }));
      await once(socket, 'connect');
      await gone(socket);
    } finally {
      dns.lookup = lookup;
    }
  }),

  'a name that is none': async (net, recorder) => {
    await closed(recorder.socket('client', net.connect({ port: 1, host: 'no name at all' })));
  },

  'gone before the answer': withServer(async (net, recorder, { port }) => {
    let answer: Answer = () => {};
    const lookup = (_host: string, _options: unknown, callback: Answer): void => {
      answer = callback;
    };
    for (const autoSelectFamily of [false, true]) {
      const name = `client, ${autoSelectFamily}`;
      const socket = recorder.socket(
        name,
        net.connect({ port, host: 'some.name', lookup: lookup as never, autoSelectFamily }),
      );
      await gone(socket);
      recorder.attempt(name, () => answer(null, '127.0.0.1', 4));
    }
  }),
};
