/**
 * What one node knows of another. The first four fields travel in every rumour, the last two with those of state `alive`
 * and in a full state.
 */
export interface MemberRecord {
  /** 1 to 255 bytes of UTF-8. */
  readonly nodeId: string;
  /** Drawn at random when the node starts, 0 to 2^48 - 1: tells a restarted node, or a second one of the same id, from the first. */
  readonly instanceId: number;
  /** Raised by the node itself alone, 0 to `incarnationMax`. The higher one is the news. */
  readonly incarnation: number;
  readonly state: MemberState;
  /** Where datagrams reach it, at most 255 bytes; empty when nobody has said so yet. Only the caller reads it. */
  readonly address: string;
  /** What the node says of itself, for those above (`metadata.ts`); at most `metadataBytesMax`. */
  readonly metadata: Uint8Array;
}

export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

export const instanceIdMax: number = 2 ** 48 - 1;
/** No node gets here by refuting; a member that lies about another can, and takes its id out of use until all have forgotten it. */
export const incarnationMax = 0xffff_ffff;
export const metadataBytesMax = 256;
export const textBytesMax = 255;

/** One piece of news. `fromId` names the accuser of a suspect; for other states it is empty. */
export interface Rumour extends MemberRecord {
  readonly fromId: string;
}

/** The node and its instance: what two nodes of one id differ in. */
export type Claim = Pick<MemberRecord, 'nodeId' | 'instanceId' | 'incarnation'>;

/**
 * What happened, in the order in which it happened.
 * - `join`: a node that was unknown, dead or gone is here.
 * - `suspect`: it does not answer; `alive`: it has answered after all.
 * - `fail`: it was suspect for its whole time, or several of us found its port closed. `leave`: it said goodbye.
 * - `update`: its metadata or its address changed.
 * A restart that nobody saw as a failure is a `fail` of the old instance and a `join` of the new one.
 */
export interface MemberEvent {
  readonly kind: 'join' | 'suspect' | 'alive' | 'fail' | 'leave' | 'update';
  readonly member: MemberRecord;
}

/**
 * Two living nodes claim one id; `winner` keeps it. When `isOurs`, this node lost, and has fallen silent: nothing it is told
 * has an effect any more.
 */
export interface DuplicateEvent {
  readonly kind: 'duplicate';
  readonly winner: Claim;
  readonly loser: Claim;
  readonly isOurs: boolean;
}

/** This node has told its neighbours that it goes; the caller may close the socket. */
export interface GoneEvent {
  readonly kind: 'gone';
}

export type MembershipEvent = MemberEvent | DuplicateEvent | GoneEvent;

export interface OutgoingDatagram {
  readonly address: string;
  /** Owned by the caller from now on. */
  readonly bytes: Uint8Array;
  /** It asks whether somebody is there, so word that nobody listens (`Swim.onRefused`) is worth having. */
  readonly isPing: boolean;
}

/** What the caller has to do after it told the state machine something. */
export interface Effects {
  readonly sends: readonly OutgoingDatagram[];
  readonly events: readonly MembershipEvent[];
  /** Members to exchange the full state with over the transport, one request each; a failed one needs no report. */
  readonly exchanges: readonly MemberRecord[];
  /** Call `onWake` at this moment of the same clock, unless another call comes before; `Infinity`: never. */
  readonly wakeAtMs: number;
}

/** Why something that arrived was left aside, and how often. */
export interface IgnoredCounts {
  tooLarge: number;
  malformed: number;
  version: number;
  netName: number;
  /** The keyed hash is wrong: a stranger, or a node with another secret. */
  key: number;
  /** Our own datagram came back. */
  echo: number;
  /** It was meant for another node, which may have had this address before. */
  otherTarget: number;
  /** News of a node that does not fit below `memberCountMax`. */
  memberCap: number;
  /** A request to probe for another, while too many are under way. */
  relayCap: number;
}

export interface SwimCounts {
  datagramsSent: number;
  bytesSent: number;
  datagramsReceived: number;
  bytesReceived: number;
  probes: number;
  probesFailed: number;
  refutations: number;
  /** Times at which this process found that it had itself stood still. */
  stalls: number;
  readonly ignored: IgnoredCounts;
}
