import { checkId } from '../../base/check.js';
import type { PaipaiCode } from '../../base/codes.js';
import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import type { Peer } from '../../session/types.js';
import { abortedError, closedError } from '../call.js';
import {
  type CallSettings,
  checkCallOptions,
  checkKey,
  checkLeaseId,
  checkList,
  checkSetOptions,
  checkTtl,
  checkTxn,
  checkValue,
  checkVersion,
  checkWatchOptions,
} from '../check.js';
import type {
  CallOptions,
  CompareAndSetResult,
  GrantedLease,
  KeyList,
  KeyState,
  ListOptions,
  Quorum,
  QuorumMember,
  SetOptions,
  Txn,
  TxnResult,
  Watch,
  WatchOptions,
} from '../coordinator.js';
import {
  decodeGrantedLease,
  decodeKeyList,
  decodeLease,
  decodeMemberList,
  decodeMembersRequest,
  decodeState,
  decodeTxnResult,
  encodeGet,
  encodeLease,
  encodeList,
  encodeMembersRequest,
  encodeSet,
  encodeTxn,
  encodeWatch,
  getKeyMethod,
  leaseMethod,
  listKeysMethod,
  membersMethod,
  setKeyMethod,
  txnMethod,
  watchKeyMethod,
} from '../messages.js';
import { StreamWatch } from '../stream-watch.js';
import { RemoteChanges } from './remote-changes.js';

/**
 * The sessions with the nodes that coordinate, one at least, asked for with each call: after a reconnection there are others.
 * @throws PaipaiError PAIPAI_ERR_COORDINATOR_DOWN, and whatever else keeps the call from being made
 */
export type FindCoordinators = () => readonly [Peer, ...Peer[]];

/**
 * The coordinator that a node serves, which is a quorum or says that it is none. Beside what every backend fails with:
 * - PAIPAI_ERR_COORDINATOR_DOWN: it cannot be reached, and nothing was done.
 * - PAIPAI_ERR_PEER_CLOSED: it went away in the middle; a change may have been made. A watch fails so as well, and is made anew, after
 *   the last version that it told, once the node is back.
 * Nothing is tried again here: only the caller knows what it may repeat.
 */
export class RemoteCoordinator implements Quorum {
  readonly #find: FindCoordinators;
  readonly #calls = new Set<AbortController>();
  readonly #watches = new Set<StreamWatch>();
  #isClosed = false;

  /** The session is not taken over: `close` leaves it open. */
  constructor(find: FindCoordinators) {
    this.#find = find;
  }

