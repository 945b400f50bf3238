import { EventEmitter } from 'node:events';
import { debuglog } from 'node:util';
import { deferred } from '../../base/deferred.js';
import type { Timer } from '../../base/env.js';
import { PaipaiError, toError } from '../../base/errors.js';
import { throwLater } from '../../base/throw-later.js';
import { connectPeer } from '../../session/connect.js';
import { secretBytesOf } from '../../session/settings.js';
import type { SessionOptions } from '../../session/types.js';
import type { DatagramEnv, DatagramSocket } from './datagram-network.js';
import { JoinRounds } from './join-rounds.js';
import {
  decodeRevision,
  encodeMemberList,
  encodeMemberView,
  isLivingMember,
  memberOf,
  type NetMember,
  noLoad,
  watchMsMax,
} from './member-list.js';
import { encodeMetadata, type NodeLoadFigures } from './metadata.js';
import { defaultParameters, type SwimParameters } from './parameters.js';
import { isLiving } from './precedence.js';
import { Swim } from './swim.js';
import type { Effects, MemberRecord, MembershipEvent, SwimCounts } from './types.js';

/** Request of a node that joins, or whose table differs from another's: its full state for theirs. */
export const exchangeMethod = 'member.exchange';

export interface MembershipSettings {
  readonly nodeId: string;
  readonly netName: string;
  /** The secret of the net, for sessions and datagrams alike. */
  readonly secret: Uint8Array | string | undefined;
  /** Where others send datagrams to: as `formatEndpoint` has it. */
  readonly datagramAddress: string;
  /** Where others reach the transport of this node: `tcp://`, an IP address and a port. */
  readonly transportAddress: string;
  readonly weight: number;
  /** Whether this node serves the coordinator of the net. Default false. */
  readonly coordinates?: boolean;
  /** As `checkSeeds` gives them; this node's own address among them is left out. None: the node founds a net. */
  readonly seeds: readonly string[];
  readonly parameters?: Partial<SwimParameters>;
  /**
   * This node can't be a member: PAIPAI_ERR_DUPLICATE_ID when another keeps its id, or the code of a seed that came up late, and refused.
   * Not called while `start` is under way, which fails instead. The caller closes.
   */
  readonly onFailed: (error: PaipaiError) => void;
}

/**
 * What happens in the net, as this node hears of it.
 * - `join`: a node that was unknown, dead or gone is here. `update`: its address or its weight changed.
 * - `suspect`: it does not answer; `alive`: it has answered after all.
 * - `fail`: it is dead. `leave`: it said goodbye.
 * - `duplicate`: two nodes claim the id `nodeId`; this one is not the loser.
 * - `joined`: this node is a member. `seedRefused`: so it is, but one of its seeds would not have it.
 */
export interface MembershipEvents {
  join: [member: NetMember];
  suspect: [member: NetMember];
  alive: [member: NetMember];
  fail: [member: NetMember];
  leave: [member: NetMember];
  update: [member: NetMember];
  duplicate: [nodeId: string];
  joined: [];
  seedRefused: [error: PaipaiError];
}

const noBytes = new Uint8Array(0);

/** Exchanges are rare, and one that takes longer than this has met a node that is about to be suspected. */
const connectMsMax = 3_000;
const exchangeMsMax = 5_000;
/** The state machine asks for fewer; so many at once only when their answers are late. */
const exchangesMax = 4;
/** Above the time that the goodbye itself takes. */
const goneSpareMs = 500;
/** Watches that wait for news, each of a client; one more is told at once that there is none. */
const watchesMax = 1_024;
const viewMsMax = 1_000;

const log = debuglog('paipainet');

/**
 * The membership of a running node: Swim with a socket, a timer and the transport. Nothing is sent before `start`.
 *
 * An exchange has a connection of its own, which ends with it: there is one when a node joins and now and then after losses, so a connection
 * kept for each pair of nodes would be idle, and one that breaks would have to be told from one that was never there.
 */
