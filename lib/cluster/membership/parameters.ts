import { checkInteger } from '../../base/check.js';

/**
 * The numbers of the protocol. N is the count of living members, this node included; s the score of local health; logs are decimal.
 *
 * SWIM: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002.
 * Lifeguard: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2017.
 */
export interface SwimParameters {
  /**
   * One member is probed in each `probeIntervalMs · (s + 1)` (SWIM's protocol period T'). A dead one is first probed after
   * about one interval, whatever N is, and after 2N - 1 of them at the latest. Half of it doubles both the traffic and the speed.
   */
  readonly probeIntervalMs: number;
  /**
   * A probe that is not answered in `probeTimeoutMs · (s + 1)` is repeated, and goes through helpers, in what is left of its interval.
   * Take the 99th percentile of the round trip; below it helpers work for nothing.
   */
  readonly probeTimeoutMs: number;
  /**
   * Helpers of an indirect probe (SWIM's k). With a loss of p each way a living member goes unanswered with about (2p)² · (4p)^k, its own second
   * ping included; and each false alarm is a rumour that all N pass on, so the rarer it is, the flatter the traffic over N. At 5 %: 2 in
   * 100,000 probes with 4.
   */
  readonly helperCount: number;
  /**
   * Shortest suspicion, whatever N: the longest stall that is forgiven, with about a second to hear of it and refute. A machine that
   * vanishes without a trace is buried this much later; a process that ends is not, because its port refuses (see `refusalWitnesses`).
   */
  readonly suspicionLeastMs: number;
  /** α of the shortest suspicion, max(`suspicionLeastMs`, α · log N · `probeIntervalMs`): N grows, and with it the way of a refutation. */
  readonly suspicionFactor: number;
  /** β: a suspicion that nobody confirms lasts β times the shortest (Lifeguard). 1 makes all of them the shortest. */
  readonly suspicionMaxFactor: number;
  /** K: with so many independent confirmations a suspicion is down at its shortest (Lifeguard); never more than N - 2. */
  readonly confirmationCount: number;
  /**
   * So many nodes, the prober included, that find the port of a member closed bury it at once, without a suspicion. A refusal comes from the
   * host of the member and says that the process is gone; more than one witness, because a firewall between two nodes refuses as well.
   */
  readonly refusalWitnesses: number;
  /**
   * λ: each node passes a rumour on at most t = ⌈λ · log(N + 1)⌉ times, at a cost of N · t times its bytes. With a loss of p it then misses
   * about N · e^(−t (1 − p)) nodes: of 100 nodes and at 5 %, 0.02 with λ = 4 and 0.0005 with 6. Such a node waits for the full state.
   */
  readonly rumourFactor: number;
  /** While there are rumours, they also travel on their own, this often, so that news need not wait for probes; a quiet net sends none. */
  readonly gossipIntervalMs: number;
  /** To so many members at a time. A rumour reaches N nodes after about log N / log(1 + `gossipFanout`) intervals. */
  readonly gossipFanout: number;
  /** S: the worst score of local health (Lifeguard); 0 takes local health out: no slower probes, no pardon after a stall of our own. */
  readonly healthScoreMax: number;
  /** A wake-up that comes this late means that this process stood still: no deadline passes on account of that time. */
  readonly stallNoticeMs: number;
  /** The full state is exchanged only when no change has come for this long, and tables differ still. */
  readonly exchangeQuietMs: number;
  /** Least time between two exchanges that this node asks for. */
  readonly exchangeIntervalMs: number;
  /**
   * How often a dead member may be asked for its full state. So the halves of a split net find each other again, and a first node that
   * was started anew, and has nobody to join, is found.
   */
  readonly reconnectIntervalMs: number;
  /** How long dead and departed members are remembered: old rumours of them must have died out, and a split be healed. */
  readonly deadKeptMs: number;
  /** A leaving node spreads the word for this long. */
  readonly leaveMs: number;
  /** Members in the table at most, those that are dead included. */
  readonly memberCountMax: number;
  /** Longest datagram that is sent or taken, in bytes; below the path's MTU nothing is fragmented. */
  readonly datagramBytesMax: number;
}

export const defaultParameters: SwimParameters = {
  probeIntervalMs: 500,
  probeTimeoutMs: 200,
  helperCount: 4,
  suspicionLeastMs: 6_000,
  suspicionFactor: 4,
  suspicionMaxFactor: 4,
  confirmationCount: 3,
  refusalWitnesses: 3,
  rumourFactor: 6,
  gossipIntervalMs: 200,
  gossipFanout: 3,
  healthScoreMax: 8,
  stallNoticeMs: 200,
  exchangeQuietMs: 2_000,
  exchangeIntervalMs: 10_000,
  reconnectIntervalMs: 5_000,
  deadKeptMs: 3_600_000,
  leaveMs: 1_000,
  memberCountMax: 4_096,
  datagramBytesMax: 1_400,
};

const ranges: { readonly [name in keyof SwimParameters]: readonly [number, number] } = {
  probeIntervalMs: [10, 600_000],
  probeTimeoutMs: [1, 600_000],
  helperCount: [0, 16],
  suspicionLeastMs: [0, 3_600_000],
  suspicionFactor: [0, 100],
  suspicionMaxFactor: [1, 100],
  confirmationCount: [0, 16],
  refusalWitnesses: [2, 17],
  rumourFactor: [1, 100],
  gossipIntervalMs: [10, 600_000],
  gossipFanout: [1, 16],
  healthScoreMax: [0, 64],
  stallNoticeMs: [1, 600_000],
  exchangeQuietMs: [0, 3_600_000],
  exchangeIntervalMs: [100, 3_600_000],
  reconnectIntervalMs: [100, 3_600_000],
  deadKeptMs: [1_000, 2 ** 40],
  leaveMs: [0, 600_000],
  memberCountMax: [2, 65_536],
  datagramBytesMax: [1_200, 65_507],
};

/**
 * The defaults with what `given` says instead; all of them integers.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when one is out of its range, or a probe's timeout is not below its interval.
 */
export function checkParameters(given: Partial<SwimParameters>): SwimParameters {
  const parameters = { ...defaultParameters, ...given };
  // `Object.entries` widens keys to string; the table above is the whole of them.
  for (const [name, [min, max]] of Object.entries(ranges) as [
    keyof SwimParameters,
    readonly [number, number],
  ][]) {
    checkInteger(name, parameters[name], min, max);
  }
  checkInteger('probeTimeoutMs', parameters.probeTimeoutMs, 1, parameters.probeIntervalMs - 1);
  return parameters;
}

/** Times that each node passes a rumour on: ⌈λ · log(N + 1)⌉, at least 1. */
export function transmitLimit(parameters: SwimParameters, livingCount: number): number {
  return Math.max(1, Math.ceil(parameters.rumourFactor * Math.log10(livingCount + 1)));
}

/** The shortest suspicion in a net of N: max(`suspicionLeastMs`, α · log N · `probeIntervalMs`). */
export function suspicionLeast(parameters: SwimParameters, livingCount: number): number {
  const { suspicionFactor, probeIntervalMs, suspicionLeastMs } = parameters;
  const spreadMs = suspicionFactor * Math.log10(Math.max(1, livingCount)) * probeIntervalMs;
  return Math.max(suspicionLeastMs, spreadMs);
}
