import type { Env } from '../base/env.js';
import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { isLivingMember, type NetMember } from '../cluster/membership/member-list.js';
import type { NodeLoadFigures } from '../cluster/membership/metadata.js';
import { HubLine } from '../cluster/relay/hub-line.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import { findMembers } from '../node/find-members.js';
import { MemberFollower } from '../node/follow-members.js';
import { nodeHeartbeat } from '../node/heartbeat.js';
import { Roster, type RosterEntry } from '../node/roster.js';
import { type Engine, selectEngine } from '../node/select-network.js';
import type { Peer, SessionOptions } from '../session/types.js';
import type { NetworkEnv } from '../transport/frame-channel.js';
import { joinNet, leaveNet, Node, type NodeHost, renewFacts } from './node.js';
import { NodeReturns } from './node-returns.js';
import type { NetSettings } from './options.js';
import { Redial } from './transport/redial.js';
import type { NodeStatus } from './types.js';

/** What a net tells about its nodes; see `NetEvents`. */
export type NodeEvent = 'join' | 'suspect' | 'alive' | 'fail' | 'leave' | 'nodeBack';

export interface NetNodesOptions {
  readonly env: Env;
  readonly settings: NetSettings;
  readonly clientId: string;
  /** Of the nodes in the net. */
  readonly host: NodeHost;
  /** Looks what a node holds that has been away, before it takes part again. */
  readonly look: (link: NodeLink) => Promise<void>;
  readonly onEvent: (event: NodeEvent, node: Node) => void;
  readonly onLost: (node: Node, error: PaipaiError) => void;
}

interface Known {
  readonly node: Node;
  /** By `join`, and not by hand: what the net says of it counts. */
  readonly isFound: boolean;
  /** Where the net says that it is; empty for one that only a hub reaches. */
  address: string;
  /** Other nodes do not hear from it. */
  isSuspect: boolean;
  /** Other nodes have given it up. */
  hasFailed: boolean;
  /** It has said goodbye to them; its session may last a little longer. */
  hasLeft: boolean;
  /** Which of those that bore its id one after the other; undefined until the net has said so. */
  instanceId: number | undefined;
  /** It serves the coordinator of the net, as the net says, or itself. */
  coordinates: boolean;
  redial: Redial | undefined;
  load: NodeLoadFigures | undefined;
}

/** Of remote nodes that went away: the first attempt comes soon, since most of them were only restarted. */
const backoff = { backoffMs: 50, backoffMsMax: 2_000, jitter: 0.5, attemptsMax: Infinity };

/** How long a node that cannot be reached may be called alive by the others: a machine that vanished is, for six to eight seconds. */
const burialMsMax = 15_000;
const burialAskMs = 250;
const awayCodes: ReadonlySet<string> = new Set([
  'PAIPAI_ERR_NODE_START',
  'PAIPAI_ERR_NODE_LOST',
  'PAIPAI_ERR_PEER_CLOSED',
  'PAIPAI_ERR_HANDSHAKE_TIMEOUT',
  'PAIPAI_ERR_DEADLINE',
]);

/** The nodes of one net: who they are, and who of them is there; those that are found come and go as the net says. */
export class NetNodes {
  readonly returns: NodeReturns;
  readonly #options: NetNodesOptions;
  readonly #byId = new Map<string, Known>();
  /** Found while the net runs, and not reached yet. */
  readonly #arriving = new Map<string, Known>();
  /** Ids of nodes that get nothing new, since they are being removed. */
  readonly #leaving = new Set<string>();
  /** By id, the instances of nodes that were removed, which are in the net of the others still; undefined: the next one heard of. */
  readonly #unwanted = new Map<string, number | undefined>();
  #roster: Roster | undefined;
  #hub: HubLine | undefined;
  #follower: MemberFollower | undefined;
  /** Of those that the net says to coordinate it when it was last asked, by id. */
  #claims: ReadonlyMap<string, NetMember> = new Map();
  #isCoordinated = false;
  #isStopped = false;
  #isCut = false;
  /** Ends the wait of a start. */
  #onCut: (() => void) | undefined;

