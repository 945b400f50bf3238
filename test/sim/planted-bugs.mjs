/**
 * Mistakes that somebody could make in the shipped code, each as a replacement in one place of the built code: `file` is below dist, or a
 * folder there, with a slash at its end. A simulation that does not find them would not find others either.
 */
export const membershipBugs = [
  {
    name: 'the incarnation is not compared',
    file: 'cluster/membership/precedence.js',
    from: 'return a.incarnation - b.incarnation || a.instanceId - b.instanceId;',
    to: 'return a.instanceId - b.instanceId;',
  },
  {
    name: 'a suspicion never expires',
    file: 'cluster/membership/suspicion.js',
    from: 'return this.#startMs + this.#lengthMs();',
    to: 'return Infinity;',
  },
  {
    name: 'an accusation is not denied',
    file: 'cluster/membership/swim.js',
    from: 'this.#raise(rumour.incarnation);',
    to: '',
  },
  {
    name: 'a rumour is passed on for ever',
    file: 'cluster/membership/dissemination.js',
    from: 'if (sends + 1 < limit)',
    to: 'if (limit > 0)',
  },
  {
    name: 'a node that was restarted does not go above its predecessor',
    file: 'cluster/membership/swim.js',
    from: 'this.#raise(Math.max(claim.incarnation, this.#self.incarnation));',
    to: '',
  },
  {
    name: 'a ping is answered whoever it was meant for',
    file: 'cluster/membership/swim.js',
    from: 'if (message.targetId !== this.#self.nodeId)',
    to: "if (message.targetId === '')",
  },
  {
    name: 'the buried are never looked up beyond a split',
    file: 'cluster/membership/swim.js',
    from: 'this.#exchanges.push(dead);',
    to: ';',
  },
];

