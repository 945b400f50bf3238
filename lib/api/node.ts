import { checkId, checkOneOf, checkOptions, invalidArgument } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { type RunAs, runAsChoices } from '../node/launch.js';
import type { ProcessResult } from '../processing/report.js';
import { checkStore, type StoreChoice } from '../store/open-store.js';
import { formatAddress, parseAddress } from '../transport/address.js';
import type { Data } from './data.js';
import { checkWeight, type NodeOptions, nodeNames, type ProcessOptions } from './options.js';

/** What a net does for the nodes in it. */
export interface NodeHost {
  pidOf(node: Node): number | undefined;
  processOn(
    node: Node,
    data: Data,
    handler: string,
    options: ProcessOptions,
  ): Promise<ProcessResult>;
}

let setHost: (node: Node, host: NodeHost | undefined) => void;
let setFacts: (node: Node, facts: NodeFacts) => void;

/** What a running node may say anew of itself. */
export interface NodeFacts {
  readonly address: string;
  readonly weight: number;
}

/** A node of a net: embedded, run by `net.start()` on this machine, or remote, reached by its address. */
export class Node {
  readonly id: string;
  /** Undefined: as the net says. */
  readonly runAs: RunAs | undefined;
  /** Where its shards lie, with an absolute path; undefined for a node that runs elsewhere. */
  readonly store: StoreChoice | undefined;
  #address: string | undefined;
  #weight: number;
  #host: NodeHost | undefined;

  static {
    setFacts = (node, { address, weight }) => {
      node.#address = address;
      node.#weight = weight;
    };
    setHost = (node, host) => {
      if (node.#host !== undefined && host !== undefined) {
        throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', `node ${node.id} is in a net already`, {
          nodeId: node.id,
        });
      }
      node.#host = host;
    };
  }

  /**
   * @param id 1 to 255 bytes of text, or an integer from 0, which is the same as its decimal digits.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, PAIPAI_ERR_INVALID_ADDRESS.
   */
  constructor(id: string | number, options: NodeOptions = {}) {
    this.id = checkId('id', id);
    checkOptions('options', options, nodeNames);
    const { address, runAs, store } = options;
    this.#address = address === undefined ? undefined : formatAddress(parseAddress(address));
    this.#weight = checkWeight(options.weight ?? 1);
    this.runAs = runAs === undefined ? undefined : checkOneOf('runAs', runAs, runAsChoices);
    if (address !== undefined && runAs !== undefined) {
      throw invalidArgument('runAs', 'absent for a node with an address', runAs);
    }
    if (address !== undefined && store !== undefined) {
      throw invalidArgument('store', 'absent for a node with an address', store);
    }
    this.store = address === undefined ? checkStore(store ?? 'memory') : undefined;
  }

  /** Where a remote node listens; undefined for an embedded one. One that the net found by `join` may come back at another. */
  get address(): string | undefined {
    return this.#address;
  }

  /** Its share of the data, relative to the others. */
  get weight(): number {
    return this.#weight;
  }

  /** Of the process in which the node runs, this one for a thread; undefined before the start. */
  get pid(): number | undefined {
    return this.#host?.pidOf(this);
  }

  /**
   * Runs a handler over the shards of `data` that lie on this node; data that lie nowhere yet are transferred here first.
   * Fails as `Net.process` does; PAIPAI_ERR_UNKNOWN_DATA when other nodes have the data and this one has no shard of them. With
   * `keep: false` shards that lie on no other node are gone then, and what wants the whole of the data fails with PAIPAI_ERR_NODE_LOST.
   */
  async process(
    data: Data,
    handler: string = 'digest',
    options: ProcessOptions = {},
  ): Promise<ProcessResult> {
    if (this.#host === undefined) {
      throw new PaipaiError('PAIPAI_ERR_UNKNOWN_NODE', `node ${this.id} is in no net`, {
        nodeId: this.id,
      });
    }
    return this.#host.processOn(this, data, handler, options);
  }
}

/** The node is in no net any more, and may join another. */
export function leaveNet(node: Node): void {
  setHost(node, undefined);
}

/** Of a node that the net has found. */
export function renewFacts(node: Node, facts: NodeFacts): void {
  setFacts(node, facts);
}

/** Makes `host` the net of the node. @throws PaipaiError PAIPAI_ERR_INVALID_STATE when it has one. */
export function joinNet(node: Node, host: NodeHost): void {
  setHost(node, host);
}
