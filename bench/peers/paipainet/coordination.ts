/** The case `coordination` on three nodes: a quorum, or one that coordinates and two others. */
import { coordinating } from '../../support/coordination.js';
import { startNodeProgram } from '../../support/node-programs.js';
import { play } from '../../support/program.js';
import { serverFolder } from '../../support/programs.js';

const ids = ['a', 'b', 'c'] as const;

await play(
  coordinating(async ({ backend }) => {
    const isQuorum = backend === 'quorum';
    const folder = serverFolder();
    const role = isQuorum ? ['--quorum', ids.join()] : [];
    const first = await startNodeProgram(folder, ids[0], isQuorum ? role : ['--coordinator']);
    const options = [...role, '--join', first.address];
    const others = ids.slice(1).map((id) => startNodeProgram(folder, id, options));
    const nodes = [first, ...(await Promise.all(others))];
    return {
      netOptions: {
        join: nodes.map(({ address }) => address),
        coordination: isQuorum ? { quorum: ids } : 'local',
      },
      members: nodes.map(({ child }) => child),
    };
  }),
);
