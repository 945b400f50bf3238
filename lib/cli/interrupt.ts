import { constants } from 'node:os';

const signalNames = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interrupt {
  /** Fires at the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** 128 and the number of the signal that came, as shells have it (130 for Ctrl-C); undefined when none came. */
  exitCode(): number | undefined;
  dispose(): void;
}

/** Turns the first signal into an abort, so that everything closes in order; the second one ends the process at once. */
export function watchInterrupt(): Interrupt {
  const controller = new AbortController();
  let code: number | undefined;
  const onSignal = (name: NodeJS.Signals): void => {
    if (code !== undefined) process.exit(code);
    code = 128 + constants.signals[name];
    controller.abort(new Error(`interrupted by ${name}`));
  };
  for (const name of signalNames) process.on(name, onSignal);
  return {
    signal: controller.signal,
    exitCode: () => code,
    dispose: () => {
      for (const name of signalNames) process.off(name, onSignal);
    },
  };
}
