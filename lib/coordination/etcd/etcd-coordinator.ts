import type { Env } from '../../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import { encodeText } from '../../wire/text.js';
import { closedError } from '../call.js';
import {
  type CheckedTxn,
  checkCallOptions,
  checkKey,
  checkLeaseId,
  checkList,
  checkSetOptions,
  checkTtl,
  checkTxn,
  checkVersion,
  checkWatchOptions,
  copyOfValue,
} from '../check.js';
import type {
  CallOptions,
  CompareAndSetResult,
  Coordinator,
  GrantedLease,
  KeyList,
  KeyState,
  KeyVersion,
  ListOptions,
  SetOptions,
  Txn,
  TxnResult,
  TxnSet,
  Watch,
  WatchOptions,
} from '../coordinator.js';
import { drawLeaseId } from '../lease-id.js';
import { StreamWatch } from '../stream-watch.js';
import { EtcdChanges } from './etcd-changes.js';
import { EtcdHttp, type Json } from './etcd-http.js';
import { behindPrefix, fromBase64, listOf, revisionOf, toBase64, toInteger } from './etcd-keys.js';
import type { EtcdSettings } from './etcd-options.js';

type EtcdEnv = Pick<Env, 'timers' | 'clock' | 'random'>;

/**
 * An etcd of 3.4 or newer as the coordinator. Its revisions are the versions; of two nets each has a prefix of its own. Beside what every backend
 * fails with, and what `EtcdHttp` does: PAIPAI_ERR_LEASE_LOST, as told. Nothing is tried again that could be done twice.
 */
export class EtcdCoordinator implements Coordinator {
  readonly #http: EtcdHttp;
  readonly #random: Env['random'];
  readonly #prefix: string;
  readonly #watches = new Set<StreamWatch>();
  #isClosed = false;

  /** @param check throws when nothing may be asked now */
  constructor(env: EtcdEnv, settings: EtcdSettings, check: () => void = () => {}) {
    this.#http = new EtcdHttp(env, settings, check);
    this.#random = env.random;
    this.#prefix = settings.prefix;
  }

  async get(key: string, options: CallOptions = {}): Promise<KeyState> {
    checkKey(key);
    const call = {
      what: `get of key ${JSON.stringify(key)}`,
      isRepeatable: true,
      ...checkCallOptions(options),
    };
    const answer = await this.#http.call('/v3/kv/range', { key: this.#keyOf(key) }, call);
    return stateOf(answer, revisionOf(answer));
  }

