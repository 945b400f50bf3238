export { Data, type DataInput, type DataOptions } from './api/data.js';
export { Net } from './api/net.js';
export { Node } from './api/node.js';
export type {
  MapReduceOptions,
  NetOptions,
  NodeOptions,
  OperationOptions,
  ProcessOptions,
  TransferOptions,
} from './api/options.js';
export type {
  ExplainedShard,
  Explanation,
  FoundData,
  NetEvents,
  NetInfo,
  NodePlan,
  Plan,
  PlannedShard,
} from './api/types.js';
export type { PaipaiCode } from './base/codes.js';
export { isPaipaiError, PaipaiError } from './base/errors.js';
export type {
  NodeTransfer,
  Progress,
  RepairReport,
  TransferReport,
} from './cluster/transfer/report.js';
export type { Digest } from './processing/digest.js';
export type {
  Handler,
  MergeFunction,
  ShardContext,
  ShardFunction,
} from './processing/handlers.js';
export type {
  CombineFunction,
  KeyContext,
  MapContext,
  MapFunction,
  ReduceFunction,
} from './processing/map-reduce/functions.js';
export type {
  MapReduceProgress,
  MapReduceReport,
  MapReduceResult,
  NodePhase,
  PhaseReport,
} from './processing/map-reduce/report.js';
export type { NodeProcess, ProcessReport, ProcessResult } from './processing/report.js';
export type { StoreChoice } from './store/open-store.js';
