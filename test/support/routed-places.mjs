import { execFileSync } from 'node:child_process';

/**
 * Networks of their own on this machine, for members of something, behind a router that leaves out what it is told to. This side, and whatever
 * runs in none of them, reaches all of them, and they each other. Needs root and the program `ip`; throws Error that says what is missing.
 * @param count 1 to 60
 */
export function makeRoutedPlaces(count) {
  const router = `pp-${process.pid}-r`;
  // From the range for measurements (RFC 2544), four addresses each.
  const prefix = `198.18.${process.pid % 250}`;
  const near = (at) => `${prefix}.${4 * at + 1}`;
  const far = (at) => `${prefix}.${4 * at + 2}`;
  const made = [];
  const addNamespace = (name) => {
    ip('netns', 'add', name);
    made.push(name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  };
  /** From the router to a namespace, or to this side without one. */
  const connect = (at, name) => {
    const [ofRouter, ofPlace] = [`pp${process.pid}r${at}`, `pp${process.pid}p${at}`];
    ip('-n', router, 'link', 'add', ofRouter, 'type', 'veth', 'peer', 'name', ofPlace);
    const there = name === undefined ? [] : ['-n', name];
    ip('-n', router, 'link', 'set', ofPlace, 'netns', name ?? String(process.pid));
    ip('-n', router, 'addr', 'add', `${near(at)}/30`, 'dev', ofRouter);
    ip('-n', router, 'link', 'set', ofRouter, 'up');
    ip(...there, 'addr', 'add', `${far(at)}/30`, 'dev', ofPlace);
    ip(...there, 'link', 'set', ofPlace, 'up');
    const network = name === undefined ? `${prefix}.0/24` : 'default';
    ip(...there, 'route', 'add', network, 'via', near(at));
  };
  const remove = () => {
    for (const name of made.splice(0)) ip('netns', 'delete', name); // The interfaces go with them.
  };
  const cuts = [];
  try {
    addNamespace(router);
    ip('netns', 'exec', router, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    connect(0, undefined);
    const places = Array.from({ length: count }, (_, index) => {
      const name = `pp-${process.pid}-${index}`;
      addNamespace(name);
      connect(index + 1, name);
      return { before: ['ip', 'netns', 'exec', name], address: far(index + 1) };
    });
    return {
      places,
      /** This side, as they see it. */
      address: far(0),
      /** Nothing comes from one address to the other any more, without a word to anybody. */
      cut(from, to) {
        const rule = ['from', from, 'to', to, 'blackhole'];
        ip('-n', router, 'rule', 'add', ...rule);
        cuts.push(rule);
      },
      heal() {
        for (const rule of cuts.splice(0)) ip('-n', router, 'rule', 'del', ...rule);
      },
      remove,
    };
  } catch (thrown) {
    remove();
    throw thrown;
  }
}

function ip(...args) {
  execFileSync('ip', args, { stdio: 'pipe' });
}
