/** Devices: opened by name and type, asked for their state, counters and status, closed. */
import { type LinkInfo, type PortInfo, portClass } from "../datapath/generated/records.js";
import { BatchBuilder, type BatchTarget, link, portStats, type QueryTarget, xskStats } from "../datapath/index.js";
import type { Logger } from "../log/index.js";
import type { Network } from "./address.js";
import {
  type AfxdpConfig,
  afxdpOptions,
  afxdpRemedy,
  afxdpShown,
  afxdpStatistics,
  afxdpStatus,
  readAfxdp,
} from "./afxdp.js";
import type { Dpdk } from "./dpdk.js";
import { type DpdkKind, flowControlOptions, isTrue } from "./dpdk-devices.js";
import { errno, errnoOf, errnoWords } from "./errno.js";
import { bytesPerSecond } from "./features.js";
import { FrameStream } from "./frame-stream.js";
import { hostTcClock, LinuxQos } from "./linux-qos.js";
import { PolicerQos } from "./policer-qos.js";
import { type Policing, policeRecord, unpoliced } from "./policing.js";
import { type PortAhead, PortsAhead, type WishedDevice } from "./ports-ahead.js";
import type { DeviceQos } from "./qos.js";
import { formatTunnel, parseTunnel, type TunnelConfig } from "./tunnel-config.js";
import { dpPortName, type TunnelType } from "./tunnel-types.js";
import { availableTypes, isReservedName, type NetdevPolicy, type NetdevType, resolveType } from "./types.js";

/** What devices need of the datapath. */
export type DeviceDatapath = BatchTarget & QueryTarget;

/** A device could not be opened or set.  The sentence is what Interface.error shows. */
export class NetdevError extends Error {
  readonly code = "NETDEV";
  readonly details: Readonly<Record<string, unknown>>;
  constructor(sentence: string, details: Readonly<Record<string, unknown>>) {
    super(sentence);
    this.name = "NetdevError";
    this.details = details;
  }
}

/** What is known of a device now.  Undefined: the device does not tell. */
export interface DeviceState {
  readonly mac: Uint8Array;
  readonly mtu: number | undefined;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly ifindex: number;
  readonly speedMbps: number | undefined;
  /** What the kernel says of devices whose medium it does not know. */
  readonly isCopper?: boolean;
  readonly duplex: "half" | "full" | undefined;
}

const gone: DeviceState = {
  mac: new Uint8Array(6),
  mtu: undefined,
  up: false,
  carrier: false,
  ifindex: 0,
  speedMbps: undefined,
  duplex: undefined,
};

/** A string of C in a field of fixed size: it ends at its first zero byte. */
function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** What `link_set` may change, in the bits of its `what`. */
const linkWhat = { mtu: 1, mac: 2, flags: 4 } as const;
const linkFlag = { up: 1, running: 0x40, lowerUp: 0x10000 } as const;
const dpPortMax = 65535;

/** Which transmit queue a packet takes: that of the thread that sends it, or one by a hash of its flow. */
export type TxSteering = "thread" | "hash";

export class Netdev {
  /** How often the carrier came or went since the device was opened. */
  carrierResets = 0;
  /** Whether its link is watched by asking the device (MII, ethtool) and not by what the kernel tells. */
  asksDevice = false;
  /** Of a test device: the addresses that the host would have there. */
  addresses: readonly Network[] = [];
  /** Of a tunnel: what its options say. */
  tunnel: TunnelConfig | undefined;
  /** Of an AF_XDP port: what its options say. */
  afxdp: AfxdpConfig | undefined;
  /** Of a test device: how many its options ask for. */
  transmitQueues = 1;
  /** How its sending is shaped; undefined: it cannot be. */
  qos: DeviceQos | undefined;
  /** Of a test device that is joined to another: where its frames go to and come from. */
  stream: FrameStream | undefined;
  #last: DeviceState | undefined;
  #status: ReadonlyMap<string, string> | undefined;
  #policing = JSON.stringify(policeRecord(unpoliced));
  #txSteering: TxSteering = "thread";

  constructor(
    readonly name: string,
    readonly type: NetdevType,
    /** 0 for a patch port; of a tunnel, the number that it shares with others. */
    public dpPort: number,
    private readonly owner: Netdevs,
    /** Of a port without a device. */
    private mac: Uint8Array,
  ) {}

  /** Whether there is no device behind it: patch ports and tunnels. */
  get isVirtual(): boolean {
    return this.type.portClass === undefined;
  }

  /** Name of the datapath port that tunnels such as this share. */
  get dpName(): string | undefined {
    return this.tunnel === undefined ? undefined : dpPortName(this.tunnel.type, this.tunnel.dstPort);
  }