  async list(prefix: string, options: ListOptions = {}): Promise<KeyList> {
    const { limit, after, ...settings } = checkList(prefix, options);
    const call = {
      what: `list of keys with prefix ${JSON.stringify(prefix)}`,
      isRepeatable: true,
      ...settings,
    };
    const first = encodeText(this.#prefix + prefix);
    const behind = after === undefined ? first : encodeText(`${this.#prefix}${after}\0`);
    const range = {
      key: toBase64(Buffer.compare(behind, first) > 0 ? behind : first),
      range_end: toBase64(behindPrefix(first)),
      limit: String(limit),
      keys_only: true,
    };
    const answer = await this.#http.call('/v3/kv/range', range, call);
    const skipped = encodeText(this.#prefix).byteLength;
    const keys = listOf(answer['kvs']).map(({ key, mod_revision: revision }) => ({
      key: Buffer.from(fromBase64(key).subarray(skipped)).toString(),
      version: toInteger(revision),
    }));
    return { keys, isComplete: answer['more'] !== true };
  }

  async compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options: SetOptions = {},
  ): Promise<CompareAndSetResult> {
    checkKey(key);
    checkVersion('expectedVersion', expectedVersion);
    const bytes = copyOfValue(value, expectedVersion);
    const { leaseId, ...settings } = checkSetOptions(options, bytes === undefined);
    const call = {
      what: `compareAndSet of key ${JSON.stringify(key)}`,
      isRepeatable: false,
      ...settings,
    };
    const txn = {
      compare: [this.#comparison({ key, version: expectedVersion })],
      success: [this.#change({ key, value: bytes, leaseId })],
      failure: [{ request_range: { key: this.#keyOf(key) } }],
    };
    const answer = await this.#http.call('/v3/kv/txn', txn, call);
    const asOf = revisionOf(answer);
    if (answer['succeeded'] === true) {
      return { isSet: true, value: bytes, version: bytes === undefined ? 0 : asOf, asOf };
    }
    const [response] = listOf(answer['responses']);
    return { isSet: false, ...stateOf((response?.['response_range'] ?? {}) as Json, asOf) };
  }

  async txn(txn: Txn, options: CallOptions = {}): Promise<TxnResult> {
    const { expect, set } = checkTxn(txn);
    const call = { what: 'a transaction', isRepeatable: false, ...checkCallOptions(options) };
    const keys = [...new Set([...expect, ...set].map(({ key }) => key))];
    const request = {
      compare: expect.map((one) => this.#comparison(one)),
      success: set.map((one) => this.#change(one)),
      failure: keys.map((key) => ({ request_range: { key: this.#keyOf(key), keys_only: true } })),
    };
    const answer = await this.#http.call('/v3/kv/txn', request, call);
    const asOf = revisionOf(answer);
    const isSet = answer['succeeded'] === true;
    const versions = isSet
      ? versionsAfter({ expect, set }, asOf)
      : new Map(keys.map((key, at) => [key, versionIn(listOf(answer['responses'])[at])]));
    return { isSet, versions, asOf };
  }

  watch(key: string, options: WatchOptions): Watch {
    checkKey(key);
    const settings = checkWatchOptions(options);
    if (this.#isClosed) throw closedError();
    const what = `the watch of key ${JSON.stringify(key)}`;
    const request = {
      create_request: {
        key: this.#keyOf(key),
        start_revision: String(settings.after + 1),
        fragment: true,
      },
    };
    const watch = new StreamWatch({
      key,
      ...settings,
      open: () =>
        new EtcdChanges(key, settings.after, (signal) =>
          this.#http.open('/v3/watch', request, what, signal),
        ),
      errorOf: (thrown) => watchFailure(what, thrown),
      onOver: (over) => this.#watches.delete(over),
    });
    if (!watch.isOver) this.#watches.add(watch);
    return watch;
  }

  async grantLease(ttlMs: number, options: CallOptions = {}): Promise<GrantedLease> {
    const seconds = Math.ceil(checkTtl(ttlMs) / 1_000);
    const call = {
      what: 'the grant of a lease',
      isRepeatable: false,
      ...checkCallOptions(options),
    };
    // An id that etcd chooses is more than JavaScript can count with.
    const leaseId = drawLeaseId(this.#random);
    const request = { TTL: String(seconds), ID: String(leaseId) };
    const answer = await this.#http.call('/v3/lease/grant', request, call);
    return { leaseId, ttlMs: toInteger(answer['TTL']) * 1_000 };
  }

  async keepLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    const request = { ID: String(checkLeaseId(leaseId)) };
    const call = {
      what: `keeping lease ${leaseId} alive`,
      isRepeatable: true,
      ...checkCallOptions(options),
    };
    const { result } = await this.#http.call('/v3/lease/keepalive', request, call);
    const ttl = (result as Json | undefined)?.['TTL'];
    if (toInteger(ttl) > 0) return;
    throw new PaipaiError('PAIPAI_ERR_LEASE_LOST', `lease ${leaseId} is over, or never was`);
  }

  async revokeLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    const request = { ID: String(checkLeaseId(leaseId)) };
    const call = {
      what: `the end of lease ${leaseId}`,
      isRepeatable: true,
      ...checkCallOptions(options),
    };
    try {
      await this.#http.call('/v3/lease/revoke', request, call);
    } catch (thrown) {
      if (!isPaipaiError(thrown, 'PAIPAI_ERR_LEASE_LOST')) throw thrown;
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const watch of this.#watches) watch.fail(closedError());
    this.#http.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #keyOf(key: string): string {
    return toBase64(encodeText(this.#prefix + key));
  }

  #comparison({ key, version }: KeyVersion): Json {
    const target = { target: 'MOD', mod_revision: String(version), result: 'EQUAL' };
    return { key: this.#keyOf(key), ...target };
  }

  #change({ key, value, leaseId = 0 }: TxnSet): Json {
    if (value === undefined) return { request_delete_range: { key: this.#keyOf(key) } };
    const put = { key: this.#keyOf(key), value: toBase64(value), lease: String(leaseId) };
    return { request_put: put };
  }
}

/** @param range an answer about one key */
function stateOf(range: Json, asOf: number): KeyState {
  const [found] = listOf(range['kvs']);
  if (found === undefined) return { value: undefined, version: 0, asOf };
  return { value: fromBase64(found['value']), version: toInteger(found['mod_revision']), asOf };
}

function versionIn(response: Json | undefined): number {
  return stateOf((response?.['response_range'] ?? {}) as Json, 0).version;
}

function versionsAfter({ expect, set }: CheckedTxn, revision: number): Map<string, number> {
  const versions = new Map(expect.map(({ key, version }) => [key, version]));
  for (const { key, value } of set) versions.set(key, value === undefined ? 0 : revision);
  return versions;
}

function watchFailure(what: string, thrown: unknown): Error {
  const error = toError(thrown);
  if (error instanceof PaipaiError) return error;
  return new PaipaiError('PAIPAI_ERR_PEER_CLOSED', `${what}: etcd went away: ${error.message}`, {
    cause: error,
  });
}
