/** What a program reports for one phase: plain numbers and texts, by name. */
export type Facts = Readonly<Record<string, number | string>>;

/** Settings of one run, by name, as the command line has them: the path, and those that the case declares. */
export type Settings = Readonly<Record<string, string>>;

/** Everything that both sides of one trial reported; of a server that there is not, nothing. */
export interface Trial {
  /** What the client measured between "run" and its answer; `seconds` and `cpuSeconds` of its process among them. */
  readonly run: Facts;
  /** CPU of the server's process while the client ran. */
  readonly serverCpuSeconds: number;
  /** What the server said of its resources just before and just after that; `residentBytes` among them, where the program knows. */
  readonly serverUsage: { readonly before: Facts; readonly after: Facts };
  /** System calls of each side meanwhile, where they were counted. */
  readonly systemCalls?: { readonly client?: number; readonly server?: number };
  /** What both sides said when they were asked to verify, the client's and the server's facts together. */
  readonly verified: Facts;
}

/** One figure that a case derives from a trial. */
export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly digits: number;
  of(trial: Trial): number;
}

/** One metric of one peer against another metric of another, where that is what is to be known. */
export interface Comparison {
  readonly ours: { readonly peer: string; readonly metric: string };
  readonly theirs: { readonly peer: string; readonly metric: string };
  /** The ratio that is the goal, at most. */
  readonly most: number;
}

/** Words, or whole multiples of `step` (default 1; 0: any number above 0) from `least` (default `step`) to `most`. */
export interface Setting {
  readonly fallback: string;
  readonly help: string;
  readonly choices?: readonly string[];
  readonly step?: number;
  readonly least?: number;
  readonly most?: number;
}

/** One question, put to every peer in the same words. */
export interface Case {
  readonly name: string;
  /** What peers play it with: one program serves every case that differs in settings alone. */
  readonly program: string;
  readonly question: string;
  /** Settings beside `path`, with their defaults. */
  readonly settings: Readonly<Record<string, Setting>>;
  /** Settings of the program that nobody chooses. */
  readonly constants?: Settings;
  /** On how many processors both sides run together: 1 or 2. Default 2. */
  cpus?(settings: Settings): number;
  /** Memory that the server takes while the clock runs; it is made ready before, see `prime.ts`. */
  memoryBytes(settings: Settings): number;
  /** What this machine can do of them, when it cannot do all. */
  fit?(settings: Settings): Settings;
  /** What costs are counted for, and how much of it was done. Default: messages, of which a run has `count`. */
  work?(trial: Trial, settings: Settings): { readonly per: string; readonly count: number };
  /** The client starts whoever works for it: there is no server, and nothing is told where to run. */
  readonly isClientAlone?: boolean;
  /** The question is about what else goes on in a process of Node, so that no other program can answer it. */
  readonly inNodeAlone?: boolean;
  /** The first is the one whose ratios are shown on a terminal. */
  readonly metrics: readonly [Metric, ...Metric[]];
  readonly comparisons?: readonly Comparison[];
  /** Lines that say what stands against what. */
  readonly notes?: readonly string[];
  /** Null when the trial did the work and both sides agree on the contents, else what is wrong. */
  verify(trial: Trial, settings: Settings): string | null;
}

export type Role = 'server' | 'client';

/** One rival, ourselves included. */
export interface Peer {
  readonly name: string;
  readonly about: string;
  /** Whether its programs run in Node. */
  readonly isNode: boolean;
  /** Those that it has, and so the cases that it can play. */
  readonly programs: readonly string[];
  /** Gets ready (compiles, looks for a package); null, or why this peer cannot run here. */
  prepare(program: string): Promise<string | null>;
  /** The program of a role and its first arguments; the runner adds the settings as `--name value`. */
  command(program: string, role: Role): readonly [string, ...string[]];
}

/** A case that is put again with rising values of one setting, to see how a cost grows. */
export interface Sweep {
  readonly name: string;
  readonly question: string;
  readonly chosen: Case;
  readonly setting: string;
  readonly values: readonly number[];
  readonly unit: string;
  readonly digits: number;
  cost(trial: Trial): number;
}