  /** What `dpif/show` tells after the type. */
  get shownConfig(): string | undefined {
    if (this.type.name === "dummy-pmd") return this.#shownQueues();
    if (this.afxdp !== undefined) return afxdpShown(this.afxdp, this.counters());
    return this.tunnel === undefined ? undefined : formatTunnel(this.tunnel);
  }

  #shownQueues(): string {
    const received = this.counters()?.nRxq ?? 0;
    const sent = this.transmitQueues;
    return (
      `configured_rx_queues=${received}, configured_tx_queues=${sent}, ` +
      `requested_rx_queues=${received}, requested_tx_queues=${sent}`
    );
  }

  /** Whether the host knows it as a network device. */
  get isHostDevice(): boolean {
    return (
      this.type.portClass === portClass.packet ||
      this.type.portClass === portClass.afxdp ||
      this.type.portClass === portClass.tap
    );
  }

  /** Frames that the host sends into a device that we made are what we receive. */
  private get isOurs(): boolean {
    return this.type.portClass === portClass.tap;
  }

  /** Asks the device. */
  state(): DeviceState {
    const state = this.#look();
    if (this.#last !== undefined && this.#last.carrier !== state.carrier) this.carrierResets += 1;
    this.#last = state;
    return state;
  }

  /** What the device is at this moment, which nobody is told: a change of carrier is still news to `state`. */
  get now(): DeviceState {
    return this.#look();
  }

  /** What the device said when it was last asked. */
  get last(): DeviceState {
    return this.#last ?? this.state();
  }

  #look(): DeviceState {
    if (this.isVirtual) return { ...gone, mac: this.mac, up: true, carrier: true };
    if (this.isHostDevice) {
      const found = link(this.owner.datapath, this.name, this.asksDevice);
      return found === undefined ? gone : linkState(found);
    }
    const info = portStats(this.owner.datapath, this.dpPort);
    return info === undefined ? gone : portState(info);
  }

  /** Interface.statistics. */
  statistics(): Map<string, number> {
    if (this.isVirtual) return new Map();
    if (!this.isHostDevice) {
      const info = portStats(this.owner.datapath, this.dpPort);
      if (info === undefined) return new Map();
      if (this.type.dpdk === undefined) return dummyStatistics(info);
      return dpdkStatistics(info, this.owner.dpdk?.askPairs("statistics", this.name) ?? []);
    }
    const found = link(this.owner.datapath, this.name);
    if (found === undefined) return new Map();
    const statistics = linkStatistics(found, this.isOurs);
    if (this.afxdp === undefined) return statistics;
    return new Map([...statistics, ...afxdpStatistics(xskStats(this.owner.datapath, this.dpPort))]);
  }

  /** Interface.status: the driver's words, which stay the same as long as the device is open. */
  status(): ReadonlyMap<string, string> {
    if (this.type.dpdk !== undefined) return this.#askDpdkStatus(this.type.dpdk.vhostMode);
    this.#status ??= this.#askStatus();
    return this.#status;
  }

  /** Interface.status of a device of DPDK's, where a link may change and a guest may come. */
  #askDpdkStatus(vhostMode: string | undefined): ReadonlyMap<string, string> {
    const pairs = this.owner.dpdk?.askPairs("status", this.name) ?? [];
    return new Map(vhostMode === undefined ? pairs : [["mode", vhostMode], ...pairs]);
  }

  /** Whether the carrier is another than when the device was last asked: DPDK's devices need not tell, and transceivers
   *  do not. */
  get hasMoved(): boolean {
    if (this.isHostDevice && this.asksDevice) return this.#look().carrier !== this.last.carrier;
    if (this.type.dpdk === undefined) return false;
    const info = portStats(this.owner.datapath, this.dpPort);
    return info !== undefined && (info.carrier !== 0) !== this.last.carrier;
  }

  #askStatus(): ReadonlyMap<string, string> {
    if (!this.isHostDevice) return new Map();
    const found = link(this.owner.datapath, this.name);
    if (found === undefined) return new Map();
    const driver = cString(found.driverName);
    const status = new Map([
      ["driver_name", driver === "" ? found.kind : driver],
      ["driver_version", cString(found.driverVersion)],
      ["firmware_version", cString(found.firmwareVersion)],
    ]);
    if (this.afxdp === undefined) return status;
    return new Map([...status, ...afxdpStatus(this.counters())]);
  }

  counters(): PortInfo | undefined {
    return this.isVirtual ? undefined : portStats(this.owner.datapath, this.dpPort);
  }

  /** Throws NetdevError. */
  setUp(up: boolean): void {
    if (this.isVirtual) return;
    const change = { flagsOn: up ? linkFlag.up : 0, flagsOff: up ? 0 : linkFlag.up };
    this.#must(
      this.isHostDevice ? this.#setLink(linkWhat.flags, change) : this.#setPort({ up: up ? 1 : 0 }),
      `turned ${up ? "up" : "down"}`,
    );
  }

  /** Throws NetdevError. */
  setMtu(mtu: number): void {
    if (this.isVirtual) return;
    const errno = this.isHostDevice ? this.#setLink(linkWhat.mtu, { mtu }) : this.#setPort({ mtu });
    if (errno === 0) return;
    const { name } = this;
    throw new NetdevError(`failed to set MTU for network device ${name}: ${errnoWords(errno)}`, { name, mtu, errno });
  }

  /** Drops what is received beyond these rates from now on.  A bucket begins full again only if something changes. */
  police(policing: Policing): void {
    const wanted = policeRecord(policing);
    const text = JSON.stringify(wanted);
    if (this.isVirtual || text === this.#policing) return;
    this.#must(errnoOf(new BatchBuilder().portPolice(this.dpPort, wanted).submit(this.owner.datapath)), "policed");
    this.#policing = text;
  }

  /** Spreads what is sent over the transmit queues by flow, or has each thread use its own.  Ports of one queue do not care. */
  steer(mode: TxSteering): void {
    if (!this.isVirtual) this.#must(this.#setPort({ "tx-steering": mode }), `steered by ${mode}`);
    this.#txSteering = mode;
  }

  get txSteering(): TxSteering {
    return this.#txSteering;
  }

  setMac(mac: Uint8Array): void {
    if (this.isVirtual) {
      this.mac = mac.slice();
      return;
    }
    const text = [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    const padded = new Uint8Array(8);
    padded.set(mac.subarray(0, 6));
    this.#must(
      this.isHostDevice ? this.#setLink(linkWhat.mac, { mac: padded }) : this.#setPort({ mac: text }),
      `given the address ${text}`,
    );
  }

  /** Takes changed options; false when the device must be opened anew for them. */
  setOptions(options: ReadonlyMap<string, string>): boolean {
    if (this.type.tunnel !== undefined) return this.owner.setTunnel(this, options);
    if (this.isVirtual) return this.type.refuses?.(this.name, options) === undefined;
    if (this.type.dpdk !== undefined) return this.owner.setDpdkOptions(this, this.type.dpdk, options);
    // An option that is taken back has its default again.
    const all = this.type.dummy ? new Map([["n_rxq", "1"], ...options]) : options;
    const taken = errnoOf(new BatchBuilder().portSet(this.dpPort, all).submit(this.owner.datapath)) === 0;
    if (taken) this.owner.followTestOptions(this, options);
    return taken;
  }

  /** Only for devices of the dummy and memory kind. */
  receive(frame: Uint8Array, queue = 0): void {
    this.#must(
      errnoOf(new BatchBuilder().portInject(this.dpPort, frame, queue).submit(this.owner.datapath)),
      "given a frame",
    );
  }

  close(): void {
    this.owner.forget(this);
  }

  #setLink(
    what: number,
    change: { readonly mtu?: number; readonly mac?: Uint8Array; readonly flagsOn?: number; readonly flagsOff?: number },
  ): number {
    const record = { what, mtu: 0, mac: new Uint8Array(8), flagsOn: 0, flagsOff: 0, ...change };
    return errnoOf(new BatchBuilder().linkSet(this.name, record).submit(this.owner.datapath));
  }

  #setPort(config: Readonly<Record<string, string | number>>): number {
    return errnoOf(new BatchBuilder().portSet(this.dpPort, config).submit(this.owner.datapath));
  }

  #must(error: number, what: string): void {
    if (error !== 0)
      throw new NetdevError(`network device ${this.name} could not be ${what} (${errnoWords(error)})`, {
        name: this.name,
        errno: error,
      });
  }
}

