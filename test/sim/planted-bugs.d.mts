/** In the built file `file`, below dist, the only `from` becomes `to`. */
interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface PlantedBug extends Change {
  readonly name: string;
  readonly also?: readonly Change[];
}

export const membershipBugs: readonly PlantedBug[];
export const clusterBugs: readonly PlantedBug[];
export const mapBugs: readonly PlantedBug[];
export const quorumBugs: readonly PlantedBug[];
