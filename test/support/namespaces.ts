import { execFileSync } from 'node:child_process';

/** A network of its own on this machine, from which of all addresses outside only one of this side is there. */
export interface Namespace {
  /** Before a command that should run in it. */
  readonly before: readonly string[];
  /** Where this side is reached from there. */
  readonly outside: string;
  remove(): void;
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

/**
 * Needs root and the program `ip`.
 * @param index tells those of one process apart, 0 to 50
 * @throws Error that says what is missing
 */
export function makeNamespace(index: number): Namespace {
  const name = `pp-${process.pid}-${index}`;
  const [near, far] = [`pp${process.pid}n${index}`, `pp${process.pid}f${index}`];
  // From the range for measurements (RFC 2544), four addresses each.
  const address = (last: number): string => `198.18.${process.pid % 250}.${4 * (index + 1) + last}`;
  const remove = (): void => ip('netns', 'delete', name); // The pair of interfaces goes with it.
  ip('netns', 'add', name);
  try {
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', name);
    ip('addr', 'add', `${address(1)}/30`, 'dev', near);
    ip('link', 'set', near, 'up');
    ip('-n', name, 'addr', 'add', `${address(2)}/30`, 'dev', far);
    ip('-n', name, 'link', 'set', far, 'up');
    ip('-n', name, 'link', 'set', 'lo', 'up');
  } catch (thrown) {
    remove();
    throw thrown;
  }
  return { before: ['ip', 'netns', 'exec', name], outside: address(1), remove };
}