export class Membership {
  readonly events: EventEmitter<MembershipEvents> = new EventEmitter();
  readonly #env: DatagramEnv;
  readonly #socket: DatagramSocket;
  readonly #settings: MembershipSettings;
  readonly #session: SessionOptions;
  readonly #swim: Swim;
  readonly #rounds: JoinRounds;
  readonly #seedCount: number;
  readonly #abort = new AbortController();
  /** A member, closed, or `#failure` says why not. */
  readonly #settled = deferred<void>();
  readonly #gone = deferred<void>();
  #state: 'starting' | 'running' | 'leaving' | 'closed' = 'starting';
  #isMember = false;
  #failure: PaipaiError | null = null;
  #exchangeCount = 0;
  #revision = 1;
  #view: { revision: number; bytes: Uint8Array; untilMs: number } = {
    revision: 0,
    bytes: noBytes,
    untilMs: 0,
  };
  /** By id, what the nodes have said last that is no load. */
  readonly #facts = new Map<string, string>();
  /** What ends the wait of each watch. */
  readonly #watches = new Set<() => void>();
  #timer: Timer | null = null;
  #timerAtMs = Infinity;
  #wakeAtMs = Infinity;

  /**
   * Takes `socket` over.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when a setting is out of its range; the socket is still the caller's then.
   */
  constructor(env: DatagramEnv, socket: DatagramSocket, settings: MembershipSettings) {
    const { nodeId, netName, secret, parameters } = settings;
    this.#env = env;
    this.#socket = socket;
    this.#settings = settings;
    this.#session = {
      nodeId,
      netName,
      ...(secret === undefined ? {} : { secret }),
      // Shared memory would be set up and torn down for one request.
      path: 'tcp',
      connectTimeoutMs: connectMsMax,
      handshakeTimeoutMs: connectMsMax,
      signal: this.#abort.signal,
    };
    this.#swim = new Swim(
      {
        nodeId,
        netName,
        secret: secretBytesOf(secret) ?? noBytes,
        address: settings.datagramAddress,
        metadata: this.#metadata(noLoad),
        ...(parameters === undefined ? {} : { parameters }),
      },
      env.random,
    );
    const seeds = settings.seeds.filter((seed) => seed !== settings.transportAddress);
    this.#seedCount = seeds.length;
    this.#rounds = new JoinRounds(env, seeds, {
      ask: (address) => this.#exchange(address),
      isKnown: (address) => this.#isKnown(address),
      onRefused: (error) => this.#onRefused(error),
    });
  }

  /** Of what passed as datagrams. */
  get counts(): SwimCounts {
    return this.#swim.counts;
  }

  get isMember(): boolean {
    return this.#swim.isMember;
  }

  /** Why no seed has answered yet; the node goes on asking. Null when one has, or there are none. */
  get joinProblem(): PaipaiError | null {
    return this.#rounds.problem;
  }

  /** This node first, then all that are remembered, the dead included; a snapshot. */
  members(): NetMember[] {
    return [this.#swim.self, ...this.#swim.members()].map(memberOf);
  }

  /**
   * Founds a net, or joins one: settles when this node is a member, or when no seed can be reached, and then it goes on trying. With a
   * predecessor that may still live that takes `suspicionLeastMs`.
   * Fails: PAIPAI_ERR_DUPLICATE_ID, or with the code of a seed that refuses: _NET_NAME, _SECRET, _VERSION_MISMATCH, _FRAME_MAGIC,
   * _METHOD_UNKNOWN or _INVALID_STATE (a node, but no member), _PROTOCOL. The caller closes then.
   */
  async start(): Promise<void> {
    this.#socket.receiver = {
      onDatagram: (bytes, from) => this.#turn((nowMs) => this.#swim.onDatagram(bytes, from, nowMs)),
      onRefused: (address) => this.#turn((nowMs) => this.#swim.onRefused(address, nowMs)),
    };
    if (this.#seedCount === 0) this.#turn((nowMs) => this.#swim.found(nowMs));
    else if (await this.#rounds.begin()) await this.#settled.promise;
    else if (this.joinProblem !== null) log('%s; trying on', this.joinProblem.message);
    if (this.#failure !== null) throw this.#failure;
    if (this.#state === 'starting') this.#state = 'running';
  }

  /**
   * Serves `member.exchange`.
   * @throws PaipaiError PAIPAI_ERR_PROTOCOL, _VERSION_MISMATCH, _NET_NAME; PAIPAI_ERR_CLOSED.
   */
  answerExchange(fullState: Uint8Array): Uint8Array {
    this.#checkOpen();
    this.#turn((nowMs) => this.#swim.mergeFullState(fullState, nowMs));
    return this.#swim.fullState();
  }

  /** Serves `member.list`. Fails as `joinedMembers`. */
  answerList(): Uint8Array {
    return encodeMemberList(this.joinedMembers());
  }

  /** `members`, for others. @throws PaipaiError PAIPAI_ERR_CLOSED; PAIPAI_ERR_INVALID_STATE before this node has joined. */
  joinedMembers(): NetMember[] {
    this.#checkOpen();
    if (!this.#isMember) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        `node ${this.#settings.nodeId} has not joined the net yet`,
      );
    }
    return this.members();
  }

  /** Tells the net how much this node has to do; as often as `LoadMeter` does, since everybody hears of it. */
  tellLoad(load: NodeLoadFigures): void {
    if (this.#state !== 'starting' && this.#state !== 'running') return;
    this.#turn((nowMs) => this.#swim.updateMetadata(this.#metadata(load), nowMs));
  }

  /**
   * Serves `member.watch`. `signal` fires when nobody waits for the answer any more.
   * Fails: PAIPAI_ERR_PROTOCOL, and as `joinedMembers`.
   */
  async answerWatch(payload: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const known = decodeRevision(payload);
    this.#checkOpen();
    const mayWait = this.#isMember && this.#watches.size < watchesMax;
    if (known === this.#revision && mayWait) await this.#change(signal);
    return known === this.#revision && this.#state === 'running'
      ? encodeMemberView({ revision: known, members: undefined })
      : this.#encodedView();
  }

  /** Says goodbye, if there is somebody to hear it, which takes `leaveMs`; then ends everything. Never fails; idempotent. */
  async close(): Promise<void> {
    if (this.#state === 'leaving' || this.#state === 'closed') return this.#gone.promise;
    this.#state = 'leaving';
    this.#tellWatches();
    this.#rounds.stop();
    this.#abort.abort(new PaipaiError('PAIPAI_ERR_CLOSED', 'the node is being closed'));
    if (this.#swim.isMember && this.#swim.members().some(({ state }) => isLiving(state))) {
      const leaveMs = this.#settings.parameters?.leaveMs ?? defaultParameters.leaveMs;
      const bound = this.#env.timers.after(leaveMs + goneSpareMs, () => this.#gone.resolve(), {
        keepAlive: true,
      });
      this.#turn((nowMs) => this.#swim.leave(nowMs));
      await this.#gone.promise;
      bound.cancel();
    }
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#socket.close();
    this.#settled.resolve();
    this.#gone.resolve();
  }

  #metadata(load: NodeLoadFigures): Uint8Array {
    const { transportAddress, weight, coordinates = false } = this.#settings;
    return encodeMetadata({ transportAddress, weight, coordinates, load });
  }

  #checkOpen(): void {
    if (this.#state === 'starting' || this.#state === 'running') return;
    throw new PaipaiError('PAIPAI_ERR_CLOSED', `node ${this.#settings.nodeId} is leaving the net`);
  }

  /** Of the moment, but for load figures, which may be a second old: those who wait for news all get it in one turn. */
  #encodedView(): Uint8Array {
    const members = this.joinedMembers();
    const nowMs = this.#env.clock.nowMs();
    const { revision, bytes, untilMs } = this.#view;
    if (revision === this.#revision && nowMs < untilMs) return bytes;
    const encoded = encodeMemberView({ revision: this.#revision, members });
    this.#view = { revision: this.#revision, bytes: encoded, untilMs: nowMs + viewMsMax };
    return encoded;
  }

  /** Settles with the next change, or after `watchMsMax`, or when `signal` fires. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        this.#watches.delete(end);
        resolve();
      };
      const timer = this.#env.timers.after(watchMsMax, end);
      this.#watches.add(end);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
    });
  }

  #tellWatches(): void {
    for (const end of [...this.#watches]) end();
  }

  #turn(tell: (nowMs: number) => Effects): void {
    if (this.#state === 'closed') return;
    const { sends, events, exchanges, wakeAtMs } = tell(this.#env.clock.nowMs());
    for (const { address, bytes, isPing } of sends) {
      if (isPing) this.#socket.probe(address, bytes);
      else this.#socket.send(address, bytes);
    }
    for (const member of exchanges) void this.#exchangeWith(member);
    this.#wakeAtMs = wakeAtMs;
    this.#setTimer();
    if (this.#swim.isMember && !this.#isMember) {
      this.#isMember = true;
      this.#settled.resolve();
      this.#emit(() => this.events.emit('joined'));
    }
    const news = events.filter((event) => this.#isNews(event));
    if (news.length > 0) this.#revision++;
    for (const event of news) this.#report(event);
    if (news.length > 0) this.#tellWatches();
  }

  /** Figures of load alone are none: whoever asks next is told the latest. */
  #isNews(event: MembershipEvent): boolean {
    if (event.kind === 'gone' || event.kind === 'duplicate') return true;
    const { nodeId, address, weight, coordinates } = memberOf(event.member);
    const facts = `${weight} ${coordinates} ${address}`;
    const isSame = this.#facts.get(nodeId) === facts;
    if (event.kind === 'fail' || event.kind === 'leave') this.#facts.delete(nodeId);
    else this.#facts.set(nodeId, facts);
    return event.kind !== 'update' || !isSame;
  }

  /** One that is set too early stays, and is set anew when it fires: most wake-ups are put off again and again. */
  #setTimer(): void {
    if (this.#wakeAtMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = this.#wakeAtMs;
    const waitMs = Math.max(0, this.#wakeAtMs - this.#env.clock.nowMs());
    this.#timer = this.#env.timers.after(waitMs, () => {
      this.#timerAtMs = Infinity;
      if (this.#env.clock.nowMs() < this.#wakeAtMs) this.#setTimer();
      else this.#turn((nowMs) => this.#swim.onWake(nowMs));
    });
  }

  #report(event: MembershipEvent): void {
    switch (event.kind) {
      case 'gone':
        return this.#gone.resolve();
      case 'duplicate':
        if (event.isOurs) return this.#fail(duplicateId(event.winner.nodeId));
        return this.#emit(() => this.events.emit('duplicate', event.winner.nodeId));
      default:
        return this.#emit(() => this.events.emit(event.kind, memberOf(event.member)));
    }
  }

  /** What a listener throws concerns neither the rest of the turn nor the peer whose datagram this was. */
  #emit(emit: () => void): void {
    try {
      emit();
    } catch (thrown) {
      throwLater(thrown);
    }
  }

  #onRefused(error: PaipaiError): void {
    if (this.#isMember || this.#rounds.problem === null) {
      this.#emit(() => this.events.emit('seedRefused', error));
    } else {
      this.#fail(error);
    }
  }

  #fail(error: PaipaiError): void {
    this.#rounds.stop();
    this.#failure = error;
    this.#settled.resolve();
    if (this.#state === 'running') this.#settings.onFailed(error);
  }

  #isKnown(address: string): boolean {
    return this.members().some((member) => isLivingMember(member) && member.address === address);
  }

  async #exchangeWith(record: MemberRecord): Promise<void> {
    const { nodeId, address } = memberOf(record);
    if (address === '' || this.#exchangeCount >= exchangesMax) return;
    this.#exchangeCount++;
    try {
      await this.#exchange(address);
    } catch (thrown) {
      log('exchange with node %s at %s failed: %s', nodeId, address, toError(thrown).message);
    } finally {
      this.#exchangeCount--;
    }
  }

  async #exchange(address: string): Promise<void> {
    const peer = await connectPeer(this.#env, address, this.#session);
    try {
      const answer = await peer.request(exchangeMethod, this.#swim.fullState(), {
        deadlineMs: exchangeMsMax,
        signal: this.#abort.signal,
      });
      this.#turn((nowMs) => this.#swim.mergeFullState(answer, nowMs));
    } finally {
      void peer.close(0); // It never fails.
    }
  }
}

function duplicateId(nodeId: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_DUPLICATE_ID',
    `the net has a living node ${nodeId} already, which keeps the id: give this one another`,
    { nodeId },
  );
}
