/** The case `http`: node:http says hello, or what it is told to, to wrk. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http, { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectOptions, listenOn } from '../../support/addresses.js';
import { play, setting, warmUpSeconds } from '../../support/program.js';
import { programPath, serverFolder } from '../../support/programs.js';
import type { Facts } from '../../support/types.js';

const run = promisify(execFile);

/** Told of nothing but the end: a function called for each answer would cost wrk more than the answer. */
const script = `function done(summary, latency)
  local failed = summary.errors
  local errors = failed.connect + failed.read + failed.write + failed.timeout + failed.status
  local percentiles = string.format('"p50Microseconds":%d,"p99Microseconds":%d',
    latency:percentile(50), latency:percentile(99))
  print(string.format('{"count":%d,"bytes":%d,"loadMicroseconds":%d,"errors":%d,%s}',
    summary.requests, summary.bytes, summary.duration, errors, percentiles))
end
`;

/** The bytes of one answer, headers included, and its body. */
async function answerOf(address: string): Promise<{ bytes: number; body: string }> {
  const request = http.get({
    ...connectOptions(address),
    agent: new http.Agent({ keepAlive: true }),
  });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  // The agent takes it back at the end.
  const { socket } = response;
  const body = Buffer.concat(await response.toArray()).toString();
  const bytes = socket.bytesRead;
  socket.destroy();
  return { bytes, body };
}

await play({
  async server({ path, ...settings }) {
    if (path === 'unix') throw new Error('wrk has no Unix sockets');
    const body = Buffer.alloc(setting(settings, 'body-bytes', 12), 'hello world\n');
    const server = createServer((_request, response) => {
      response.setHeader('Content-Length', body.length);
      response.end(body);
    });
    return {
      address: await listenOn(server, path, ''),
      verify: () => ({ body: body.toString() }),
      close() {
        server.closeAllConnections();
        server.close();
      },
    };
  },

  async client(settings, address) {
    const file = join(serverFolder(), 'script.lua');
    writeFileSync(file, script);
    const { port } = connectOptions(address) as { port: number };
    const answer = await answerOf(address);
    const ask = async (seconds: number): Promise<Facts> => {
      const load = ['-t', '1', '-c', settings.connections ?? '64', '-d', `${seconds}s`];
      const url = `http://127.0.0.1:${port}/`;
      const { stdout } = await run(programPath('wrk'), [...load, '-s', file, url]);
      return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Facts;
    };
    // wrk counts in whole seconds.
    await ask(Math.ceil(warmUpSeconds));
    return {
      run: () => ask(Math.ceil(setting(settings, 'seconds', 2))),
      verify: async () => ({
        answerBytes: answer.bytes,
        answerBody: (await answerOf(address)).body,
      }),
      close: () => {},
    };
  },
});
