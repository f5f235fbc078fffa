import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import {
  anyAddress,
  formatNetwork,
  isAny,
  isMapped,
  isOn,
  mapIpv4,
  maskAddress,
  type Network,
  parseAddress,
} from "./address.js";
import type { Netdevs } from "./netdev.js";
import type { TunnelConfig } from "./tunnel-config.js";

/** Routes that tunnels' packets take: those of the host, and those that a user added. */

export interface Route {
  readonly network: Network;
  readonly mark: number;
  readonly device: string;
  /** All zero: none. */
  readonly gateway: Uint8Array;
  readonly source: Uint8Array;
  /** The network is an address of the host. */
  readonly isLocal: boolean;
  readonly isUser: boolean;
}

/** A user's routes go before the host's; among equals the longer prefix. */
const userPriority = 32;
const localPriority = 64;
const priority = (route: Route): number =>
  route.network.prefixLength + (route.isUser ? userPriority : route.isLocal ? localPriority : 0);

const sameNetwork = (a: Route, b: Route): boolean =>
  a.mark === b.mark &&
  priority(a) === priority(b) &&
  a.network.prefixLength === b.network.prefixLength &&
  a.network.address.every((byte, index) => byte === b.network.address[index]);

interface HostTables {
  readonly ipv4: readonly (readonly string[])[];
  readonly ipv6: readonly (readonly string[])[];
}

export interface RouterOptions {
  readonly netdevs: Netdevs;
  /** Whether the host's routes count. */
  readonly system: boolean;
}

export class Router {
  readonly #netdevs: Netdevs;
  readonly #system: boolean;
  #user: Route[] = [];
  #host: Route[] = [];
  /** What the host said of its devices' addresses and its routes, until it is known to be otherwise: to ask for one is to
   *  ask for all. */
  #hostAddresses: ReadonlyMap<string, readonly Network[]> | undefined;
  #hostTables: HostTables | undefined;

  constructor(options: RouterOptions) {
    this.#netdevs = options.netdevs;
    this.#system = options.system;
  }

  /** In the order in which they are tried. */
  routes(): readonly Route[] {
    return [...this.#user, ...this.#host].sort((a, b) => priority(b) - priority(a));
  }

  /** Addresses or routes of the host may have changed. */
  hostChanged(): void {
    this.#hostAddresses = undefined;
    this.#hostTables = undefined;
  }

  /** Works out the host's routes again. */
  refresh(): void {
    this.#host = this.#system ? this.#hostRoutes() : [];
  }

  /** Addresses of a device, with the networks that they are on. */
  addresses(device: string): readonly Network[] {
    const netdev = this.#netdevs.find(device);
    if (netdev?.type.dummy === true) return netdev.addresses;
    this.#hostAddresses ??= hostAddresses();
    return this.#hostAddresses.get(device) ?? [];
  }

  /** The address of the device to talk to `address` from; undefined when none is on its network. */
  sourceFor(device: string, address: Uint8Array): Uint8Array | undefined {
    const own = this.addresses(device).filter((network) => isOn(network, address));
    return own.sort((a, b) => b.prefixLength - a.prefixLength)[0]?.address;
  }

  /** Adds a route; false when the device has no address that it could be used from. */
  add(network: Network, device: string, gateway: Uint8Array, mark: number): boolean {
    this.#hostAddresses = undefined;
    const route = this.#route(network, device, gateway, mark, false, true);
    if (route === undefined) return false;
    this.#user = [...this.#user.filter((other) => !sameNetwork(other, route)), route];
    return true;
  }

  /** Removes a user's route; false when there is none. */
  remove(network: Network, mark: number): boolean {
    const wanted = { network: { ...network, address: maskAddress(network) }, mark, isUser: true, isLocal: false };
    const before = this.#user.length;
    this.#user = this.#user.filter((route) => !sameNetwork(route, wanted as Route));
    return this.#user.length < before;
  }

  lookup(address: Uint8Array, mark: number): Route | undefined {
    return this.routes().find((route) => route.mark === mark && isOn(route.network, address));
  }

  /** Where packets of the tunnel leave the host, as Interface.status tells it; nothing if there is no way. */
  tunnelStatus(tunnel: TunnelConfig): ReadonlyMap<string, string> {
    const route = this.lookup(tunnel.remote === "flow" ? anyAddress : tunnel.remote, 0);
    if (route === undefined) return new Map();
    const hasCarrier = this.#netdevs.deviceHasCarrier(route.device);
    return new Map([
      ["tunnel_egress_iface", route.device],
      ["tunnel_egress_iface_carrier", hasCarrier ? "up" : "down"],
    ]);
  }

  #route(
    network: Network,
    device: string,
    gateway: Uint8Array,
    mark: number,
    isLocal: boolean,
    isUser: boolean,
  ): Route | undefined {
    const source =
      this.sourceFor(device, network.address) ?? (isAny(gateway) ? undefined : this.sourceFor(device, gateway));
    if (source === undefined) return undefined;
    const { prefixLength } = network;
    return { network: { address: maskAddress(network), prefixLength }, mark, device, gateway, source, isLocal, isUser };
  }