  constructor(options: NetNodesOptions) {
    this.#options = options;
    this.returns = new NodeReturns({
      env: options.env,
      patienceMs: options.settings.reconnectMs,
      isRemote: (nodeId) => this.get(nodeId)?.address !== undefined,
      linkOf: (nodeId) => {
        const roster = this.#roster;
        return roster?.isLiving(nodeId) === true ? roster.link(nodeId) : undefined;
      },
    });
  }

  get count(): number {
    return this.#byId.size;
  }

  get(nodeId: string): Node | undefined {
    return this.#byId.get(nodeId)?.node;
  }

  /** @throws PaipaiError PAIPAI_ERR_DUPLICATE_ID; PAIPAI_ERR_INVALID_STATE for a node of another net. */
  add(node: Node): void {
    if (this.#byId.has(node.id)) {
      throw new PaipaiError('PAIPAI_ERR_DUPLICATE_ID', `the net has a node ${node.id} already`, {
        nodeId: node.id,
      });
    }
    joinNet(node, this.#options.host);
    this.#dropArriving(node.id);
    this.#unwanted.delete(node.id);
    this.#byId.set(node.id, knownOf(node, false));
  }

  /**
   * Finds those to join, runs the embedded ones, connects to all. A found one that cannot be reached may have ended a moment ago: then the
   * net is asked anew, until it has buried that one, or says for too long that it lives. When it fails, the found ones are forgotten.
   */
  async start(engine: Engine): Promise<Roster> {
    const { env } = this.#options;
    const endMs = env.clock.nowMs() + burialMsMax;
    for (;;) {
      const found: Known[] = [];
      try {
        return await this.#startWith(found, engine);
      } catch (thrown) {
        for (const { node } of found) this.#byId.delete(node.id);
        if (!this.#mayBeBuried(found, thrown) || env.clock.nowMs() >= endMs) throw thrown;
        await this.#pauseStart();
        if (this.#isCut) throw thrown;
      }
    }
  }

  /** Whether it is the fault of a found node that it cannot be reached; not where that would end and start embedded ones. */
  #mayBeBuried(found: readonly Known[], thrown: unknown): boolean {
    if (!(thrown instanceof PaipaiError) || !awayCodes.has(thrown.code)) return false;
    const isEmbedded = [...this.#byId.values()].some(({ node }) => node.address === undefined);
    return !isEmbedded && found.some(({ node }) => node.id === thrown.nodeId);
  }

  #pauseStart(): Promise<void> {
    const { timers } = this.#options.env;
    return new Promise((resolve) => {
      const timer = timers.after(burialAskMs, resolve, { keepAlive: true });
      this.#onCut = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** @param found takes those that are found */
  async #startWith(found: Known[], engine: Engine): Promise<Roster> {
    const { env, settings, clientId, host } = this.#options;
    const { engine: engineChoice, name: netName, secret, handlers, runAs, join, route } = settings;
    const hub = route === 'hub' ? this.#lineTo(join ?? []) : undefined;
    this.#hub = hub;
    try {
      if (join !== undefined) found.push(...(await this.#find(join)));
      for (const known of found) {
        joinNet(known.node, host);
        this.#byId.set(known.node.id, known);
      }
      const nodes = Array.from(this.#byId.values(), ({ node }) => node);
      // Nobody else reaches embedded nodes, so one of them coordinates only where there are no others.
      const isEmbedded = join === undefined && nodes.every(({ address }) => address === undefined);
      const isServed = isEmbedded && settings.etcd === undefined && settings.quorum === undefined;
      const entries = nodes.map(
        (node, at): RosterEntry =>
          node.address === undefined
            ? {
                nodeId: node.id,
                runAs: node.runAs ?? runAs,
                store: node.store,
                coordinator: isServed && at === 0,
              }
            : { nodeId: node.id, address: node.address },
      );
      this.#roster = await Roster.start(entries, {
        env,
        engine,
        engineChoice,
        clientId,
        netName,
        secret,
        handlers,
        hub,
        onLost: (nodeId, error) => this.#lost(nodeId, error),
      });
    } catch (thrown) {
      await hub?.close();
      throw thrown;
    }
    for (const known of this.#byId.values()) {
      known.coordinates = this.#roster.coordinates(known.node.id);
    }
    if (join !== undefined) this.#follow(join);
    return this.#roster;
  }

  /** Connects to a remote node that is not in the net, which runs. Fails as `start`, and with PAIPAI_ERR_DUPLICATE_ID. */
  async join(node: Node, signal: AbortSignal): Promise<void> {
    this.add(node);
    const known = this.#byId.get(node.id) ?? knownOf(node, false);
    try {
      await this.#reach(known, signal);
    } catch (thrown) {
      this.#forget(known);
      throw thrown;
    }
    this.#options.onEvent('join', node);
  }

  /** Runs `drain`, while the node gets nothing new, and parts with the node when that has not failed. */
  async removeAfter<T>(node: Node, drain: () => Promise<T>): Promise<T> {
    const { id } = node;
    this.#leaving.add(id);
    try {
      const result = await drain();
      const known = this.#byId.get(id);
      if (known?.node !== node) return result; // Somebody else was faster.
      const roster = this.#roster;
      const name = roster?.isLiving(id) === true ? roster.link(id).peer.remoteNodeId : id;
      this.#unwanted.set(name, known.instanceId);
      this.#forget(known);
      await roster?.remove(id);
      if (!known.hasLeft) this.#options.onEvent('leave', node);
      return result;
    } finally {
      this.#leaving.delete(id);
    }
  }

  /** Those that are there, 1 or more; before the start all of them. @throws PaipaiError PAIPAI_ERR_INVALID_STATE, _NODE_LOST. */
  living(): Node[] {
    const roster = this.#roster;
    const nodes = Array.from(this.#byId.values(), ({ node }) => node);
    const living = nodes.filter(({ id }) => roster?.isLiving(id) ?? true);
    if (living.length > 0) return living;
    throw nodes.length === 0
      ? new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the net has no node')
      : new PaipaiError('PAIPAI_ERR_NODE_LOST', 'every node of the net is gone');
  }

  /** Those of the living that new data may go to. @throws PaipaiError as `living`. */
  takers(): Node[] {
    const takers = this.living().filter(({ id }) => this.isTaker(id));
    if (takers.length > 0) return takers;
    throw new PaipaiError('PAIPAI_ERR_NODE_LOST', 'no node is there but those that leave');
  }

  /** Whether a node has ever claimed to coordinate the net that other clients see as well. From then on it does, or it is down. */
  get isCoordinated(): boolean {
    this.#isCoordinated ||= [...this.#byId.values()].some(
      ({ node, coordinates }) => coordinates && node.address !== undefined,
    );
    return this.#isCoordinated;
  }

  /**
   * The sessions with the nodes that coordinate the net: with one, or with those of a quorum that are there.
   * @throws PaipaiError PAIPAI_ERR_COORDINATOR_DOWN, with `nodeId`; _COORDINATOR_AMBIGUOUS; PAIPAI_ERR_INVALID_STATE when no node is known to
   * coordinate the net.
   */
  coordinators(): readonly [Peer, ...Peer[]] {
    const { quorum } = this.#options.settings;
    return quorum === undefined ? [this.#coordinator()] : this.#quorum(quorum);
  }

  #quorum(names: readonly string[]): readonly [Peer, ...Peer[]] {
    const roster = this.#roster;
    const ids = names.map((name) => roster?.idOf(name) ?? name);
    const living = ids.filter((id) => roster?.isLiving(id) === true);
    const [first, ...rest] = living.map((id) => (roster as Roster).link(id).peer); // Some live there.
    if (first !== undefined) return [first, ...rest];
    throw new PaipaiError(
      'PAIPAI_ERR_COORDINATOR_DOWN',
      `none of the nodes ${names.join(', ')}, which coordinate the net, can be reached`,
    );
  }

  #coordinator(): Peer {
    const own = [...this.#byId.values()].filter(({ coordinates }) => coordinates);
    const claims = new Map(own.map((known) => [known.node.id, !known.hasFailed && !known.hasLeft]));
    for (const [nodeId, member] of this.#claims) {
      if (!this.#byId.has(nodeId)) claims.set(nodeId, isLivingMember(member));
    }
    const living = [...claims.keys()].filter((nodeId) => claims.get(nodeId));
    const [nodeId = [...claims.keys()][0], other] = living;
    if (nodeId === undefined) throw this.isCoordinated ? forgotten() : noCoordinator();
    if (other !== undefined) throw twoCoordinators(nodeId, other);
    if (this.#roster?.isLiving(nodeId) === true) return this.#roster.link(nodeId).peer;
    throw new PaipaiError(
      'PAIPAI_ERR_COORDINATOR_DOWN',
      `node ${nodeId}, which coordinates the net, cannot be reached`,
      { nodeId },
    );
  }

  /** Busy part of its CPUs, 0 to 1, of a node of a net that was joined which has said so. */
  cpuLoadOf(nodeId: string): number | undefined {
    return this.#byId.get(nodeId)?.load?.cpu;
  }

  isTaker(nodeId: string): boolean {
    return !this.#leaving.has(nodeId) && this.#byId.get(nodeId)?.hasLeft === false;
  }

  statuses(): NodeStatus[] {
    const staying = [...this.#byId.values()].filter(({ hasLeft }) => !hasLeft);
    return staying.map(({ node, isSuspect, hasFailed, coordinates, load }) => {
      const { id, address, weight, pid } = node;
      const isThere = this.#roster?.isLiving(id) === true;
      return {
        id,
        state: isThere ? (isSuspect || hasFailed ? 'suspect' : 'alive') : 'lost',
        weight,
        ...(address === undefined ? {} : { address }),
        ...(pid === undefined ? {} : { pid }),
        ...(coordinates ? { coordinates } : {}),
        ...(load === undefined ? {} : { load }),
      };
    });
  }

  /** A start that goes through a hub, or waits for a burial, ends soon. */
  cutStart(): void {
    this.#isCut = true;
    this.#onCut?.();
    void this.#hub?.close(); // It never fails.
  }

  /** From now on nobody is looked for, nor reached again. */
  stop(): void {
    this.#isStopped = true;
    this.#follower?.stop();
    for (const { redial } of [...this.#byId.values(), ...this.#arriving.values()]) redial?.stop();
  }

  #lineTo(hubs: readonly string[]): HubLine {
    return new HubLine(this.#networkEnv(), hubs, {
      ...this.#sessionOptions(),
      heartbeat: nodeHeartbeat,
    });
  }

  #networkEnv(): NetworkEnv {
    const { env, settings } = this.#options;
    return { ...env, network: selectEngine(settings.engine).network };
  }

  #sessionOptions(): SessionOptions {
    const { settings, clientId: nodeId } = this.#options;
    const { name: netName, secret } = settings;
    return { nodeId, netName, ...(secret === undefined ? {} : { secret }) };
  }

  /** Who is alive in the net of `seeds`; one that is suspect may not answer, and would hold up the start for all. */
  async #find(seeds: readonly string[]): Promise<Known[]> {
    const own = Array.from(this.#byId.values(), ({ node }) => node);
    // Through a hub a node is known by its id, and what was said of its address counts for nothing.
    const isHub = this.#hub !== undefined;
    const members = await this.#ask(seeds);
    this.#noteClaims(members);
    const others = members
      .filter((member) => member.state === 'alive' && this.#isReachable(member))
      .filter((member) =>
        own.every(
          ({ id, address }) => id !== member.nodeId && (isHub || address !== member.address),
        ),
      );
    // A node that was started anew under another id stands there twice until its old one is found dead.
    const byAddress = new Map(others.map((member) => [member.address || member.nodeId, member]));
    if (own.length + byAddress.size === 0) {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'no node of the net is alive');
    }
    return Array.from(byAddress.values(), (member) => this.#found(member));
  }

  #ask(seeds: readonly string[], signal?: AbortSignal): Promise<NetMember[]> {
    return this.#hub === undefined
      ? findMembers(this.#networkEnv(), seeds, this.#sessionOptions(), signal)
      : this.#hub.members(signal);
  }

  /** One without an address is there for hubs alone. */
  #isReachable({ address }: NetMember): boolean {
    return address !== '' || this.#hub !== undefined;
  }

  #found({ nodeId, address, weight }: NetMember): Known {
    const node = new Node(nodeId, { address: address || (this.#hub?.address ?? ''), weight });
    return { ...knownOf(node, true), address };
  }

  #follow(seeds: readonly string[]): void {
    this.#follower = new MemberFollower(this.#options.env, {
      // A hub knows more than a member does: who is there through it alone. So it is asked now and then.
      links: () =>
        this.#hub === undefined
          ? (this.#roster?.living() ?? []).filter(({ nodeId }) => this.#isFound(nodeId))
          : [],
      search: (signal) => this.#ask(seeds, signal),
      onMembers: (members) => this.#onMembers(members),
    });
  }

  #isFound(nodeId: string): boolean {
    return this.#byId.get(nodeId)?.isFound === true;
  }

  #onMembers(members: readonly NetMember[]): void {
    if (this.#isStopped) return;
    this.#noteClaims(members);
    // Who went makes room, for one that was started anew at the same address, before anybody comes.
    for (const member of members) if (member.state !== 'alive') this.#onSilent(member);
    for (const member of members) if (member.state === 'alive') this.#onAlive(member);
    const alive = new Set(members.filter(isLivingMember).map(({ nodeId }) => nodeId));
    for (const nodeId of this.#arriving.keys()) if (!alive.has(nodeId)) this.#dropArriving(nodeId);
  }

  #noteClaims(members: readonly NetMember[]): void {
    const claiming = members.filter(({ coordinates }) => coordinates);
    this.#claims = new Map(claiming.map((member) => [member.nodeId, member]));
    this.#isCoordinated ||= claiming.length > 0;
  }

  #onSilent({ nodeId, state }: NetMember): void {
    const known = this.#byId.get(nodeId);
    if (known === undefined) return;
    const { node } = known;
    if (state === 'suspect' && !known.isSuspect && !known.hasFailed) {
      known.isSuspect = true;
      this.#options.onEvent('suspect', node);
    } else if (state === 'dead' && !known.hasFailed && !known.hasLeft) {
      known.hasFailed = true;
      this.#options.onEvent('fail', node);
    } else if (state === 'left' && known.isFound && !known.hasLeft) {
      known.hasLeft = true;
      if (this.#roster?.isLiving(nodeId) !== true) this.#partLater(known);
      this.#options.onEvent('leave', node);
    }
  }

  #onAlive(member: NetMember): void {
    const { nodeId, address, instanceId } = member;
    const known = this.#byId.get(nodeId) ?? this.#arriving.get(nodeId);
    if (known !== undefined) {
      this.#onKnown(known, member);
    } else if (this.#isReachable(member) && this.#isWanted(member) && !this.#isTaken(address)) {
      const arriving = { ...this.#found(member), instanceId };
      this.#arriving.set(nodeId, arriving);
      this.#redial(arriving, notReached());
    }
  }

  #onKnown(known: Known, member: NetMember): void {
    const { nodeId, address, weight, load, instanceId, coordinates } = member;
    const { node, isFound, isSuspect, hasFailed, hasLeft } = known;
    const isThere = this.#roster?.isLiving(nodeId) === true;
    known.isSuspect = false;
    known.hasFailed = false;
    known.hasLeft = false;
    known.load = load;
    known.instanceId = instanceId;
    known.coordinates = coordinates;
    if (isFound && address !== '') {
      known.address = address;
      renewFacts(node, { address, weight });
    }
    // Else it is `nodeBack` when it can be reached.
    if ((isSuspect || hasFailed || hasLeft) && isThere) this.#options.onEvent('alive', node);
    // It was given up, since somebody else was at its address.
    if (isFound && !isThere && known.redial === undefined) this.#redial(known, notReached());
  }

  /** Not one of those that were removed by hand, as long as it is the same process. */
  #isWanted({ nodeId, instanceId }: NetMember): boolean {
    if (!this.#unwanted.has(nodeId)) return true;
    const removed = this.#unwanted.get(nodeId) ?? instanceId;
    if (removed !== instanceId) return this.#unwanted.delete(nodeId);
    this.#unwanted.set(nodeId, removed);
    return false;
  }

  /** Whether a node of another id that has not failed is at the address. */
  #isTaken(address: string): boolean {
    const all = [...this.#byId.values(), ...this.#arriving.values()];
    const isHub = this.#hub !== undefined;
    return all.some(
      (known) =>
        address !== '' &&
        known.address === address &&
        !known.hasFailed &&
        (known.isFound || !isHub),
    );
  }

  #lost(nodeId: string, error: PaipaiError): void {
    const known = this.#byId.get(nodeId);
    if (known === undefined) return;
    if (known.node.address !== undefined && !this.#isStopped) this.#redial(known, error);
    if (known.hasLeft) this.#partLater(known);
    this.#options.onLost(known.node, error);
  }

  /** Most who leave are started anew; whoever waits for that does so for this long. */
  #partLater(known: Known): void {
    const { env, settings } = this.#options;
    env.timers.after(settings.reconnectMs, () => {
      const isThere = this.#roster?.isLiving(known.node.id) === true;
      if (known.hasLeft && !isThere) this.#forget(known);
    });
  }

  #redial(known: Known, error: PaipaiError): void {
    known.redial ??= new Redial(
      this.#options.env,
      backoff,
      (signal) => this.#reachAgain(known, signal),
      // Another secret, name or version: it is no node of this net any more, unless the net says so again.
      () => this.#dropRedial(known),
    );
    known.redial.start(error);
  }

  #dropRedial(known: Known): void {
    known.redial?.stop();
    known.redial = undefined;
  }

  #dropArriving(nodeId: string): void {
    const arriving = this.#arriving.get(nodeId);
    this.#arriving.delete(nodeId);
    if (arriving !== undefined) this.#dropRedial(arriving);
  }

