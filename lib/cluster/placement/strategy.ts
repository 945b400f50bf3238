/** A node as placement sees it. A node of twice the weight (above 0) gets twice the bytes. */
export interface PlacementNode {
  readonly id: string;
  readonly weight: number;
}

/** One strategy over one set of nodes. It can be asked while a stream is still coming in. */
export interface Placement {
  /** The id of the node for the shard `key` of `bytes`. Strategies that count have counted it when this returns. */
  place(key: string, bytes: number): string;
}
