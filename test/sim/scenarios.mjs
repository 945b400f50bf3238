import { SimulatedNet } from './simulated-net.mjs';

/** Runs of the simulated net, each from one seed, that answer with figures. `options` are those of SimulatedNet. */

/** Milliseconds until all other nodes know: of `rounds` joins, and of as many crashes. A silent crash takes the host along. */
export function measureAgreement({ nodeCount, rounds, ...options }) {
  const net = new SimulatedNet(options);
  net.startMany(nodeCount);
  const figures = { joinMs: [], crashMs: [], silentCrashMs: [] };
  for (let round = 0; round < rounds; round++) {
    for (const withHost of [false, true]) {
      const nodeId = `guest-${round}-${withHost}`;
      const seed = net.random.pick(net.running());
      let guest;
      figures.joinMs.push(
        until(net, 'join', nodeId, () => {
          guest = net.start(nodeId, { seed });
        }),
      );
      settle(net);
      const list = withHost ? figures.silentCrashMs : figures.crashMs;
      list.push(until(net, 'fail', nodeId, () => net.crash(guest, { withHost })));
      settle(net);
    }
  }
  net.expectNoFalseDeath();
  return { net, ...figures };
}

/** Nothing happens for `virtualMs` but the losses of the network. */
export function measureQuiet({ nodeCount, virtualMs, ...options }) {
  const net = new SimulatedNet(options);
  // The news of 500 that joined at once takes 25 s to die down.
  net.startMany(nodeCount, 40_000);
  const refutationsBefore = sumOf(net, ({ counts }) => counts.refutations);
  const before = net.traffic();
  net.time.run(net.time.nowMs + virtualMs);
  const after = net.traffic();
  const perNodeSecond = nodeCount * (virtualMs / 1_000);
  return {
    net,
    falseDeaths: net.falseDeaths.length,
    refutations: sumOf(net, ({ counts }) => counts.refutations) - refutationsBefore,
    datagramsPerNodeSecond: (after.datagrams - before.datagrams) / perNodeSecond,
    bytesPerNodeSecond: (after.bytes - before.bytes) / perNodeSecond,
  };
}

/** A share of the nodes stalls again and again, each time for up to `stallMsMax`, and runs `restMeanMs` between. */
export function measureStalls({
  nodeCount,
  virtualMs,
  stallShare = 0.1,
  stallMsMax = 5_000,
  restMeanMs = 3_000,
  ...options
}) {
  const net = new SimulatedNet(options);
  net.startMany(nodeCount);
  const untilMs = net.time.nowMs + virtualMs;
  const stallers = net.running().slice(0, Math.round(nodeCount * stallShare));
  for (const node of stallers) {
    const next = () => {
      if (net.time.nowMs > untilMs) return;
      const stallMs = net.random.between(0, stallMsMax);
      net.stall(node, stallMs);
      net.time.after(stallMs + net.random.exponential(restMeanMs), next);
    };
    net.time.after(net.random.between(0, restMeanMs), next);
  }
  net.time.run(untilMs);
  const ofStalled = net.falseDeaths.filter(({ wasStalled }) => wasStalled).length;
  return {
    net,
    falseDeaths: net.falseDeaths.length,
    ofStalled,
    ofHealthy: net.falseDeaths.length - ofStalled,
    /** Deaths, however many nodes believed in each. */
    deaths: deathsOf(net.falseDeaths),
  };
}

/** Four times the shortest of 6 s, a stall of the observer, and the time to notice. */
const suspicionMsMax = 32_000;
/** The longest suspicion, and the way of the news. */
const agreementMsMax = 60_000;
/** Two probes and two answers a second, and the helpers of those that were lost. */
const quietDatagramsMax = 10;

/**
 * Everything that can happen to a few nodes, as the seed has it; then peace, in which all must come to agree. It is there to find
 * mistakes: `net.violations` is empty, or says what went wrong.
 */
