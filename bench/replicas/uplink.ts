import { execFileSync } from 'node:child_process';

/** A network of its own for the nodes, behind a link that carries what goes there at a certain rate. */
export interface Uplink {
  /** Before a command that should run over there. */
  readonly before: readonly string[];
  /** Where to listen over there. */
  readonly address: string;
  setRate(megabits: number): void;
}

/** Removed when this process ends. Null where that needs root, the programs `ip` and `tc`, or a kernel with namespaces and token buckets. */
export function makeUplink(): Uplink | null {
  const run = (line: string): void => {
    const [file = '', ...args] = line.split(' ');
    execFileSync(file, args, { stdio: 'pipe' });
  };
  const { pid } = process;
  const [name, near, far] = [`pp-${pid}`, `pp${pid}n`, `pp${pid}f`];
  const subnet = `198.19.${pid % 250}`; // From the range for measurements (RFC 2544).
  /** At once a few packets as the kernel hands them over; what is late by more is dropped. */
  const setRate = (megabits: number): void =>
    run(`tc qdisc replace dev ${near} root tbf rate ${megabits}mbit burst 256kb latency 50ms`);
  try {
    run(`ip netns add ${name}`);
    process.once('exit', () => run(`ip netns delete ${name}`)); // The link goes with it.
    run(`ip link add ${near} type veth peer name ${far} netns ${name}`);
    run(`ip addr add ${subnet}.1/30 dev ${near}`);
    run(`ip link set ${near} up`);
    run(`ip -n ${name} addr add ${subnet}.2/30 dev ${far}`);
    run(`ip -n ${name} link set ${far} up`);
    run(`ip -n ${name} link set lo up`);
    setRate(1_000);
  } catch {
    return null;
  }
  return {
    before: ['ip', 'netns', 'exec', name],
    address: `tcp://${subnet}.2:0`,
    setRate,
  };
}
