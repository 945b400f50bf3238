export declare class NodeProcess {
  address: string;
  readonly pid: number;
  constructor(options?: readonly string[]);
  static start(options?: readonly string[]): Promise<NodeProcess>;
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
}