export const clusterBugs = [
  {
    name: 'a shard is confirmed before it is stored',
    file: 'cluster/transfer/serve-shards.js',
    from: 'await reservation.commit(',
    to: 'void reservation.commit(',
  },
  {
    name: 'the window of shards is off by one',
    file: 'cluster/transfer/byte-window.js',
    from: 'this.#count < this.#countMax',
    to: 'this.#count <= this.#countMax',
  },
  {
    name: 'the window of bytes is not looked at for those who wait',
    file: 'cluster/transfer/byte-window.js',
    from: 'next !== undefined && this.#fits(next.bytes)',
    to: 'next !== undefined && this.#count < this.#countMax',
  },
  {
    name: 'room is kept in the window of a link that is gone',
    file: 'cluster/transfer/distribute.js',
    from: 'while (!berth.hasRoom)',
    to: 'while (false)',
  },
  {
    name: 'room is not given back for a copy that failed',
    file: 'cluster/transfer/distribute.js',
    from: 'keeps more from being read.\n            berth.release();',
    to: '',
  },
  {
    name: 'the room of shards that have come in is not given back',
    file: 'cluster/transfer/serve-shards.js',
    from: 'incoming.release(shardBytes);',
    to: '',
  },
  {
    name: 'a replica is counted twice',
    file: 'cluster/transfer/shard-map.js',
    from: 'if (holders.includes(nodeId))',
    to: 'if (false)',
  },
  {
    name: 'a shard that is sent again is not checked for being a duplicate',
    file: 'store/shard-index.js',
    from: 'const replaced = version.shards.get(index);',
    to: 'const replaced = undefined;',
  },
  {
    name: 'a node that comes back is believed to have what it had',
    file: 'api/shard-keeper.js',
    from: 'shards.retain(link.nodeId, ({ index, crc32c }) => sums.get(index) === crc32c);',
    to: '',
  },
  {
    name: 'a transfer that fails drops what was there before',
    file: 'api/',
    from: 'return same !== undefined && isSameShard(shard, same);',
    to: 'return false;',
  },
  {
    name: 'a transfer does not look at its end what is still there',
    file: 'api/',
    from: 'await this.#settle(',
    to: 'void (',
  },
  {
    name: 'a drop does not find what is on its way to the disk',
    file: 'store/durable-store.js',
    from: '[...this.#index.within(task.range), ...coming.within(task.range)]',
    to: 'this.#index.within(task.range)',
  },
  {
    name: 'what was read from a disk is not checked',
    file: 'store/durable-store.js',
    from: ' && this.#crc32c(view) === meta.crc32c',
    to: '',
  },
  {
    name: 'a list of shards ends with its first page',
    file: 'cluster/transfer/list-shards.js',
    from: 'if (!more)',
    to: 'if (true)',
  },
  {
    name: 'a repair copies to nodes that have the shard',
    file: './',
    from: '.filter((nodeId) => !holders.includes(nodeId))',
    to: '',
  },
  {
    name: 'after an attempt to reach a node that failed there is no other',
    file: 'api/transport/redial.js',
    from: 'this.#next(toError(thrown));',
    to: '',
  },
  {
    name: 'a silent connection is not given up',
    file: 'session/heartbeat.js',
    from: 'return link.onSilent();',
    to: '{}',
  },
  {
    name: 'credit is returned twice',
    file: 'session/credit.js',
    from: 'this.#sharedBytes += before - this.#ofShared(grantee);',
    to: 'this.#sharedBytes += 2 * (before - this.#ofShared(grantee));',
  },
  {
    name: 'the credit of a stream that ended early is kept',
    file: 'session/credit.js',
    from: 'this.giveBack(grantee, grantee.outstandingBytes);',
    to: '',
  },
  {
    name: 'a sender does not count its credit down',
    file: 'session/stream-writer.js',
    from: 'this.#creditBytes -= end - start;',
    to: '',
  },
  {
    name: 'a task that is done again counts twice',
    file: 'processing/schedule.js',
    from: 'if (!item.isDone && item.underWay.length === 0)',
    to: 'if (!item.again && (item.again = true)) this.#give(item);\n            if (!item.isDone && item.underWay.length === 0)',
  },
  {
    name: 'the tasks of a node that died are not given to others',
    file: 'processing/schedule.js',
    from: 'this.#leave(lane, items, thrown);',
    to: 'lane.isLost = true;\n            return;',
  },
  {
    name: 'of a request that failed for one shard, the others are forgotten',
    file: 'processing/schedule.js',
    from: 'this.retries += failed.length;\n        }\n        this.#giveAgain(items);',
    to: 'this.retries += failed.length;\n        }\n        this.#giveAgain(failed);',
  },
  {
    name: 'a backup copy counts beside the first',
    file: 'processing/schedule.js',
    from: 'for (const other of [...item.underWay])',
    to: 'for (const other of [])',
  },
  {
    name: 'a shard whose handler failed is forgotten',
    file: 'processing/schedule.js',
    from: 'item.failures.push(error);',
    to: 'item.failures.push(error);\n            item.isDone = true;',
  },
  {
    name: 'a turn of a job is not given back',
    file: 'processing/job-limits.js',
    from: 'job.window.release(0);',
    to: '',
  },
  {
    name: 'merged parts are kept beside what they were merged into',
    file: 'processing/node-processing.js',
    from: 'this.mergeParts(this.#parts.splice(0))',
    to: 'this.mergeParts(this.#parts.slice())',
  },
  {
    name: 'the maps of a node that died are not done again',
    file: 'processing/map-reduce/map-phase.js',
    from: 'this.#plan(again.flatMap(({ shards }) => shards));',
    to: '',
  },
  {
    name: 'the output of two attempts at a map counts',
    file: 'processing/map-reduce/node-job.js',
    from: 'if (!counted.has(taskId))',
    to: 'if (false)',
    also: [
      {
        file: 'processing/map-reduce/node-job.js',
        from: 'if (this.#outputs.size === counted.size)',
        to: 'if (true)',
      },
    ],
  },
  {
    name: 'a partition whose reducer died is not reduced again',
    file: 'processing/map-reduce/reduce-phase.js',
    from: 'this.#left.push(partition);',
    to: '',
  },
];

/** Of several clients with one shard map. */
export const mapBugs = [
  {
    name: 'a stale shard map is accepted',
    file: 'cluster/transfer/map-fences.js',
    from: 'if (mapVersion < seen)',
    to: 'if (false)',
  },
  {
    name: 'copies are dropped though somebody else has changed the map',
    file: 'api/shard-maps.js',
    from: 'await this.verify(holding, operation);\n        return false;',
    to: 'return true;',
  },
];

