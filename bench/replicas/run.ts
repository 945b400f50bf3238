/**
 * Who should send the copies of a shard: the client all of them, or the nodes to each other? docs/decisions/star.md has what came of it.
 * All ways in turn, round by round, with fresh nodes for each network and round.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { percentiles } from '../support/latencies.js';
import { machineFacts } from '../support/machine.js';
import { markdownTable } from '../support/markdown.js';
import { spreadOf } from '../support/summary.js';
import { Client, type Figures, type Task, ways } from './client.js';
import { type Start, serve } from './node.js';
import { makeUplink, type Uplink } from './uplink.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    /** How long each figure is measured. */
    seconds: { type: 'string', default: '0.6' },
    /** Bytes; powers of two. */
    shards: { type: 'string', default: '65536,1048576,4194304' },
    /** Loopback, shared memory, or an uplink of the client of so many Mbit/s. */
    networks: { type: 'string', default: 'tcp,shm,1000,10000' },
    /** A file for the table as JSON, with the facts of the machine. */
    out: { type: 'string' },
  },
  allowPositionals: true,
});

interface Row extends Task {
  readonly network: string;
  readonly rounds: Figures[];
}

function rowsOf(network: string): Row[] {
  const sizes = values.shards.split(',').map(Number);
  return sizes.flatMap((shardBytes) =>
    [2, 3].flatMap((copies) =>
      ways.map((way): Row => ({ network, shardBytes, copies, way, rounds: [] })),
    ),
  );
}

function isUplink(network: string): boolean {
  return !Number.isNaN(Number(network));
}

function startClient(network: string, uplink: Uplink | null): Promise<Client> {
  if (uplink === null || !isUplink(network))
    return Client.start(network === 'shm' ? 'auto' : 'tcp');
  uplink.setRate(Number(network));
  return Client.start('tcp', uplink);
}

/** Below a hundred the hundredth part says nothing. */
const samplesLeast = 100;

/** Medians of the rounds, of throughput with the least and the most; latencies of all rounds together. */
function cellsOf({ network, shardBytes, copies, way, rounds }: Row): Record<string, string> {
  const spread = (digits: number, of: (figures: Figures) => number): [string, string] => {
    const { median, min, max } = spreadOf(rounds.map(of));
    return [median.toFixed(digits), `${min.toFixed(digits)}–${max.toFixed(digits)}`];
  };
  const alone = Float64Array.from(rounds.flatMap(({ latenciesMs }) => latenciesMs));
  const { p50Microseconds, p99Microseconds } = percentiles(alone);
  return {
    network,
    KiB: `${shardBytes / 2 ** 10}`,
    copies: `${copies}`,
    way,
    'MB/s': spread(0, (each) => each.bytesPerSecond / 1e6)
      .join(' (')
      .concat(')'),
    'p50 ms': (p50Microseconds / 1e3).toFixed(2),
    'p99 ms': alone.length < samplesLeast ? '–' : (p99Microseconds / 1e3).toFixed(2),
    'client CPU s/GB': spread(2, (each) => each.clientCpu * 1e9)[0],
    'nodes CPU s/GB': spread(2, (each) => each.nodesCpu * 1e9)[0],
    'left client': spread(2, (each) => each.leftClient)[0],
  };
}

async function main(): Promise<void> {
  const machine = machineFacts();
  const wanted = values.networks.split(',');
  const uplink = wanted.some(isUplink) ? makeUplink() : null;
  const networks = uplink === null ? wanted.filter((network) => !isUplink(network)) : wanted;
  if (networks.length < wanted.length) console.error('without uplinks: they need root, ip and tc');
  const tables = new Map(networks.map((network) => [network, rowsOf(network)]));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [network, rows] of tables) {
      const client = await startClient(network, uplink);
      // The three ways of a task follow each other; each round begins with another one.
      const turn = round % ways.length;
      for (const row of [...rows.slice(turn), ...rows.slice(0, turn)])
        row.rounds.push(await client.measure(row, Number(values.seconds)));
      await client.close();
    }
    console.error(`round ${round + 1} of ${values.rounds}`);
  }
  const results = [...tables.values()].flat().map(cellsOf);
  const lines = results.map((cells) => Object.values(cells));
  console.log(markdownTable([Object.keys(results[0] ?? {}), ...lines]));
  if (values.out !== undefined)
    writeFileSync(values.out, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}

const [role, start] = process.argv.slice(2);
if (role === 'node') await serve(JSON.parse(start ?? '') as Start);
else await main();
