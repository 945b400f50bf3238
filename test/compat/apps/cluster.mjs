// Workers that share a port, told by their primary what to do: MODULE POLICY STEPS, where steps are a JSON list of
// { do, worker, how }. Prints what each of them and each client heard, in order.

import cluster from 'node:cluster';
import { once } from 'node:events';

const [, , module, policy, steps] = process.argv;
const { default: net } = await import(module);
const workerCount = 2;

/** Its errors are heard elsewhere. */
const closed = (socket) => new Promise((resolve) => socket.once('close', resolve));

const textOf = ({ code, message, syscall, address }) =>
  [code, message.replace(/:\d+$/, ':PORT'), syscall, address].join(' | ');

async function primary() {
  cluster.schedulingPolicy = policy === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  const log = [];
  const workers = [];
  for (let i = 0; i < workerCount; i++) {
    const worker = cluster.fork();
    worker.on('listening', ({ addressType }) => log.push(`${i} is listening: ${addressType}`));
    await once(worker, 'message');
    workers.push(worker);
  }
  const ports = new Map();
  const connect = async (port) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
    socket.on('error', ({ code }) => {
      text += code;
    });
    socket.end('question');
    await closed(socket);
    return text;
  };
  for (const { do: what, worker: i, how } of JSON.parse(steps)) {
    const worker = workers[i];
    if (what === 'connect') {
      const port = ports.get(how) ?? ports.get('shared');
      if (port === undefined) continue;
      const answers = [];
      for (let count = 0; count < 2; count++) answers.push(await connect(port));
      // Who answers is for the kernel to say, or for whose turn it is after others have gone.
      log.push(`clients of ${how}: ${answers.map((each) => each.replace(/\d/, 'N'))}`);
    } else if (!worker.isConnected()) {
      log.push(`${i} is gone`);
    } else if (what === 'disconnect') {
      worker.disconnect();
      await once(worker, 'exit');
      log.push(`${i} disconnected`);
    } else if (what === 'kill') {
      worker.process.kill('SIGKILL');
      const [code, signal] = await once(worker, 'exit');
      log.push(`${i} ends with ${code} ${signal}`);
    } else {
      worker.send({ what, how });
      const [{ heard, port }] = await once(worker, 'message');
      if (port !== undefined) ports.set(how, port);
      log.push(`${i} ${what} ${how}: ${heard}`);
    }
  }
  for (const worker of workers) {
    if (!worker.isConnected()) continue;
    worker.disconnect();
    await once(worker, 'exit');
  }
  console.log(JSON.stringify(log));
}

function secondary() {
  const servers = new Map();
  const answer = (heard, port) => process.send({ heard, port });
  const act = {
    async listen(how) {
      const server = servers.get(how) ?? net.createServer({ allowHalfOpen: true });
      if (!servers.has(how)) {
        servers.set(how, server);
        server.on('connection', (socket) => {
          let text = '';
          socket.setEncoding('utf8').on('data', (data) => {
            text += data;
          });
          socket.on('error', () => {});
          socket.on('end', () => socket.end(`${cluster.worker.id} heard ${text}`));
        });
        server.on('error', () => {});
      }
      const options = {
        shared: { port: 0, host: '127.0.0.1' },
        exclusive: { port: 0, host: '127.0.0.1', exclusive: true },
        nowhere: { port: 0, host: '198.51.100.7' },
        any: { port: 0 },
      }[how];
      const outcome = await new Promise((resolve) => {
        server.once('listening', () => resolve('listening'));
        server.once('error', (error) => resolve(textOf(error)));
        server.listen(options);
      });
      answer(outcome, server.address()?.port);
    },
    closeAtOnce(how) {
      // Before the primary answers.
      const server = net.createServer();
      server.on('listening', () => {});
      server.on('error', () => {});
      server.listen({ port: 0, host: '127.0.0.1', exclusive: how === 'exclusive' });
      server.close((error) => answer(error ? textOf(error) : 'closed'));
    },
    close(how) {
      const server = servers.get(how);
      if (server === undefined) answer('none');
      else {
        servers.delete(how);
        server.close((error) => answer(error ? textOf(error) : 'closed'));
      }
    },
    key(how) {
      answer(String(servers.get(how)?._connectionKey).replace(/:\d+$/, ':PORT'));
    },
    async unreferenced(how) {
      const server = servers.get(how);
      server?.unref();
      server?.ref();
      answer(server?.listening);
    },
    count(how) {
      const server = servers.get(how);
      if (server === undefined) answer('none');
      else server.getConnections((error, count) => answer(error ? textOf(error) : count));
    },
  };
  process.on('message', async ({ what, how }) => {
    try {
      await act[what](how);
    } catch (error) {
      answer(textOf(error));
    }
  });
  // Ports of its own would keep it.
  process.on('disconnect', () => process.exit());
  process.send('ready');
}

if (cluster.isPrimary) await primary();
else secondary();
