import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { placementStrategies } from '../../../dist/cluster/placement/placement.js';
import { Data, Net, Node } from '../../../dist/index.js';
import { pattern, temporaryFolder } from '../data/support.js';

const folder = await temporaryFolder();

test.each(placementStrategies)(
  '%s: shards of a file go where the plan says, asked before or afterwards',
  async (placement) => {
    const path = join(folder, placement);
    await writeFile(path, pattern(10_000));
    await using net = new Net({ runAs: 'inline', placement });
    for (const id of [1, 2, 3]) net.addNode(new Node(id));
    await net.start();
    const planned = Data.fromFile(1, path, { shardBytes: 100 });
    net.addData(planned);
    const plan = await net.plan(planned);
    const report = await net.transfer(planned);
    const bytesOf = (nodes: readonly { nodeId: string; bytes: number }[]) =>
      Object.fromEntries(nodes.map(({ nodeId, bytes }) => [nodeId, bytes]));
    expect(bytesOf(report.perNode)).toEqual(bytesOf(plan.perNode));
    for (const { weight } of plan.perNode) expect(weight).toBeLessThan(1);

    // The length of a file is not known until somebody looks; a transfer must look before it places the first shard.
    await using other = new Net({ runAs: 'inline', placement });
    for (const id of [1, 2, 3]) other.addNode(new Node(id));
    await other.start();
    const unseen = Data.fromFile(1, path, { shardBytes: 100 });
    other.addData(unseen);
    const unseenReport = await other.transfer(unseen);
    expect(bytesOf(unseenReport.perNode)).toEqual(bytesOf(plan.perNode));
  },
);