/** What of a DPDK device's configuration means to open it anew, to be compared.  Vhost devices are numbered. */
function configText(config: ReadonlyMap<string, string>): string {
  const rows = [...config].filter(([key]) => key !== "tx-retries-max").map(([key, value]) => `${key}=${value}`);
  return rows
    .toSorted()
    .join(" ")
    .replace(/\bnet_vhost\d+,/, "");
}

function linkState(link: LinkInfo): DeviceState {
  return {
    mac: link.mac.subarray(0, 6),
    mtu: link.mtu,
    up: (link.linkFlags & linkFlag.up) !== 0,
    carrier: (link.linkFlags & linkFlag.running) !== 0,
    isCopper: true,
    ifindex: link.ifindex,
    speedMbps: link.linkSpeedMbps === 0 || link.linkSpeedMbps === 0xffffffff ? undefined : link.linkSpeedMbps,
    duplex: link.duplex === 0 ? "half" : link.duplex === 1 ? "full" : undefined,
  };
}

function portState(info: PortInfo): DeviceState {
  return {
    mac: info.mac.subarray(0, 6),
    mtu: info.mtu,
    up: info.up !== 0,
    carrier: info.carrier !== 0,
    ifindex: info.ifindex,
    speedMbps: info.linkSpeedMbps === 0 ? undefined : info.linkSpeedMbps,
    duplex: info.linkSpeedMbps === 0 ? undefined : info.fullDuplex !== 0 ? "full" : "half",
  };
}

