export { Data, type DataInput, type DataOptions } from './api/data.js';
export { Net, type NetCoordinator } from './api/net.js';
export { Node } from './api/node.js';
export type { NodeChanges } from './api/node-changes.js';
export type {
  AnyMessageOptions,
  BackgroundOptions,
  ContentsOptions,
  DropOptions,
  MapReduceOptions,
  MessageOptions,
  NetOptions,
  NodeOptions,
  OperationOptions,
  ProcessOptions,
  RebalanceOptions,
  RebalanceProgress,
  Route,
  TransferOptions,
} from './api/options.js';
export type {
  ExplainedShard,
  Explanation,
  FoundData,
  HeldData,
  HeldShard,
  HeldShards,
  NetEvents,
  NetInfo,
  NodeChange,
  NodePlan,
  NodeStatus,
  Plan,
  PlannedMove,
  PlannedShard,
  RebalancePlan,
  RebalanceReport,
} from './api/types.js';
export type { PaipaiCode } from './base/codes.js';
export { isPaipaiError, PaipaiError } from './base/errors.js';
export type { BalancingStrategy, TaskSpread } from './cluster/balancing/balancer.js';
export type { NodeTasks } from './cluster/balancing/task-spread.js';
export type { NodeLoadFigures } from './cluster/membership/metadata.js';
export type {
  NodeTransfer,
  Progress,
  RepairReport,
  TransferReport,
} from './cluster/transfer/report.js';
export type {
  CallOptions,
  Change,
  CompareAndSetResult,
  GrantedLease,
  KeyList,
  KeyState,
  KeyVersion,
  ListOptions,
  QuorumMember,
  QuorumMemberState,
  SetOptions,
  Txn,
  TxnResult,
  TxnSet,
  Watch,
  WatchOptions,
} from './coordination/coordinator.js';
export type {
  CoordinatorClient,
  ElectOptions,
  LeaseOptions,
  LockOptions,
  PutResult,
} from './coordination/coordinator-client.js';
export type { Leader, Leadership } from './coordination/election.js';
export type { EtcdOptions } from './coordination/etcd/etcd-options.js';
export type { Lease } from './coordination/lease.js';
export type { Lock } from './coordination/locks.js';
export type { QuorumOptions } from './coordination/quorum/quorum-options.js';
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
export type { BroadcastResult } from './processing/messaging/deliver.js';
export type { MessageContext, MessageFunction } from './processing/messaging/topics.js';
export type { NodeProcess, ProcessReport, ProcessResult } from './processing/report.js';
export type { StoreChoice } from './store/open-store.js';
export type { Transaction } from './transactions/transaction.js';
