/** A node as placement sees it. A node of twice the weight (above 0) gets twice the bytes. */
export interface PlacementNode {
  readonly id: string;
  readonly weight: number;
}

/** One strategy over one set of nodes: where data lie. It can be asked while a stream is still coming in. */
export interface Placement {
  /** The id of the node for the shard `key` of `bytes`. Strategies that count have counted it when this returns. */
  place(key: string, bytes: number): string;
  /**
   * The ids of `count` distinct nodes (1 to all of them) for as many copies of the shard, the preferred one first.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when there are fewer nodes than copies.
   */
  placeCopies(key: string, bytes: number, count: number): string[];
}
