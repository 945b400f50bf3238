import { comparePositions, type DataPosition } from '../../store/data-position.js';
import type { StoredData } from '../../store/store.js';
import { dataListMethod, decodeDataList, encodeDataListRequest, malformed } from './data-list.js';
import { nodeError } from './node-error.js';
import type { NodeLink } from './node-link.js';

/** Versions of data that one node may say it holds. */
const dataCountMax = 1_000_000;

/**
 * Every version of all data, or of `dataId` alone, of which a node holds some, by id and version.
 * Fails: PAIPAI_ERR_NODE_LOST, _DEADLINE (`deadlineMs` for each request), _PROTOCOL.
 */
export async function listData(
  link: NodeLink,
  deadlineMs: number,
  dataId?: string,
): Promise<StoredData[]> {
  const all: StoredData[] = [];
  try {
    for (let last: DataPosition | undefined; ; ) {
      const request = encodeDataListRequest({ dataId, behind: last });
      const answer = await link.peer.request(dataListMethod, request, { deadlineMs });
      const { data, more } = decodeDataList(answer);
      for (const one of data) {
        if (last !== undefined && comparePositions(one, last) <= 0) {
          throw malformed('is out of order');
        }
        if (one.dataId !== (dataId ?? one.dataId)) throw malformed('has other data in it');
        if (all.length === dataCountMax) throw malformed(`has more than ${dataCountMax} versions`);
        last = one;
        all.push(one);
      }
      if (!more) return all;
    }
  } catch (thrown) {
    throw nodeError(link, thrown);
  }
}