export function runChaos({ nodeCount, disturbanceCount = 10, parameters = {}, ...options }) {
  const network = { loss: 0.05, doubling: 0.05, delayMeanMs: 5 };
  const net = new SimulatedNet({ ...options, network, parameters });
  net.startMany(nodeCount, 5_000);
  // Only without a split is every death of a running node a false one.
  const maySplit = net.random.next() < 0.5;
  for (let i = 0; i < disturbanceCount; i++) {
    net.time.run(net.time.nowMs + net.random.between(0, 8_000));
    net.checkSuspicions(suspicionMsMax);
    disturb(net, maySplit);
  }
  net.heal();
  net.expectAgreement(agreementMsMax, 'the last disturbance');
  net.checkSuspicions(suspicionMsMax);
  if (!maySplit) net.expectNoFalseDeath();
  expectQuiet(net);
  return net;
}

function disturb(net, maySplit) {
  const kinds = [
    'crash',
    'silentCrash',
    'stall',
    'stall',
    'restart',
    'restart',
    'leave',
    'update',
    'takeOver',
  ];
  if (maySplit) kinds.push('split', 'split', 'heal');
  const kind = net.random.pick(kinds);
  const running = net.running();
  const node = net.random.pick(running);
  switch (kind) {
    case 'crash':
    case 'silentCrash':
      if (running.length > 2) net.crash(node, { withHost: kind === 'silentCrash' });
      break;
    case 'takeOver':
      // Somebody new gets the address of one that has vanished, before anybody has noticed.
      if (running.length > 2) {
        net.crash(node, { withHost: true });
        const nodeId = `late-${Math.floor(net.time.nowMs)}`;
        net.start(nodeId, { seed: net.random.pick(net.running()), address: node.address });
      }
      break;
    case 'leave':
      if (running.length > 2) net.leave(node);
      break;
    case 'stall':
      // Time to hear what was said meanwhile, before it stands still again.
      if (net.time.nowMs > node.stalledUntilMs + 4_000)
        net.stall(node, net.random.between(0, 5_000));
      break;
    case 'update':
      if (!net.isStalled(node)) net.update(node);
      break;
    case 'restart':
      restart(net, running);
      break;
    case 'split':
      net.split(() => (net.random.next() < 0.5 ? 0 : 1));
      break;
    case 'heal':
      net.heal();
      break;
  }
}

/** One that is down comes back, at its old address, at a new one, or at that of somebody else who is down. */
function restart(net, running) {
  const down = [...net.nodes.values()].filter(({ isRunning }) => !isRunning);
  if (down.length === 0 || running.length === 0) return;
  const { nodeId, address } = net.random.pick(down);
  const choice = net.random.next();
  const seed = net.random.pick(running);
  if (choice < 0.4) net.start(nodeId, { seed, address });
  else if (choice < 0.6) net.start(nodeId, { seed, address: net.random.pick(down).address });
  else net.start(nodeId, { seed });
}

/** After the news has died down, nodes send their probes and nothing else. */
function expectQuiet(net) {
  net.time.run(net.time.nowMs + 10_000);
  const before = net.traffic();
  const nodeCount = net.running().length;
  net.time.run(net.time.nowMs + 20_000);
  const datagrams = (net.traffic().datagrams - before.datagrams) / nodeCount / 20;
  net.expect(
    datagrams < quietDatagramsMax,
    `a node of a quiet net sends ${datagrams.toFixed(1)} datagrams a second`,
  );
  net.expect(net.disagreement() === undefined, `peace did not last: ${net.disagreement()}`);
}

/** Virtual time from `start` until all others have reported `kind` about `nodeId`; Infinity after two minutes. */
function until(net, kind, nodeId, start) {
  const startMs = net.time.nowMs;
  let doneMs = Infinity;
  start();
  net.watch(kind, nodeId, (nowMs) => {
    doneMs = nowMs;
  });
  net.time.run(startMs + 120_000, () => doneMs < Infinity);
  return doneMs - startMs;
}

/** Lets the news die down; by a fraction of a probe interval that is drawn, so that rounds do not fall in step. */
function settle(net) {
  net.time.run(net.time.nowMs + 3_000 + net.random.between(0, 1_000));
}

function sumOf(net, figureOf) {
  return net.running().reduce((sum, { swim }) => sum + figureOf(swim), 0);
}

/** Reports about one member within a minute are one death. */
function deathsOf(reports) {
  const lastMs = new Map();
  let count = 0;
  for (const { nodeId, atMs } of reports) {
    if (atMs - (lastMs.get(nodeId) ?? -Infinity) > 60_000) count++;
    lastMs.set(nodeId, atMs);
  }
  return count;
}