  async get(key: string, options: CallOptions = {}): Promise<KeyState> {
    checkKey(key);
    const what = `get of key ${JSON.stringify(key)}`;
    const answer = await this.#call(what, getKeyMethod, encodeGet(key), checkCallOptions(options));
    const { value, version, asOf } = decodeState(getKeyMethod, answer);
    return { value, version, asOf };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<KeyList> {
    const { limit, after, ...settings } = checkList(prefix, options);
    const what = `list of keys with prefix ${JSON.stringify(prefix)}`;
    const request = encodeList({ prefix, limit, after });
    return decodeKeyList(await this.#call(what, listKeysMethod, request, settings));
  }

  async compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options: SetOptions = {},
  ): Promise<CompareAndSetResult> {
    checkKey(key);
    checkVersion('expectedVersion', expectedVersion);
    const isDeletion = !checkValue(value, expectedVersion);
    const { leaseId, ...settings } = checkSetOptions(options, isDeletion);
    const what = `compareAndSet of key ${JSON.stringify(key)}`;
    const request = encodeSet({ key, expectedVersion, value, leaseId });
    return decodeState(setKeyMethod, await this.#call(what, setKeyMethod, request, settings));
  }

  async txn(txn: Txn, options: CallOptions = {}): Promise<TxnResult> {
    const checked = checkTxn(txn);
    const settings = checkCallOptions(options);
    const answer = await this.#call('a transaction', txnMethod, encodeTxn(checked), settings);
    return decodeTxnResult(answer, checked);
  }

  async grantLease(ttlMs: number, options: CallOptions = {}): Promise<GrantedLease> {
    const request = encodeLease({ kind: 'grant', ttlMs: checkTtl(ttlMs) });
    const settings = checkCallOptions(options);
    const what = 'the grant of a lease';
    return decodeGrantedLease(await this.#call(what, leaseMethod, request, settings));
  }

  async keepLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    const request = encodeLease({ kind: 'keep', leaseId: checkLeaseId(leaseId) });
    const what = `keeping lease ${leaseId} alive`;
    await this.#call(what, leaseMethod, request, checkCallOptions(options));
  }

  async revokeLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    const request = encodeLease({ kind: 'revoke', leaseId: checkLeaseId(leaseId) });
    const what = `the end of lease ${leaseId}`;
    await this.#call(what, leaseMethod, request, checkCallOptions(options));
  }

  async members(options: CallOptions = {}): Promise<readonly QuorumMember[]> {
    const request = encodeMembersRequest({ kind: 'list' });
    const settings = checkCallOptions(options);
    const what = 'who is a member of the quorum';
    return decodeMemberList(await this.#call(what, membersMethod, request, settings));
  }

  async replaceMember(
    oldNodeId: string,
    newNodeId: string,
    options: CallOptions = {},
  ): Promise<void> {
    const [oldId, newId] = [checkId('oldNodeId', oldNodeId), checkId('newNodeId', newNodeId)];
    const request = encodeMembersRequest({ kind: 'replace', oldNodeId: oldId, newNodeId: newId });
    const what = `the replacement of member ${oldId} by node ${newId}`;
    await this.#call(what, membersMethod, request, checkCallOptions(options));
  }

  watch(key: string, options: WatchOptions): Watch {
    checkKey(key);
    const settings = checkWatchOptions(options);
    this.#throwIfClosed();
    const what = `the watch of key ${JSON.stringify(key)}`;
    const watch = new StreamWatch({
      key,
      ...settings,
      open: () => {
        const request = encodeWatch({ key, after: settings.after });
        const [peer] = this.#open(what) as [Peer]; // One at least.
        const stream = peer.openStream(watchKeyMethod, request);
        return new RemoteChanges(stream, key, settings.after);
      },
      errorOf: (thrown) => failureOf(what, thrown),
      onOver: (over) => this.#watches.delete(over),
    });
    if (!watch.isOver) this.#watches.add(watch);
    return watch;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const call of this.#calls) call.abort();
    for (const watch of this.#watches) watch.fail(closedError());
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call(
    what: string,
    method: string,
    request: Uint8Array,
    { deadlineMs, signal }: CallSettings,
  ): Promise<Uint8Array> {
    if (signal?.aborted) throw abortedError(what, signal);
    this.#throwIfClosed();
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#calls.add(stop);
    try {
      let kept: Error | undefined;
      for (const peer of this.#open(what)) {
        try {
          return await peer.request(method, request, { deadlineMs, signal: stop.signal });
        } catch (thrown) {
          const failure = failureOf(what, thrown);
          if (!mayAskAnother(method, request, failure)) throw failure;
          // Of one that answered, rather than of one that is gone.
          if (!isPaipaiError(kept, 'PAIPAI_ERR_COORDINATOR_DOWN')) kept = failure;
        }
      }
      throw kept ?? down(what, 'the session with it is over');
    } catch (thrown) {
      this.#throwIfClosed();
      throw thrown;
    } finally {
      this.#calls.delete(stop);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Those that can be asked, in their order. */
  #open(what: string): Peer[] {
    const peers = this.#find().filter(({ state }) => state === 'open');
    if (peers.length === 0) throw down(what, 'the session with it is over');
    return peers;
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw closedError();
  }
}

/** What is as good done twice as once. */
function isRepeatable(method: string, request: Uint8Array): boolean {
  if (method === leaseMethod) return decodeLease(request).kind !== 'grant';
  if (method === membersMethod) return decodeMembersRequest(request).kind === 'list';
  return method === getKeyMethod || method === listKeysMethod;
}

/** Whether nothing was done, or nothing that matters, so that another member of a quorum may be better off. */
function mayAskAnother(method: string, request: Uint8Array, failure: Error): boolean {
  if (isPaipaiError(failure, 'PAIPAI_ERR_COORDINATOR_DOWN')) return true;
  return isPaipaiError(failure, 'PAIPAI_ERR_PEER_CLOSED') && isRepeatable(method, request);
}

/** What the other side says of its own end means another thing here. */
const codesHere: ReadonlyMap<PaipaiCode, PaipaiCode> = new Map([
  ['PAIPAI_ERR_CLOSED', 'PAIPAI_ERR_PEER_CLOSED'],
  ['PAIPAI_ERR_METHOD_UNKNOWN', 'PAIPAI_ERR_COORDINATOR_DOWN'],
]);

function failureOf(what: string, thrown: unknown): Error {
  const error = toError(thrown);
  const code = isPaipaiError(error) ? codesHere.get(error.code) : undefined;
  if (code === undefined) return error;
  return code === 'PAIPAI_ERR_COORDINATOR_DOWN'
    ? down(what, 'that node coordinates no more', error)
    : new PaipaiError(code, `${what}: the coordinator went away: ${error.message}`, {
        cause: error,
      });
}

function down(what: string, why: string, cause?: Error): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_COORDINATOR_DOWN',
    `${what}: the coordinator cannot be asked: ${why}`,
    { cause },
  );
}
