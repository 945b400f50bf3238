/** The case `process` on embedded nodes, whose shards are dropped as soon as they are processed: the table is used once. */
import { Data, Net, Node } from 'paipainet';
import { processing } from '../../support/processing.js';
import { play } from '../../support/program.js';
import { pieceBytesOf } from '../../support/table.js';
import type { Groups } from '../../support/table-job.js';

await play(
  processing(async (tableBytes, settings) => {
    const runAs = settings['run-as'] === 'thread' ? 'thread' : 'process';
    const net = new Net({ runAs, handlers: new URL('./process-handlers.js', import.meta.url) });
    const nodes = Array.from({ length: Number(settings.nodes) }, (_, index) => new Node(index + 1));
    for (const node of nodes) net.addNode(node);
    await net.start();
    const shardBytes = pieceBytesOf(tableBytes);
    let count = 0;
    return {
      pids: runAs === 'process' ? nodes.map(({ pid }) => pid ?? 0) : [],
      async process(table) {
        const data = new Data(++count, table, { records: 'csv', shardBytes });
        net.addData(data);
        const { value } = await net.process(data, 'countAndSumRows', { keep: false });
        return value as Groups;
      },
      close: () => net.close(),
    };
  }),
);