export const quorumBugs = [
  {
    name: 'an acceptor answers before its disk has kept it, and forgets with its process',
    file: 'coordination/quorum/acceptor.js',
    from: 'await this.#disk.write(encodeMemory(memory));',
    to: 'this.#disk.write(encodeMemory(memory)).catch(() => {});',
  },
  {
    name: 'one member is a majority',
    file: 'coordination/quorum/members.js',
    from: 'Math.floor(list.length / 2) + 1',
    to: '1',
  },
  {
    name: 'half of the members are a majority',
    file: 'coordination/quorum/members.js',
    from: 'Math.floor(list.length / 2) + 1',
    to: 'Math.floor(list.length / 2)',
  },
  {
    name: 'a promise is not checked',
    file: 'coordination/quorum/acceptor.js',
    from: 'if (compareBallots(ballot, promised) < 0)',
    to: 'if (false)',
  },
  {
    name: 'a promise is not kept',
    file: 'coordination/quorum/acceptor.js',
    from: 'group: question.group, promised: ballot }',
    to: 'group: question.group }',
  },
  {
    name: 'the next ballot is used and was promised by nobody',
    file: 'coordination/quorum/acceptor.js',
    from: 'promised: compareBallots(next, ballot) > 0 ? next : ballot,',
    to: 'promised: ballot,',
  },
  {
    name: 'of what others have accepted the first is taken, not the latest',
    file: 'coordination/quorum/register.js',
    from: 'states.sort((one, other) => compareBallots(other.accepted, one.accepted))',
    to: 'states',
  },
  {
    name: 'what others have accepted is left behind',
    file: 'coordination/quorum/register.js',
    from: 'value.byteLength === 0\n',
    to: 'true\n',
  },
  {
    name: 'two proposers may have one ballot',
    file: 'coordination/quorum/ballot.js',
    from: ' || one.proposer - other.proposer',
    to: '',
    also: [
      {
        file: 'coordination/quorum/register.js',
        from: 'proposer: this.#options.proposer }',
        to: 'proposer: 1 }',
      },
    ],
  },
  {
    name: 'a look asks nobody',
    file: 'coordination/quorum/register.js',
    from: 'const ballot = known?.accepted ?? noBallot;',
    to: 'if (known !== undefined) return known.table; const ballot = noBallot;',
  },
  {
    name: 'a look believes the first who answers',
    file: 'coordination/quorum/register.js',
    from: 'accepted)).length >=\n        majorityOf(members)',
    to: 'accepted)).length >= 1',
  },
  {
    name: 'a disk that was wiped votes as if it remembered',
    file: 'coordination/quorum/acceptor.js',
    from: 'if (acceptorId !== own.acceptorId)',
    to: 'if (false)',
  },
  {
    name: 'a change that too few have confirmed is made again',
    file: 'coordination/quorum/register.js',
    from: 'if (await this.#wasMade(known.next))',
    to: 'if (false)',
  },
  {
    name: 'a change that too few have confirmed is taken for made',
    file: 'coordination/quorum/register.js',
    from: 'if (await this.#wasMade(known.next))',
    to: 'if (true)',
  },
  {
    name: 'what was refused is told without a look whether it is still so',
    file: 'coordination/quorum/register.js',
    from: 'else if ((await this.#look()) === known.table)',
    to: 'else if (true)',
  },
  {
    name: 'calls that share a round are all answered with the moment behind the last of them',
    file: 'coordination/quorum/quorum-coordinator.js',
    from: 'wish.settle(outcome);',
    to: 'wish.settle(table);',
  },
  {
    name: 'a new member votes before it has what its epoch begins with',
    file: 'coordination/quorum/acceptor.js',
    from: 'if (ballot.epoch > accepted.epoch)',
    to: 'if (false)',
  },
  {
    name: 'new members vote before they were agreed on',
    file: 'coordination/quorum/register.js',
    from: "if (majority(members, 'accepted')(answers)) {",
    to: "if (!isStaying || majority(members, 'accepted')(answers)) {",
  },
  {
    name: 'the members before go on when others were agreed on',
    file: 'coordination/quorum/register.js',
    from: 'const isStaying = table.members.epoch === members.epoch;',
    to: 'const isStaying = true;',
  },
  {
    name: 'what is under another epoch is proposed in the order of rounds alone',
    file: 'coordination/quorum/ballot.js',
    from: 'return one.epoch - other.epoch || one.round',
    to: 'return one.round',
  },
  {
    name: 'what the new members have agreed on is taken for the last word of those before',
    file: 'coordination/quorum/register.js',
    from: "one.kind === 'state' && one.accepted.epoch === members.epoch);",
    to: "one.kind === 'state');",
  },
];