function linkStatistics(link: LinkInfo, swapped: boolean): Map<string, number> {
  const [rx, tx] = swapped ? (["tx", "rx"] as const) : (["rx", "tx"] as const);
  const rows: [string, bigint][] = [
    ["collisions", link.collisions],
    ["rx_bytes", link[`${rx}Bytes`]],
    ["rx_crc_err", link.rxCrcErrors],
    ["rx_dropped", link[`${rx}Dropped`]],
    ["rx_errors", link[`${rx}Errors`]],
    ["rx_frame_err", link.rxFrameErrors],
    ["rx_missed_errors", link.rxMissedErrors],
    ["rx_multicast_packets", link.multicast],
    ["rx_over_err", link.rxOverErrors],
    ["rx_packets", link[`${rx}Packets`]],
    ["tx_bytes", link[`${tx}Bytes`]],
    ["tx_dropped", link[`${tx}Dropped`]],
    ["tx_errors", link[`${tx}Errors`]],
    ["tx_packets", link[`${tx}Packets`]],
  ];
  return new Map(rows.map(([key, value]) => [key, Number(value)]));
}

/** What only test devices count, in the order in which OpenFlow tells it. */
const dummyCounters: readonly (readonly [name: string, read: (info: PortInfo) => bigint])[] = [
  ["rx_custom_packets_1", (info) => info.rxPackets],
  ["rx_custom_packets_2", (info) => info.rxPackets],
  ["rx_q0_bytes", (info) => info.rxBytes],
  ["rx_q0_packets", (info) => info.rxPackets],
  ["tx_q0_bytes", (info) => info.txBytes],
  ["tx_q0_packets", (info) => info.txPackets],
];

/** Whether OpenFlow has no word of its own for a counter of Interface.statistics. */
export function isCustomStatistic(key: string): boolean {
  return key.startsWith("xsk_queue_") || dummyCounters.some(([name]) => name === key);
}

function dummyStatistics(info: PortInfo): Map<string, number> {
  return new Map<string, number>([
    ["rx_bytes", Number(info.rxBytes)],
    ["rx_packets", Number(info.rxPackets)],
    ["tx_bytes", Number(info.txBytes)],
    ["tx_packets", Number(info.txPackets)],
    ...dummyCounters.map(([name, read]) => [name, Number(read(info))] as const),
  ]);
}

/** `more`: what the device and the driver count besides. */
function dpdkStatistics(info: PortInfo, more: readonly (readonly [string, string])[]): Map<string, number> {
  return new Map<string, number>([
    ...more.map(([name, value]) => [name, Number(value)] as const),
    ["rx_bytes", Number(info.rxBytes)],
    ["rx_dropped", Number(info.rxDropped)],
    ["rx_errors", Number(info.rxErrors)],
    ["rx_missed_errors", Number(info.rxMissedErrors)],
    ["rx_packets", Number(info.rxPackets)],
    ["tx_bytes", Number(info.txBytes)],
    ["tx_dropped", Number(info.txDropped)],
    ["tx_errors", Number(info.txErrors)],
    ["tx_packets", Number(info.txPackets)],
  ]);
}

export interface NetdevsOptions {
  readonly datapath: DeviceDatapath;
  readonly policy: NetdevPolicy;
  readonly dpdk?: Dpdk | undefined;
  readonly log: Logger;
  /** For what is wrong with a tunnel's options. */
  readonly vportLog?: Logger;
  /** For what is wrong with an AF_XDP port's options. */
  readonly afxdpLog?: Logger;
  /** For what the kernel refuses. */
  readonly linuxLog?: Logger;
  /** Makes the address of a port without a device. */
  readonly random: () => number;
  /** Milliseconds of the switch's clock. */
  readonly now: () => number;
}

/** A datapath port that the tunnels of one type and destination port share. */
export interface TunnelPort {
  /** As `dpctl/show` prints it: `vxlan_sys_4789`. */
  readonly name: string;
  /** As Interface.type. */
  readonly type: string;
  readonly datapathType: string;
  readonly dpPort: number;
  /** What its packets are to the host: an IP protocol, and for UDP and TCP a port. */
  readonly ipProto: number;
  readonly dstPort: number | undefined;
  /** Whether packets from it can be received. */
  readonly listens: boolean;
  users: number;
}