  #hostRoutes(): Route[] {
    // Of routes to one network the last one counts, as link-local networks of many devices show.
    const found = new Map<string, Route>();
    const put = (network: Network, device: string, gateway: Uint8Array, isLocal: boolean): void => {
      const route = this.#route(network, device, gateway, 0, isLocal, false);
      if (route !== undefined) found.set(`${priority(route)} ${formatNetwork(route.network)}`, route);
    };
    this.#hostAddresses ??= hostAddresses();
    for (const device of this.#hostAddresses.keys()) {
      for (const { address } of this.addresses(device)) put({ address, prefixLength: 128 }, device, anyAddress, true);
    }
    this.#hostTables ??= { ipv4: table("/proc/net/route"), ipv6: table("/proc/net/ipv6_route") };
    for (const [device = "", destination = "", gateway = "", flags = "", , , , mask = ""] of this.#hostTables.ipv4) {
      if ((Number.parseInt(flags, 16) & routeUp) === 0) continue;
      const bits = [...littleEndian(mask)].reduce((sum, byte) => sum + bitCount(byte), 0);
      const next = littleEndian(gateway);
      const network = { address: mapIpv4(littleEndian(destination)), prefixLength: 96 + bits };
      put(network, device, isAny(next) ? anyAddress : mapIpv4(next), false);
    }
    for (const row of this.#hostTables.ipv6) {
      const [destination = "", length = "", , , gateway = "", , , , flags = "", device = ""] = row;
      if ((Number.parseInt(flags, 16) & (routeUp | routeLocal | routeReject)) !== routeUp) continue;
      put(
        { address: fromHex(destination), prefixLength: Number.parseInt(length, 16) },
        device,
        fromHex(gateway),
        false,
      );
    }
    return [...found.values()];
  }
}

function hostAddresses(): ReadonlyMap<string, readonly Network[]> {
  return new Map(
    Object.entries(networkInterfaces()).map(([device, own = []]) => [
      device,
      own.flatMap(({ address, netmask }) => {
        const bytes = parseAddress(address.replace(/%.*$/, ""));
        const mask = parseAddress(netmask);
        if (bytes === undefined || mask === undefined) return [];
        const bits = [...mask].reduce((sum, byte) => sum + bitCount(byte), 0);
        return [{ address: bytes, prefixLength: isMapped(bytes) ? 96 + bits - 16 : bits }];
      }),
    ]),
  );
}

const routeUp = 1;
const routeReject = 0x200;
const routeLocal = 0x80000000;

function bitCount(byte: number): number {
  return byte.toString(2).replaceAll("0", "").length;
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, index) =>
    Number.parseInt(text.slice(2 * index, 2 * index + 2), 16),
  );
}

function littleEndian(text: string): Uint8Array {
  return fromHex(text).reverse();
}

/** Rows of a table that the kernel writes, split into columns. */
function table(path: string): string[][] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns.length > 7);
}
