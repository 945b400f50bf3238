import { checkOptions, checkString, describe, invalidArgument } from '../../base/check.js';

/** How an etcd (3.4 or newer) is reached, over its JSON gateway. */
export interface EtcdOptions {
  /** Its members, as `http://host:2379` or `https://host:2379`: 1 to 16. Whichever answers is asked. */
  etcd: readonly string[];
  user?: string;
  password?: string;
  /** PEM: who signs the certificates of the members, and what this client shows them. Default: whom Node.js trusts, and nothing. */
  ca?: string | Uint8Array;
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  /** All keys begin so: 1 to 128 bytes. Default: `paipainet/` and the name of the net. */
  prefix?: string;
}

const names: ReadonlySet<string> = new Set<keyof EtcdOptions>([
  'etcd',
  'user',
  'password',
  'ca',
  'cert',
  'key',
  'prefix',
]);

export interface EtcdSettings {
  readonly endpoints: readonly URL[];
  readonly login: { readonly name: string; readonly password: string } | undefined;
  readonly tls: Pick<EtcdOptions, 'ca' | 'cert' | 'key'>;
  /** Ends with a slash. */
  readonly prefix: string;
}

const endpointsMax = 16;
const prefixBytesMax = 128;
const urlPattern = /^etcds?:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?#@]+)\/?$/;

/** Whether that names an etcd: `etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]`, or `etcds://` with TLS. */
export function isEtcdUrl(text: string): boolean {
  return /^etcds?:\/\//.test(text);
}

/**
 * @param netName whose keys do not meet those of another net
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT.
 */
export function checkEtcd(choice: string | EtcdOptions, netName: string): EtcdSettings {
  const options = typeof choice === 'string' ? optionsOfUrl(choice) : choice;
  checkOptions('coordination', options, names);
  const { etcd, user, password, prefix } = options;
  if (!Array.isArray(etcd) || etcd.length < 1 || etcd.length > endpointsMax) {
    const count = Array.isArray(etcd) ? etcd.length : etcd;
    throw invalidArgument('coordination.etcd', `1 to ${endpointsMax} addresses`, count);
  }
  if ((user === undefined) !== (password === undefined)) {
    throw invalidArgument('coordination', 'with user and password, or with neither', options);
  }
  return {
    endpoints: etcd.map((one) => checkEndpoint(one)),
    login:
      user === undefined
        ? undefined
        : {
            name: checkString('coordination.user', user, 255),
            password: checkString('coordination.password', password, 1_024),
          },
    tls: { ...pem('ca', options), ...pem('cert', options), ...pem('key', options) },
    prefix: `${
      prefix === undefined
        ? `paipainet/${encodeURIComponent(netName)}`
        : checkString('coordination.prefix', prefix, prefixBytesMax).replace(/\/$/, '')
    }/`,
  };
}

function pem(name: 'ca' | 'cert' | 'key', options: EtcdOptions) {
  const value = options[name];
  if (value === undefined) return {};
  if (typeof value === 'string' || value instanceof Uint8Array) return { [name]: value };
  throw invalidArgument(`coordination.${name}`, 'PEM, as text or bytes', value);
}

function optionsOfUrl(url: string): EtcdOptions {
  const [, user, password, hosts] = urlPattern.exec(url) ?? [];
  if (hosts === undefined) {
    throw invalidArgument(
      'coordination',
      'etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]',
      hidden(url),
    );
  }
  const scheme = url.startsWith('etcds:') ? 'https' : 'http';
  const login = user === undefined ? {} : { user: decode(user), password: decode(password ?? '') };
  return { etcd: hosts.split(',').map((host) => `${scheme}://${host}`), ...login };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidArgument('coordination', 'with user and password in percent encoding', 'other');
  }
}

/** Without what may be a password. */
function hidden(url: string): string {
  return url.replace(/\/\/.*@/, '//…@');
}

function checkEndpoint(text: unknown): URL {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    url !== undefined &&
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.pathname === '/' &&
    url.search + url.hash + url.username + url.password === '';
  if (isPlain) return url;
  throw invalidArgument(
    'coordination.etcd',
    'addresses as http://HOST:PORT or https://HOST:PORT',
    typeof text === 'string' ? hidden(text) : describe(text),
  );
}
