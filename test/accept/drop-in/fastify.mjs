// fastify under wrk, every body checked. Its server is one of node:http, which takes sockets by the event `connection`.

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fastify from 'fastify';
import { bytesOf, listenerFor, listening, see, servers, times } from './way.mjs';

const run = promisify(execFile);
const text = bytesOf(48 * 1024).toString('hex');

const app = fastify();
app.get('/hello', async () => ({ hello: 'world' }));
app.get('/text', async (_request, reply) => reply.type('text/plain').send(text));
app.post('/echo', async (request) => request.body);
await app.ready();
const listener = listenerFor(app.server);
const port = await listening(listener);

const body = JSON.stringify({ text });
for (const [path, method, expected] of [
  ['/hello', 'GET', '{"hello":"world"}'],
  ['/text', 'GET', text],
  ['/echo', 'POST', body],
]) {
  const script = join(servers.wrk.folder, 'check.lua');
  writeFileSync(
    script,
    `wrk.method = "${method}"
    ${method === 'POST' ? `wrk.body = [[${body}]]; wrk.headers["Content-Type"] = "application/json"` : ''}
    local expected, threads = [[${expected}]], {}
    wrong = 0
    function setup(thread) table.insert(threads, thread) end
    function response(status, _, body)
      if status ~= 200 or body ~= expected then wrong = wrong + 1 end
    end
    function done(summary)
      local failed = summary.errors
      io.write("\\n", summary.requests, " ", failed.connect + failed.read + failed.write + failed.timeout)
      for _, thread in ipairs(threads) do io.write(" ", thread:get("wrong")) end
    end`,
  );
  // Who waits for longer stands still; a busy machine is not meant.
  const patience = ['--timeout', '4s'];
  const args = ['-t', '1', '-c', '16', '-d', `${times}s`, ...patience, '-s', script];
  const { stdout } = await run(servers.wrk.program, [...args, `http://127.0.0.1:${port}${path}`]);
  const [requests, failed, wrong] = stdout.trim().split('\n').at(-1).split(' ').map(Number);
  see(path, { enough: requests > 100, failed, wrong });
}
listener.close();
app.server.closeAllConnections();
