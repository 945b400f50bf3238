import { isIP } from 'node:net';
import { invalidArgument } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import {
  type DatagramEnv,
  type DatagramNetwork,
  type DatagramSocket,
  formatEndpoint,
} from '../cluster/membership/datagram-network.js';
import { checkSeeds } from '../cluster/membership/join-rounds.js';
import { Membership } from '../cluster/membership/membership.js';
import { formatAddress, parseAddress, type TcpAddress } from '../transport/address.js';
import { isWildcard } from './udp-network.js';

/** What a node is told about the net that it belongs to. */
export interface MembershipConfig {
  /** Members of a net, as `tcp://host:port`; one that answers is enough. Without any the node founds a net, which others can join. */
  readonly join?: readonly string[] | undefined;
  /**
   * Where others reach this node, as `tcp://IP:port`, where port 0 is that of `listen`. Needed by a node that listens on every address, or
   * behind another one. Default: where it listens.
   */
  readonly advertise?: string | undefined;
  /**
   * Members of a net that cannot connect to this node, and through which others reach it nevertheless, as `tcp://host:port`: it stays
   * connected to each. Not together with `join`.
   */
  readonly hubs?: readonly string[] | undefined;
  /** Share of the data that it should hold, relative to other nodes; above 0. Default 1. */
  readonly weight?: number | undefined;
}

/** `MembershipConfig`, checked. */
export interface MembershipChoice {
  readonly seeds: readonly string[];
  readonly advertised: TcpAddress | undefined;
  readonly weight: number;
}

/**
 * What `config` says for a node that listens at `listen`; null for one on a Unix socket, which is nobody's member.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, PAIPAI_ERR_INVALID_ADDRESS.
 */
export function checkMembership(listen: string, config: MembershipConfig): MembershipChoice | null {
  const { join, advertise, weight = 1 } = config;
  if (parseAddress(listen).scheme === 'unix') {
    const given = join === undefined ? 'advertise' : 'join';
    if (join === undefined && advertise === undefined) return null;
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_ARGUMENT',
      `${given} needs a node that listens on tcp://, because the members of a net reach each other over the network, and this one listens on ${listen}`,
    );
  }
  if (!(weight > 0 && weight < Infinity)) {
    throw invalidArgument('weight', 'a finite number above 0', weight);
  }
  return {
    seeds: join === undefined ? [] : checkSeeds(join),
    advertised: advertise === undefined ? undefined : checkAdvertised(advertise),
    weight,
  };
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, PAIPAI_ERR_INVALID_ADDRESS. */
export function checkHubs({ hubs, join }: MembershipConfig): readonly string[] {
  if (hubs === undefined) return [];
  if (join === undefined) return checkSeeds(hubs, 'hubs');
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    'a node that others reach joins a net, and one that they do not stays connected to hubs: give join or hubs',
  );
}

/** Datagrams go there several times a second, so nothing that has to be looked up. */
function checkAdvertised(advertise: string): TcpAddress {
  const address = parseAddress(advertise);
  if (address.scheme === 'tcp' && isIP(address.host) !== 0 && !isWildcard(address.host)) {
    return address;
  }
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_ADDRESS',
    `advertise must be the IP address at which others reach this node, as in tcp://10.0.0.5:7100, but is ${advertise}`,
  );
}

export interface MembershipHost {
  readonly nodeId: string;
  readonly netName: string;
  readonly secret: Uint8Array | string | undefined;
  readonly coordinates: boolean;
  /** As for `MembershipSettings`. */
  readonly onFailed: (error: PaipaiError) => void;
}

/**
 * The membership of a node that listens at `listening`, ready to start; null when nobody could reach it, because it listens on every address
 * and says none.
 * Fails: PAIPAI_ERR_INVALID_ARGUMENT when it should join a net nevertheless; the system's error when no datagram socket is to be had.
 */
export async function openMembership(
  env: DatagramEnv,
  listening: TcpAddress,
  choice: MembershipChoice,
  host: MembershipHost,
): Promise<Membership | null> {
  const { seeds, advertised, weight } = choice;
  const socket = await bindFor(env.datagrams, listening, advertised);
  try {
    const { endpoint } = socket;
    if (advertised === undefined && isWildcard(endpoint.host)) {
      if (seeds.length > 0) throw notAdvertised(formatAddress(listening));
      socket.close();
      return null;
    }
    const ownHost = advertised?.host ?? endpoint.host;
    const tcpPort =
      advertised === undefined || advertised.port === 0 ? listening.port : advertised.port;
    // What maps one port maps the other of the same number, if there is one.
    const udpPort = endpoint.port === listening.port ? tcpPort : endpoint.port;
    return new Membership(env, socket, {
      ...host,
      seeds,
      weight,
      transportAddress: formatAddress({ scheme: 'tcp', host: ownHost, port: tcpPort }),
      datagramAddress: formatEndpoint({ host: ownHost, port: udpPort }),
    });
  } catch (thrown) {
    socket.close();
    throw thrown;
  }
}

/**
 * The socket beside a TCP listener, at the same port unless somebody has that. On every address would do, but answers would then leave from
 * the address that the system picks, where a connected socket does not expect them; so rather from the one that is advertised.
 */
async function bindFor(
  network: DatagramNetwork,
  listening: TcpAddress,
  advertised: TcpAddress | undefined,
): Promise<DatagramSocket> {
  if (advertised !== undefined && isWildcard(listening.host)) {
    try {
      return await bindNear(network, advertised.host, listening.port);
    } catch (thrown) {
      // It is the address of somebody who passes on what comes.
      if (codeOf(thrown) !== 'EADDRNOTAVAIL') throw thrown;
    }
  }
  return bindNear(network, listening.host, listening.port);
}

async function bindNear(
  network: DatagramNetwork,
  host: string,
  port: number,
): Promise<DatagramSocket> {
  try {
    return await network.bind(host, port);
  } catch (thrown) {
    if (codeOf(thrown) !== 'EADDRINUSE') throw thrown;
    return network.bind(host, 0);
  }
}

function codeOf(thrown: unknown): unknown {
  // Node's errors carry `code`; nothing in the type of Error says so.
  return thrown instanceof Error ? (thrown as { code?: unknown }).code : undefined;
}

function notAdvertised(listen: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `a node that listens on every address (${listen}) joins a net only when it says at which one others reach it: set advertise, as in tcp://10.0.0.5:7100`,
  );
}
