import {
  command,
  neighborAgingSize,
  neighborFlushSize,
  neighborSetSize,
  type TunnelAddress,
  type TunnelRoute,
  tunnelAddressSize,
  tunnelRouteSize,
  tunnelRoutesSize,
  writeNeighborAging,
  writeNeighborFlush,
  writeNeighborSet,
  writeTunnelAddress,
  writeTunnelRoute,
  writeTunnelRoutes,
} from "../datapath/generated/records.js";
import { neighbors } from "../datapath/index.js";
import type { DeviceDatapath, Netdevs, Router } from "../netdev/index.js";
import { CommandBatch, localPort, type OfPort, type Ofproto, type Ofprotos } from "../ofproto/index.js";

/** What the datapath must know to send tunnels' packets on their way: routes, the addresses of ports, and neighbours. */

export interface Neighbor {
  readonly device: string;
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
  readonly isStale: boolean;
}

export interface TunnelPathsOptions {
  readonly datapath: DeviceDatapath;
  readonly netdevs: Netdevs;
  readonly router: Router;
  readonly ofprotos: Ofprotos;
}

interface PortOfBridge {
  readonly ofproto: Ofproto;
  readonly port: OfPort;
}

/** Numbers of devices that are no bridges begin here. */
const firstOtherDevice = 65536;
const deviceNameMax = 15;
const defaultAgingS = 15 * 60;

export class TunnelPaths {
  readonly #options: TunnelPathsOptions;
  readonly #batch = new CommandBatch(4096);
  readonly #otherDevices = new Map<string, number>();
  #nextDevice = firstOtherDevice;
  #told = "";
  /** Range of UDP source ports. */
  portMin = 32768;
  portMax = 61000;
  agingS = defaultAgingS;

  constructor(options: TunnelPathsOptions) {
    this.#options = options;
  }

  /** Tells the datapath what changed, if anything did. */
  update(): void {
    const { router, ofprotos } = this.#options;
    if (ofprotos.all().length === 0) return;
    router.refresh();
    const routes: TunnelRoute[] = [];
    const routed = new Set<string>();
    for (const route of router.routes()) {
      const found = this.#portOf(route.device);
      routed.add(route.device);
      routes.push({
        prefix: route.network.address,
        gateway: route.gateway,
        source: route.source,
        mac: pad(found?.port.device.hwAddr),
        mark: route.mark,
        bridge: found?.ofproto.bridge ?? 0,
        ofpPort: found?.port.number ?? 0,
        prefixLen: route.network.prefixLength,
        isLocal: route.isLocal ? 1 : 0,
      });
    }
    this.#tell(routes, this.#addresses(routed));
  }

  /** Addresses of ports that routes lead by, at which tunnels are listened for. */
  listeningAddresses(): readonly { readonly mac: Uint8Array; readonly address: Uint8Array }[] {
    const routed = new Set(this.#options.router.routes().map(({ device }) => device));
    return this.#addresses(routed)
      .filter(({ isRouted }) => isRouted !== 0)
      .map(({ mac, address }) => ({ mac: mac.subarray(0, 6), address }));
  }

  /** The port that a device is: of the bridge of that name its own one, else whichever port is called so. */
  #portOf(device: string): PortOfBridge | undefined {
    const { ofprotos } = this.#options;
    const bridge = ofprotos.find(device);
    const own = bridge?.port(localPort);
    if (bridge !== undefined && own !== undefined) return { ofproto: bridge, port: own };
    for (const ofproto of ofprotos.all()) {
      const port = ofproto.findPort(device);
      if (port !== undefined) return { ofproto, port };
    }
    return undefined;
  }

