// Servers for one check each: on loopback, in a folder of their own, with a port and a Unix socket that nobody else has, ended by whoever
// started them. They run as an ordinary user where root starts them: PostgreSQL refuses root.

import { chmodSync, chownSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mustRun, startProgram } from '../support.mjs';

const isRoot = process.getuid() === 0;
/** The user and group `nobody` of Linux. */
const ordinaryId = 65534;
const pem = fileURLToPath(new URL('../../compat/apps/localhost.pem', import.meta.url));

function asOrdinaryUser(file, args) {
  if (!isRoot) return [file, args];
  const identity = [`--reuid=${ordinaryId}`, `--regid=${ordinaryId}`, '--clear-groups'];
  return ['setpriv', [...identity, file, ...args]];
}

function own(path) {
  if (isRoot) chownSync(path, ordinaryId, ordinaryId);
}

/** Key and certificate where the server may read them, and nobody else. */
function identityIn(folder) {
  const copy = join(folder, 'identity.pem');
  copyFileSync(pem, copy);
  chmodSync(copy, 0o600);
  own(copy);
  return copy;
}

/** A port that nobody listens on. */
function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** A program that is installed; Debian keeps some outside of the path. */
async function programOf(name, debianPackage) {
  const folders = [
    ...process.env.PATH.split(':'),
    '/usr/sbin',
    ...foldersBelow('/usr/lib/postgresql').map((version) => join(version, 'bin')),
  ];
  const folder = folders.find((each) => namesIn(each).includes(name));
  if (folder !== undefined) return join(folder, name);
  throw new Error(`${name} is not installed; apt-get install ${debianPackage}`);
}

function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function foldersBelow(folder) {
  return namesIn(folder).map((name) => join(folder, name));
}

async function redis(folder) {
  const port = await freePort();
  const path = join(folder, 'redis.sock');
  const program = await programOf('redis-server', 'redis-server');
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--unixsocket', path];
  const inMemory = ['--save', '', '--appendonly', 'no', '--dir', folder];
  const end = await startProgram(...asOrdinaryUser(program, [...args, ...inMemory]), {
    ready: /Ready to accept connections/,
  });
  return { address: { port, path }, end };
}

async function postgres(folder) {
  const port = await freePort();
  const data = join(folder, 'data');
  const identity = identityIn(folder);
  const program = (name) => programOf(name, 'postgresql');
  const create = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'];
  await mustRun(...asOrdinaryUser(await program('initdb'), create), { cwd: folder });
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    fsync: 'off',
    ssl: 'on',
    ssl_cert_file: identity,
    ssl_key_file: identity,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const end = await startProgram(
    ...asOrdinaryUser(await program('postgres'), ['-D', data, ...args]),
    // At once, whoever is still connected.
    { ready: /database system is ready to accept connections/, signal: 'SIGINT', cwd: folder },
  );
  return { address: { host: '127.0.0.1', port, folder }, end };
}

async function mariadb(folder) {
  const port = await freePort();
  const path = join(folder, 'mariadb.sock');
  const data = `--datadir=${join(folder, 'data')}`;
  const program = (name) => programOf(name, 'mariadb-server-core mariadb-client-core');
  const create = ['--no-defaults', data, '--auth-root-authentication-method=normal'];
  await mustRun(...asOrdinaryUser(await program('mariadb-install-db'), create), { cwd: folder });
  const args = ['--no-defaults', data, `--port=${port}`, `--socket=${path}`];
  const more = ['--bind-address=127.0.0.1', '--max-allowed-packet=64M', '--skip-log-bin'];
  // What is written need not outlive the machine.
  const fast = ['--innodb-flush-log-at-trx-commit=0'];
  const identity = identityIn(folder);
  const secure = [`--ssl-cert=${identity}`, `--ssl-key=${identity}`];
  const end = await startProgram(
    ...asOrdinaryUser(await program('mariadbd'), [...args, ...more, ...fast, ...secure]),
    { ready: /ready for connections/, cwd: folder },
  );
  return { address: { host: '127.0.0.1', port, path }, end };
}

async function mosquitto(folder) {
  // With a limit on what is in flight, this version stops in the middle of many messages of quality 2.
  const port = await freePort();
  const path = join(folder, 'mosquitto.sock');
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(
    file,
    `allow_anonymous true\nmax_inflight_messages 0\nlistener ${port} 127.0.0.1\nlistener 0 ${path}\n`,
  );
  const program = await programOf('mosquitto', 'mosquitto');
  const end = await startProgram(...asOrdinaryUser(program, ['-c', file]), {
    ready: /mosquitto version \S+ running/,
  });
  return { address: { port, path }, end };
}

async function nginx(folder) {
  const [port, securePort, proxyPort] = [await freePort(), await freePort(), await freePort()];
  const path = join(folder, 'nginx.sock');
  const appPath = join(folder, 'app.sock');
  writeFileSync(join(folder, 'large'), Buffer.alloc(32 << 20, 'thirty-two mebibytes of a file; '));
  const file = join(folder, 'nginx.conf');
  const identity = identityIn(folder);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    file,
    `daemon off;
    master_process off;
    pid ${join(folder, 'nginx.pid')};
    error_log stderr notice;
    events {}
    http {
      ${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n')}
      access_log off;
      client_max_body_size 0;
      root ${folder};
      server {
        listen 127.0.0.1:${port};
        listen unix:${path};
        listen 127.0.0.1:${securePort} ssl;
        ssl_certificate ${identity};
        ssl_certificate_key ${identity};
        location = /hello { return 200 "hello"; }
        location = /once { keepalive_timeout 0; return 200 "once"; }
      }
      upstream app {
        server unix:${appPath};
        keepalive 8;
      }
      server {
        listen 127.0.0.1:${proxyPort};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        location / { proxy_pass http://app; }
      }
    }\n`,
  );
  const program = await programOf('nginx', 'nginx-light');
  const end = await startProgram(
    ...asOrdinaryUser(program, ['-e', 'stderr', '-p', folder, '-c', file]),
    { ready: /using the "\w+" event method/ },
  );
  return { address: { port, securePort, path, proxyPort, appPath }, end };
}

/** No server, but what serves to ask one. */
async function wrk(folder) {
  return { address: { program: await programOf('wrk', 'wrk'), folder }, end: async () => {} };
}

const kinds = { redis, postgres, mariadb, mosquitto, nginx, wrk };

/** Starts the servers called `names`, calls `use` with their addresses by name, and ends them. `folder` is empty. */
export async function withServers(names, folder, use) {
  const addresses = {};
  const ends = [];
  // Who is not root must get through to its own folder.
  chmodSync(folder, 0o755);
  try {
    for (const name of names) {
      const place = join(folder, name);
      mkdirSync(place);
      own(place);
      const { address, end } = await kinds[name](place);
      addresses[name] = address;
      ends.push(end);
    }
    return await use(addresses);
  } finally {
    await Promise.all(ends.map((end) => end()));
  }
}