/** All open devices of one datapath. */
export class Netdevs {
  readonly datapath: DeviceDatapath;
  readonly #policy: NetdevPolicy;
  readonly dpdk: Dpdk | undefined;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #byName = new Map<string, Netdev>();
  readonly #byDpPort = new Map<number, Netdev>();
  /** What each device of DPDK's was opened with. */
  readonly #dpdkDevices = new Map<string, { readonly text: string; retries: string | undefined }>();
  readonly #vportLog: Logger;
  readonly #afxdpLog: Logger;
  readonly #linuxLog: Logger;
  readonly #now: () => number;
  /** The datapath ports that tunnels share, by datapath type and name. */
  readonly #tunnelPorts = new Map<string, TunnelPort>();
  readonly #ahead: PortsAhead;

  constructor(options: NetdevsOptions) {
    this.datapath = options.datapath;
    this.#ahead = new PortsAhead(options.datapath);
    this.#policy = options.policy;
    this.dpdk = options.dpdk;
    this.#log = options.log;
    this.#vportLog = options.vportLog ?? options.log;
    this.#afxdpLog = options.afxdpLog ?? options.log;
    this.#linuxLog = options.linuxLog ?? options.log;
    this.#now = options.now;
    this.#random = options.random;
  }

  get policy(): NetdevPolicy {
    return { ...this.#policy, dpdk: this.dpdk?.isStarted === true };
  }

  types(): readonly NetdevType[] {
    return availableTypes(this.policy);
  }

  find(name: string): Netdev | undefined {
    return this.#byName.get(name);
  }

  byDpPort(dpPort: number): Netdev | undefined {
    return this.#byDpPort.get(dpPort);
  }

  /** Whether a device of the host, or one of ours, has a carrier. */
  deviceHasCarrier(name: string): boolean {
    const own = this.#byName.get(name);
    if (own !== undefined) return own.last.carrier;
    const found = link(this.datapath, name);
    return found !== undefined && (found.linkFlags & linkFlag.running) !== 0;
  }

  all(): readonly Netdev[] {
    return [...this.#byName.values()];
  }

  /** Opens a device of type `type` (as Interface.type) for a bridge of that datapath type.  Throws NetdevError with the
   *  sentence that Interface.error shows. */
  open(name: string, type: string, datapathType: string, options: ReadonlyMap<string, string>): Netdev {
    if (isReservedName(name)) {
      this.#log.warn(`could not create interface ${name}, name is reserved`, { name });
      throw new NetdevError("", { name, reserved: true });
    }
    const resolved = resolveType(type, datapathType, this.policy);
    if (resolved === undefined) {
      // With --disable-system a device of the system is one that is not there; a type that nobody knows is another matter.
      if (type !== "" && type !== "system") {
        this.#log.warn(`could not create netdev ${name} of unknown type ${type}`, { name, type });
        throw this.#refused(name, errno.addressFamily);
      }
      throw this.#refused(name, errno.noDevice);
    }
    if (this.#byName.has(name)) throw this.#refused(name, errno.exists);
    if (resolved.tunnel !== undefined) return this.#openTunnel(name, resolved, datapathType, options);
    const refusal = resolved.refuses?.(name, options);
    if (refusal !== undefined) throw this.#misconfigured(name, refusal);
    for (const key of options.keys()) {
      if (!resolved.options.includes(key))
        this.#log.warn(`${name}: unknown ${resolved.name} option '${key}'`, { name, key });
    }
    const afxdp = resolved.portClass === portClass.afxdp ? this.#readAfxdp(name, options) : undefined;
    const ahead = this.#ahead.take(name);
    const dpPort = resolved.portClass === undefined ? 0 : (ahead ?? this.#chooseNumber(name, resolved.dummy));
    if (ahead !== undefined) {
      // It is open.
    } else if (afxdp !== undefined) this.#openAfxdp(dpPort, name, afxdp);
    else if (resolved.portClass !== undefined) this.#openPort(dpPort, name, resolved, resolved.portClass, options);
    const netdev = new Netdev(name, resolved, dpPort, this, this.#randomMac());
    netdev.afxdp = afxdp;
    netdev.qos = this.#qosOf(netdev);
    this.#byName.set(name, netdev);
    if (dpPort !== 0) this.#byDpPort.set(dpPort, netdev);
    this.followTestOptions(netdev, options);
    netdev.state();
    return netdev;
  }

  #qosOf(netdev: Netdev): DeviceQos | undefined {
    if (netdev.type.dpdk !== undefined) {
      const { name, dpPort } = netdev;
      return new PolicerQos({ name, dpPort, datapath: this.datapath, now: this.#now, log: this.#log });
    }
    if (!netdev.isHostDevice) return undefined;
    return new LinuxQos({
      name: netdev.name,
      datapath: this.datapath,
      ifindex: () => netdev.last.ifindex,
      device: () => {
        const { mtu, speedMbps } = netdev.now;
        return { mtu, speed: bytesPerSecond(speedMbps), clock: hostTcClock() };
      },
      now: this.#now,
      log: this.#linuxLog,
    });
  }

  /** Runs `body`, which opens these devices: the datapath opens the ports of all of them at once, as each batch costs it as
   *  much as there are ports.  What `body` does not open is closed again. */
  openMany(wished: readonly WishedDevice[], body: () => void): void {
    if (wished.length > 1) this.#openAhead(wished);
    try {
      body();
    } finally {
      this.#ahead.close();
    }
  }

  #openAhead(wished: readonly WishedDevice[]): void {
    const ports = new Map<string, PortAhead>();
    const taken = new Set<number>();
    for (const { name, type, datapathType, options } of wished) {
      const resolved = resolveType(type, datapathType, this.policy);
      // Devices that need more than a batch to be opened are opened when it is their turn.
      const isPlain = resolved?.tunnel === undefined && resolved?.dpdk === undefined && resolved?.refuses === undefined;
      if (!isPlain || resolved?.portClass === undefined || resolved.portClass === portClass.afxdp) continue;
      if (isReservedName(name) || this.#byName.has(name) || ports.has(name)) continue;
      const dpPort = this.#findNumber(name, resolved.dummy, taken);
      if (dpPort === undefined) continue;
      taken.add(dpPort);
      ports.set(name, { dpPort, portClass: resolved.portClass, options });
    }
    this.#ahead.open(ports);
  }

  #openPort(
    dpPort: number,
    name: string,
    type: NetdevType,
    portClass: number,
    options: ReadonlyMap<string, string>,
  ): void {
    if (type.dpdk !== undefined && this.dpdk !== undefined) {
      this.#openDpdkPort(dpPort, name, type.dpdk, portClass, this.dpdk, options);
      return;
    }
    const error = errnoOf(new BatchBuilder().portOpen(dpPort, portClass, name, options).submit(this.datapath));
    if (error !== 0) throw this.#refused(name, error);
  }

  #openDpdkPort(
    dpPort: number,
    name: string,
    kind: DpdkKind,
    portClass: number,
    dpdk: Dpdk,
    options: ReadonlyMap<string, string>,
  ): void {
    const device = kind.device(name, options, dpdk.vhost);
    if (typeof device === "string") throw this.#complained(name, device);
    const { devargs } = device;
    if (kind.vhostMode === "server") dpdk.tellOldVhost();
    const config = new Map([...device.config, ["dpdk-devargs", devargs]]);
    const error = errnoOf(new BatchBuilder().portOpen(dpPort, portClass, name, config).submit(this.datapath));
    dpdk.tellLog();
    if (error === errno.noDevice) throw this.#complained(name, `Error attaching device '${devargs}' to DPDK`);
    if (error === errno.addressInUse) {
      const by = dpdk.ask("user", devargs).text;
      throw this.#complained(name, `'${name}' is trying to use device '${devargs}' which is already in use by '${by}'`);
    }
    if (error !== 0) throw this.#complained(name, this.#refused(name, error).message);
    this.#dpdkDevices.set(name, { text: configText(config), retries: config.get("tx-retries-max") });
    this.#setFlowControl(name, kind, options);
  }

  /** Flow control of a device that has it; a word to the log where it was asked for in vain. */
  #setFlowControl(name: string, kind: DpdkKind, options: ReadonlyMap<string, string>): void {
    if (kind.vhostMode !== undefined) return;
    const bits = flowControlOptions.map((key) => (isTrue(options, key) ? "1" : "0"));
    const error = this.dpdk?.ask("flow-control", name, ...bits).error ?? 0;
    const wanted = flowControlOptions.some((key) => options.has(key));
    if (error === errno.notSupported && wanted) this.#log.warn(`${name}: Flow control is not supported.`, { name });
    else if (error !== 0 && error !== errno.notSupported) {
      this.#log.warn(`${name}: Cannot get flow control parameters: ${errnoWords(error)}`, { name });
    }
    const mac = options.get("dpdk-vf-mac");
    if (mac !== undefined) {
      this.#log.warn(
        `'${name}' is trying to set the VF MAC '${mac}' but 'options:dpdk-vf-mac' is only supported for VF representors.`,
        { name },
      );
    }
  }

  /** Called by Netdev.setOptions: false when the device must be opened anew for them. */
  setDpdkOptions(netdev: Netdev, kind: DpdkKind, options: ReadonlyMap<string, string>): boolean {
    const device = this.dpdk === undefined ? "" : kind.device(netdev.name, options, this.dpdk.vhost);
    if (typeof device === "string") return false;
    const { ["tx-retries-max"]: retries, ...rest } = Object.fromEntries(device.config);
    const config = new Map([...Object.entries(rest), ["dpdk-devargs", device.devargs]]);
    const open = this.#dpdkDevices.get(netdev.name);
    if (open === undefined || open.text !== configText(config)) return false;
    if (retries !== undefined && retries !== open.retries) {
      const change = new BatchBuilder().portSet(netdev.dpPort, { "tx-retries-max": retries });
      if (errnoOf(change.submit(this.datapath)) !== 0) return false;
      open.retries = retries;
      this.#log.info(`Max Tx retries for vhost device '${netdev.name}' set to ${retries}`, { name: netdev.name });
    }
    this.#setFlowControl(netdev.name, kind, options);
    return true;
  }

  #readAfxdp(name: string, options: ReadonlyMap<string, string>): AfxdpConfig {
    const config = readAfxdp(name, options);
    if (typeof config !== "string") return config;
    this.#afxdpLog.err(config, { name });
    throw this.#complained(name, `${name}: could not set configuration (${errnoWords(errno.invalid)})`);
  }

  #openAfxdp(dpPort: number, name: string, config: AfxdpConfig): void {
    const options = afxdpOptions(config);
    const error = errnoOf(new BatchBuilder().portOpen(dpPort, portClass.afxdp, name, options).submit(this.datapath));
    if (error === 0) return;
    const remedy = error === errno.noDevice ? undefined : afxdpRemedy(name, error, config);
    if (remedy === undefined) throw this.#refused(name, error);
    throw new NetdevError(`could not add network device ${name} to ofproto (${errnoWords(error)}): ${remedy}`, {
      name,
      errno: error,
      // Every try that gets as far as attaching a program is itself a change of the device.
      settled: error !== errno.busy,
    });
  }