  #addresses(routed: ReadonlySet<string>): TunnelAddress[] {
    const { ofprotos, router } = this.#options;
    return ofprotos.all().flatMap((ofproto) =>
      ofproto.ports().flatMap((port) =>
        router.addresses(port.name).map((network) => ({
          address: network.address,
          mac: pad(port.device.hwAddr),
          bridge: ofproto.bridge,
          ofpPort: port.number,
          prefixLen: network.prefixLength,
          isRouted: routed.has(port.name) ? 1 : 0,
        })),
      ),
    );
  }

  #tell(routes: readonly TunnelRoute[], addresses: readonly TunnelAddress[]): void {
    const tail = new Uint8Array(routes.length * tunnelRouteSize + addresses.length * tunnelAddressSize);
    const view = new DataView(tail.buffer);
    routes.forEach((route, index) => {
      writeTunnelRoute(view, index * tunnelRouteSize, route);
    });
    addresses.forEach((address, index) => {
      writeTunnelAddress(view, routes.length * tunnelRouteSize + index * tunnelAddressSize, address);
    });
    const content = `${this.portMin} ${this.portMax} ${routes.length} ${tail.join()}`;
    if (content === this.#told) return;
    this.#told = content;
    this.#batch.add(
      tunnelRoutesSize,
      (at, offset) =>
        writeTunnelRoutes(at, offset, {
          type: command.tunnelRoutes,
          flags: 0,
          size: 0,
          nRoutes: routes.length,
          nAddresses: addresses.length,
          portMin: this.portMin,
          portMax: this.portMax,
        }),
      tail,
    );
    this.#batch.submit(this.#options.datapath, false);
  }

  /** Number of a device in the table of neighbours, where names are as long as those of the kernel's devices. */
  #deviceId(longName: string): number {
    const name = longName.slice(0, deviceNameMax);
    const bridge = this.#options.ofprotos.find(name);
    if (bridge !== undefined) return bridge.bridge;
    let id = this.#otherDevices.get(name);
    if (id === undefined) {
      id = this.#nextDevice++;
      this.#otherDevices.set(name, id);
    }
    return id;
  }

  #deviceName(id: number): string | undefined {
    if (id < firstOtherDevice) return this.#options.ofprotos.byId(id)?.name;
    return [...this.#otherDevices].find(([, number]) => number === id)?.[0];
  }

  setNeighbor(device: string, address: Uint8Array, mac: Uint8Array): void {
    const id = this.#deviceId(device);
    this.#batch.add(neighborSetSize, (view, at) =>
      writeNeighborSet(view, at, {
        type: command.neighborSet,
        flags: 0,
        size: 0,
        device: id,
        isStale: 0,
        address,
        mac: pad(mac),
      }),
    );
    this.#batch.submit(this.#options.datapath, false);
  }

  /** Forgets the neighbours of a device that goes away, or all. */
  flushNeighbors(device?: string): void {
    const id =
      device === undefined ? 0 : (this.#options.ofprotos.find(device)?.bridge ?? this.#otherDevices.get(device));
    if (id === undefined) return;
    if (device === undefined) this.#otherDevices.clear();
    else this.#otherDevices.delete(device);
    this.#batch.add(neighborFlushSize, (view, at) =>
      writeNeighborFlush(view, at, { type: command.neighborFlush, flags: 0, size: 0, device: id }),
    );
    this.#batch.submit(this.#options.datapath, false);
  }

  setAging(seconds: number): void {
    this.agingS = seconds;
    this.#batch.add(neighborAgingSize, (view, at) =>
      writeNeighborAging(view, at, { type: command.neighborAging, flags: 0, size: 0, agingMs: 1000 * seconds }),
    );
    this.#batch.submit(this.#options.datapath, false);
  }

  neighbors(): readonly Neighbor[] {
    const found: Neighbor[] = [];
    for (const record of neighbors(this.#options.datapath)) {
      const device = this.#deviceName(record.device);
      if (device === undefined) continue;
      found.push({
        device,
        address: record.address.slice(),
        mac: record.mac.slice(0, 6),
        isStale: record.isStale !== 0,
      });
    }
    return found;
  }
}

function pad(mac: Uint8Array | undefined): Uint8Array {
  const out = new Uint8Array(8);
  if (mac !== undefined) out.set(mac.subarray(0, 6));
  return out;
}