  async #reachAgain(known: Known, signal: AbortSignal): Promise<void> {
    const { node } = known;
    const isNew = this.#arriving.get(node.id) === known;
    try {
      await this.#reach(known, signal);
    } catch (thrown) {
      // Whoever is there now may take part, under the own id.
      if (isPaipaiError(thrown, 'PAIPAI_ERR_DUPLICATE_ID')) {
        known.hasFailed = true;
        this.#dropRedial(known);
      }
      throw thrown;
    }
    known.redial?.connected();
    this.returns.back(node.id);
    this.#options.onEvent(isNew ? 'join' : 'nodeBack', node);
  }

  /** Takes a remote node in, once it is known what it holds. */
  async #reach(known: Known, signal: AbortSignal): Promise<void> {
    const { node, isFound } = known;
    const { id: nodeId, address } = node;
    const roster = this.#roster;
    if (roster === undefined || address === undefined) {
      throw new RangeError(`node ${nodeId} cannot be reached by an address`);
    }
    const { link, admit } = await roster.reach(nodeId, address, signal);
    try {
      const { remoteNodeId } = link.peer;
      if (isFound && remoteNodeId !== nodeId) {
        throw new PaipaiError(
          'PAIPAI_ERR_DUPLICATE_ID',
          `at ${address}, where node ${nodeId} was, is node ${remoteNodeId} now`,
          { nodeId, address },
        );
      }
      await this.#options.look(link);
    } catch (thrown) {
      link.peer.destroy();
      throw thrown;
    }
    const isArriving = this.#arriving.get(nodeId) === known;
    const isWanted = isArriving || this.#byId.get(nodeId) === known;
    if (this.#isStopped || signal.aborted || !isWanted || !admit()) {
      link.peer.destroy();
      throw new PaipaiError('PAIPAI_ERR_NODE_LOST', `node ${nodeId} went away again`, { nodeId });
    }
    known.coordinates = roster.coordinates(nodeId);
    if (!isArriving) return;
    this.#arriving.delete(nodeId);
    joinNet(node, this.#options.host);
    this.#byId.set(nodeId, known);
  }

  #forget(known: Known): void {
    const { node } = known;
    if (this.#byId.get(node.id) !== known) return;
    this.#byId.delete(node.id);
    this.#dropRedial(known);
    leaveNet(node);
  }
}

function noCoordinator(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_STATE',
    'no node is known to coordinate this net: start one with --coordinator',
  );
}

function forgotten(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_COORDINATOR_DOWN',
    'the node that coordinated the net has gone so long ago that the net has forgotten it: start it again',
  );
}

function twoCoordinators(one: string, other: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_COORDINATOR_AMBIGUOUS',
    `nodes ${one} and ${other} both claim to coordinate the net, and each has a table of its own: start one of them without --coordinator`,
    { nodeId: other },
  );
}

function notReached(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_NODE_LOST', 'not reached yet');
}

function knownOf(node: Node, isFound: boolean): Known {
  return {
    node,
    isFound,
    address: node.address ?? '',
    isSuspect: false,
    hasFailed: false,
    hasLeft: false,
    instanceId: undefined,
    coordinates: false,
    redial: undefined,
    load: undefined,
  };
}
