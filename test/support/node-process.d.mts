export interface ProcessStart {
  /** In place of `paipainet`. */
  readonly command?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export declare const paipainet: readonly string[];

export declare class NodeProcess {
  address: string;
  readonly pid: number;
  constructor(options?: readonly string[], start?: ProcessStart);
  static start(options?: readonly string[], start?: ProcessStart): Promise<NodeProcess>;
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
}