  /** DPDK's devices do not come by themselves, and one that it gives up is itself a device that comes and goes. */
  #complained(name: string, sentence: string): NetdevError {
    this.#log.warn(sentence, { name });
    return new NetdevError(sentence, { name, logged: true, settled: true });
  }

  /** A test device transmitted, which is told while it has a stream. */
  transmitted(dpPort: number, frame: Uint8Array): void {
    this.#byDpPort.get(dpPort)?.stream?.send(frame);
  }

  /** Takes what the options of a test device say that its driver does not know of: opens, changes or closes the stream
   *  that they name. */
  followTestOptions(netdev: Netdev, options: ReadonlyMap<string, string>): void {
    netdev.transmitQueues = Number(options.get("n_txq") ?? 1) || 1;
    const target = options.get("pstream") ?? options.get("stream");
    if (!netdev.type.dummy || netdev.stream?.target === target) return;
    netdev.stream?.close();
    netdev.stream = undefined;
    if (target === undefined) return;
    try {
      netdev.stream = new FrameStream(target, (frame) => {
        if (this.#byDpPort.get(netdev.dpPort) === netdev) netdev.receive(frame);
      });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#log.warn(`${netdev.name}: ${error.message}`, { name: netdev.name });
    }
    new BatchBuilder().portSet(netdev.dpPort, { tell: netdev.stream === undefined ? 0 : 1 }).submit(this.datapath);
  }

  /** Called by Netdev.close. */
  forget(netdev: Netdev): void {
    if (this.#byName.get(netdev.name) !== netdev) return;
    netdev.stream?.close();
    this.#byName.delete(netdev.name);
    this.#dpdkDevices.delete(netdev.name);
    if (netdev.tunnel !== undefined) this.#leaveTunnelPort(netdev);
    if (netdev.isVirtual) return;
    this.#byDpPort.delete(netdev.dpPort);
    new BatchBuilder().portClose(netdev.dpPort).submit(this.datapath);
  }

  /** The datapath ports that tunnels share. */
  tunnelPorts(): readonly TunnelPort[] {
    return [...this.#tunnelPorts.values()];
  }

  /** Takes changed options of a tunnel; false when they cannot be used. */
  setTunnel(netdev: Netdev, options: ReadonlyMap<string, string>): boolean {
    const { config } = parseTunnel(netdev.name, netdev.type.tunnel as TunnelType, options);
    if (config === undefined || this.#differsInGbp(netdev.name, config)) return false;
    this.#readTunnel(netdev.name, netdev.type, options);
    const datapathType = this.#tunnelPortOf(netdev)?.datapathType ?? "";
    // The new port comes before the old one goes, so that one that stays keeps its number.
    const before = netdev.tunnel;
    const dpPort = this.#joinTunnelPort(netdev.name, config, datapathType);
    if (before !== undefined) this.#leaveTunnelPort(netdev);
    netdev.tunnel = config;
    netdev.dpPort = dpPort;
    return true;
  }

  #openTunnel(name: string, type: NetdevType, datapathType: string, options: ReadonlyMap<string, string>): Netdev {
    const config = this.#readTunnel(name, type, options);
    const netdev = new Netdev(name, type, this.#joinTunnelPort(name, config, datapathType), this, this.#randomMac());
    netdev.tunnel = config;
    this.#byName.set(name, netdev);
    netdev.state();
    return netdev;
  }

  /** Reads options and says what is wrong with them. */
  #readTunnel(name: string, type: NetdevType, options: ReadonlyMap<string, string>): TunnelConfig {
    const parsed = parseTunnel(name, type.tunnel as TunnelType, options);
    const complaints = [...parsed.complaints];
    const clashes = parsed.config !== undefined && this.#differsInGbp(name, parsed.config);
    if (clashes)
      complaints.push(`${name}: VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port`);
    const text = complaints.join("\n");
    if (text !== "") this.#vportLog.warn(text, { name });
    if (parsed.config !== undefined && !clashes) return parsed.config;
    const error = clashes ? errno.exists : parsed.error;
    this.#log.warn(`${name}: could not set configuration (${errnoWords(error)})`, { name, errno: error });
    throw new NetdevError(text, { name, errno: error, logged: true });
  }

  #misconfigured(name: string, sentence: string): NetdevError {
    this.#vportLog.err(sentence, { name });
    this.#log.warn(`${name}: could not set configuration (${errnoWords(errno.invalid)})`, {
      name,
      errno: errno.invalid,
    });
    return new NetdevError(sentence, { name, errno: errno.invalid, logged: true });
  }

  /** All VXLAN tunnels on a port carry the group policy extension, or none. */
  #differsInGbp(name: string, config: TunnelConfig): boolean {
    if (config.type.name !== "vxlan") return false;
    return this.all().some(
      ({ name: other, tunnel }) =>
        other !== name &&
        tunnel?.type === config.type &&
        tunnel.dstPort === config.dstPort &&
        tunnel.gbp !== config.gbp,
    );
  }

  #tunnelPortOf(netdev: Netdev): TunnelPort | undefined {
    return this.tunnelPorts().find((port) => port.dpPort === netdev.dpPort);
  }

  /** The number of the datapath port that tunnels such as this share; made if it is not there. */
  #joinTunnelPort(name: string, config: TunnelConfig, datapathType: string): number {
    const dpName = dpPortName(config.type, config.dstPort);
    const key = `${datapathType}@${dpName}`;
    let port = this.#tunnelPorts.get(key);
    if (port === undefined) {
      const dpPort = this.#chooseNumber(dpName, datapathType === "dummy", name);
      port = {
        name: dpName,
        type: config.type.name,
        datapathType,
        dpPort,
        listens: config.type.ipProto !== 0,
        ipProto: config.type.ipProto,
        dstPort: config.type.dstPort === undefined ? undefined : config.dstPort,
        users: 0,
      };
      this.#tunnelPorts.set(key, port);
    }
    port.users += 1;
    return port.dpPort;
  }

  #leaveTunnelPort(netdev: Netdev): void {
    for (const [key, port] of this.#tunnelPorts) {
      if (port.dpPort !== netdev.dpPort) continue;
      port.users -= 1;
      if (port.users === 0) this.#tunnelPorts.delete(key);
    }
  }

  #refused(name: string, error: number): NetdevError {
    return new NetdevError(`could not open network device ${name} (${errnoWords(error)})`, { name, errno: error });
  }

  /** A dummy's number is the first one in its name, a hundred more for a name that begins with "br"; others, and dummies
   *  whose number is taken, get the lowest free one. */
  #chooseNumber(name: string, dummy: boolean, refused = name): number {
    const number = this.#findNumber(name, dummy, this.#ahead.numbers());
    if (number === undefined) throw this.#refused(refused, errno.noMemory);
    return number;
  }

  #findNumber(name: string, dummy: boolean, taken: ReadonlySet<number>): number | undefined {
    const digits = dummy ? /\d+/.exec(name)?.[0] : undefined;
    const wished = digits === undefined ? 0 : Number(digits) + (name.startsWith("br") ? 100 : 0);
    const shared = new Set(this.tunnelPorts().map((port) => port.dpPort));
    const free = (number: number): boolean => !this.#byDpPort.has(number) && !shared.has(number) && !taken.has(number);
    if (wished >= 1 && wished <= dpPortMax && free(wished)) return wished;
    for (let number = 1; number <= dpPortMax; number++) {
      if (free(number)) return number;
    }
    return undefined;
  }

  /** A random address, unicast and locally administered. */
  #randomMac(): Uint8Array {
    const mac = Uint8Array.from({ length: 6 }, () => Math.floor(this.#random() * 256));
    mac[0] = ((mac[0] ?? 0) & 0xfc) | 2;
    return mac;
  }
}
