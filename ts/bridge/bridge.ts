import type { Clock } from "../clock/index.js";
import { protocol } from "../datapath/generated/records.js";
import { type ProtocolPacket, patchStats } from "../datapath/index.js";
import type { Logger, LogSource } from "../log/index.js";
import { type DeviceState, type Netdev, NetdevError, type Netdevs, tunnelRecord } from "../netdev/index.js";
import {
  type Bundle,
  bondCounts,
  localPort10 as localPort,
  mirrorStats,
  mirrorsMax,
  type Ofproto,
  localPort as ofportLocal,
  type PortCounters,
  PortError,
} from "../ofproto/index.js";
import type { PortRow, Uuid } from "../ovsdb/index.js";
import { Aggregate, type AggregateMember } from "./aggregate.js";
import {
  bridgeAddress,
  datapathId,
  formatDatapathId,
  formatMac,
  type Mac,
  macBytes,
  parseMac,
} from "./bridge-address.js";

import { wantedBundle } from "./bundle.js";
import { Discovery } from "./discovery.js";
import { KeepAlive, type KeepAliveDatapath } from "./keep-alive.js";
import { LinkMonitor } from "./link-monitor.js";
import { wantedMirror } from "./mirror.js";
import { awaitsProof, isWatched } from "./monitor-rows.js";
import { wantedMulticast } from "./multicast.js";
import type { RunningBridge, RunningInterface } from "./plan.js";
import { countersOf, describe } from "./port-device.js";
import { applyQos, qosText, queueDscps, queuesOf } from "./queueing.js";
import { Spanning, type SpanningDevice } from "./spanning.js";
import type { SpanningPortRow } from "./spanning-rows.js";
import type { WantedBridge, WantedInterface, WantedPort } from "./wanted.js";

/** One running bridge: its switch, its devices, and what became of each interface that the database wants. */

export interface OpenInterface extends RunningInterface {
  readonly netdev: Netdev;
  row: Uuid | undefined;
}

/** Of Ethernet. */
const mtuDefault = 1500;

/** What `dpif/show` tells of the device: of one that threads poll, as it is when asked. */
function shownConfig(netdev: Netdev): string | undefined | (() => string | undefined) {
  return netdev.type.polled === true ? () => netdev.shownConfig : netdev.shownConfig;
}

/** Why an interface is not there. */
interface Failure {
  /** For Interface.error. */
  readonly message: string | undefined;
  /** Whether it may come with a device of the host that comes. */
  readonly awaitsDevice: boolean;
}

export class Bridge implements RunningBridge {
  readonly name: string;
  readonly datapathType: string;
  readonly ofproto: Ofproto;
  readonly interfaces = new Map<string, OpenInterface>();
  readonly spanning: Spanning;
  readonly discovery: Discovery;
  /** Interfaces that are wanted and could not be made, with the sentence for the database. */
  readonly failures = new Map<string, Failure>();
  /** What interfaces whose devices went away had: they get it again when the devices come back. */
  readonly #held = new Map<string, { readonly number: number; readonly carrierResets: number }>();
  /** Of the ports that do not follow it, when there last were some. */
  #smallestMtu: number | undefined;
  /** Whether a port that others may have followed is gone since they were last looked at. */
  #mtuGone = false;
  readonly #netdevs: Netdevs;
  readonly #log: Logger;
  readonly #bundleIds = new Map<string, number>();
  /** What each bundle was last set to, so that only changes go down. */
  readonly #bundles = new Map<number, string>();
  #nextBundle = 1;
  /** What each port is without its bond. */
  readonly #plainBundles = new Map<string, Bundle>();
  /** Ports of one interface, and what their bundles were made from: the rest of a pass need not look at them again. */
  readonly #settledPorts = new Map<string, { readonly row: PortRow | undefined; readonly member: number }>();
  readonly #aggregates = new Map<string, Aggregate>();
  #wantedPorts: ReadonlyMap<string, WantedPort> = new Map();
  /** What each interface's QoS was last set to.  One that could not be set is tried again whenever anything changes. */
  readonly #qosTexts = new Map<string, string>();
  readonly #mirrors = new Map<Uuid, { readonly index: number; readonly text: string }>();
  /** What each mirror's row last said, also when it made no mirror: a warning is not given again. */
  readonly #mirrorTexts = new Map<Uuid, string>();
  #floodVlans = "[]";
  #mac: Mac = 0n;
  /** Addresses of devices, read once from what each told. */
  readonly #macs = new WeakMap<DeviceState, Mac>();
  #datapathIdSaid = false;

  /** Interfaces that were added and not yet configured: nobody knows who watches their links. */
  readonly #unsettled = new Set<string>();
  /** Interfaces that were added since `takeFresh`. */
  readonly #fresh = new Set<string>();
  /** What watches the links of interfaces, by name. */
  readonly monitors = new Map<string, LinkMonitor>();
  readonly #clock: Clock;
  readonly #logSource: LogSource;
  readonly #statusChanged: () => void;
  readonly #random: () => number;
  readonly #takeEvents: () => void;
  readonly #keepAlives: KeepAliveDatapath;
  readonly #delegates: () => boolean;

  constructor(
    wanted: WantedBridge,
    ofproto: Ofproto,
    netdevs: Netdevs,
    surroundings: {
      readonly log: LogSource;
      readonly clock: Clock;
      readonly random: () => number;
      readonly takeEvents: () => void;
      readonly keepAlives: KeepAliveDatapath;
      readonly delegates: () => boolean;
      readonly statusChanged: () => void;
    },
  ) {
    this.name = wanted.name;
    this.datapathType = wanted.datapathType;
    this.ofproto = ofproto;
    this.#netdevs = netdevs;
    this.#log = surroundings.log("bridge");
    this.#logSource = surroundings.log;
    this.#clock = surroundings.clock;
    this.#statusChanged = surroundings.statusChanged;
    this.#random = surroundings.random;
    this.#takeEvents = surroundings.takeEvents;
    this.discovery = new Discovery({
      ofproto,
      clock: surroundings.clock,
      log: surroundings.log,
      device: (name) => {
        const open = this.interfaces.get(name);
        return open === undefined ? undefined : this.#spanningDevice(open);
      },
      vlansWait: surroundings.statusChanged,
    });
    this.#keepAlives = surroundings.keepAlives;
    this.#delegates = surroundings.delegates;
    this.spanning = new Spanning({
      ofproto,
      clock: surroundings.clock,
      log: surroundings.log,
      device: (port) => {
        const open = this.interfaces.get(port);
        return open === undefined ? undefined : this.#spanningDevice(open);
      },
      changed: surroundings.statusChanged,
    });
  }

  get mac(): Mac {
    return this.#mac;
  }

  addInterface(port: WantedPort, wanted: WantedInterface, requested: number | undefined): void {
    const options = wanted.row?.options ?? new Map<string, string>();
    let netdev: Netdev | undefined;
    try {
      netdev = this.#netdevs.open(wanted.name, wanted.type, this.datapathType, options);
      const opened = netdev;
      const added = this.ofproto.addPort({
        name: wanted.name,
        dpPort: netdev.dpPort,
        dpName: netdev.dpName,
        requestedNumber: requested ?? this.#held.get(wanted.name)?.number,
        settlesLater: true,
        shownAs: netdev.type.shownAs,
        shownConfig: wanted.type === "patch" ? () => this.#shownPeer(wanted.name) : shownConfig(netdev),
        tunnel: netdev.tunnel === undefined ? undefined : tunnelRecord(netdev.tunnel),
        setUp: (up) => {
          this.#setUp(opened, up);
        },
        counters: () => this.#counters(wanted.name),
        queues: netdev.qos === undefined && netdev.type.queues === undefined ? undefined : () => queuesOf(opened),
        mayEnable: !speaksLacp(port.row) && (wanted.row === undefined || !awaitsProof(wanted.row)),
        ...describe(netdev),
      });
      this.#unsettled.add(wanted.name);
      this.#fresh.add(wanted.name);
      const number = added.number === ofportLocal ? localPort : added.number;
      this.interfaces.set(wanted.name, {
        name: wanted.name,
        port: port.name,
        type: wanted.type,
        options,
        ofport: number,
        netdev,
        row: wanted.row?.uuid,
      });
      this.failures.delete(wanted.name);
      const held = this.#held.get(wanted.name);
      // A link that is up comes up, as far as who looks at the interface can see.
      if (held !== undefined) netdev.carrierResets = held.carrierResets + (netdev.last.carrier ? 1 : 0);
      this.#held.delete(wanted.name);
      this.#log.info(`bridge ${this.name}: added interface ${wanted.name} on port ${number}`, {
        bridge: this.name,
        name: wanted.name,
        ofport: number,
      });
    } catch (error) {
      netdev?.close();
      if (!(error instanceof NetdevError) && !(error instanceof PortError)) throw error;
      this.#failed(wanted.name, error);
    }
  }

  #failed(name: string, error: NetdevError | PortError): void {
    if (error.message !== "" && error.details["logged"] !== true)
      this.#log.warn(error.message, { bridge: this.name, name });
    this.failures.set(name, {
      message: error.message === "" ? undefined : error.message,
      awaitsDevice: error.details["settled"] !== true,
    });
  }

  /** Interfaces are going to be added, until `interfacesAdded`. */
  addsInterfaces(): void {
    this.ofproto.holdPorts();
  }

  /** Gives the datapath the interfaces that were added, all at once. */
  interfacesAdded(): void {
    for (const [name, error] of this.ofproto.letPorts()) {
      this.interfaces.get(name)?.netdev.close();
      this.interfaces.delete(name);
      this.#unsettled.delete(name);
      this.#failed(name, error);
    }
  }

  /** The device of an interface is gone, or another one; the interface is still wanted. */
  deviceVanished(name: string): void {
    const open = this.interfaces.get(name);
    if (open === undefined) return;
    const { carrierResets, last } = open.netdev;
    const fall = last.carrier ? 1 : 0;
    if (open.ofport !== localPort) this.#held.set(name, { number: open.ofport, carrierResets: carrierResets + fall });
    this.removeInterface(name);
  }

  removeInterface(name: string): void {
    const open = this.interfaces.get(name);
    if (open === undefined) return;
    if (!this.#followsMtu(open) && open.netdev.last.mtu !== undefined) this.#mtuGone = true;
    this.interfaces.delete(name);
    this.#unmonitor(name);
    this.#qosTexts.delete(name);
    this.discovery.remove(name);
    this.ofproto.removePort(name);
    open.netdev.close();
    this.#log.info(`bridge ${this.name}: deleted interface ${name} on port ${open.ofport}`, {
      bridge: this.name,
      name,
    });
  }

  /** Everything that follows from the rows and needs no port to come or go. */
  configure(wanted: WantedBridge): void {
    const wantedNames = new Set(
      [...wanted.ports.values()].flatMap((port) => port.interfaces.map((iface) => iface.name)),
    );
    for (const name of this.failures.keys()) if (!wantedNames.has(name)) this.failures.delete(name);
    for (const name of this.#held.keys()) if (!wantedNames.has(name)) this.#held.delete(name);
    for (const port of wanted.ports.values()) {
      for (const iface of port.interfaces) {
        const open = this.interfaces.get(iface.name);
        if (open !== undefined) open.row = iface.row?.uuid;
      }
    }
    this.#wantedPorts = wanted.ports;
    this.ofproto.settlePorts();
    this.#configureMacs(wanted);
    this.#configureAddress(wanted);
    this.ofproto.gatherBundles(() => this.#configureBundles(wanted));
    this.#configureMirrors(wanted);
    this.#configureSpanning(wanted);
    this.#configureMonitors(wanted);
    this.#configureDiscovery(wanted);
    this.#configureMtu();
    this.#configureQos(wanted);
    this.#configurePolicing(wanted);
    this.#configureSteering(wanted);
    this.#configureSettings(wanted);
  }

  /** Looks at a device again and tells the switch what changed. */
  refresh(name: string): void {
    const mtu = this.ofproto.findPort(name)?.device.mtu;
    this.#lookAgain(name);
    if (mtu !== this.ofproto.findPort(name)?.device.mtu) this.#followMtu();
  }

  #lookAgain(name: string): void {
    const open = this.interfaces.get(name);
    if (open === undefined) return;
    this.ofproto.updatePort(name, describe(open.netdev));
    this.#aggregates.get(open.port)?.run();
    this.#settleLiveness(open);
    this.spanning.carrierChanged(name);
  }

  /** Ports with LACP or with several members. */
  aggregates(): readonly Aggregate[] {
    return [...this.#aggregates.values()];
  }

  /** The aggregate that an interface is a member of. */
  aggregateOf(iface: OpenInterface): Aggregate | undefined {
    return this.#aggregates.get(iface.port);
  }

  /** A frame for a protocol brain arrived by an OpenFlow port, so long ago. */
  protocolPacket({ ofpPort, protocol: number, packet }: ProtocolPacket, agoMs: number): void {
    for (const iface of this.interfaces.values()) {
      if (iface.ofport !== (ofpPort === ofportLocal ? localPort : ofpPort)) continue;
      if (number === protocol.bfd) this.monitors.get(iface.name)?.receiveBfd(packet, agoMs);
      if (number === protocol.cfm) this.monitors.get(iface.name)?.receiveCfm(packet, agoMs);
      if (number === protocol.lldp) this.discovery.receive(iface.name, packet);
      if (number === protocol.lacp) this.#aggregates.get(iface.port)?.receive(iface.name, packet, agoMs);
      if (number === protocol.stp) this.spanning.receive(iface.name, packet);
    }
  }

  /** The other end of an interface's link is silent, as far as a protocol is concerned. */
  keepAliveSilent(ofpPort: number): void {
    for (const iface of this.interfaces.values()) {
      if (iface.ofport !== (ofpPort === ofportLocal ? localPort : ofpPort)) continue;
      this.monitors.get(iface.name)?.wake();
      this.#aggregates.get(iface.port)?.run();
    }
  }

  /** Interfaces that were added since this was last asked. */
  takeFresh(): readonly OpenInterface[] {
    const fresh = [...this.#fresh].flatMap((name) => this.interfaces.get(name) ?? []);
    this.#fresh.clear();
    return fresh;
  }

  get wantedPorts(): ReadonlyMap<string, WantedPort> {
    return this.#wantedPorts;
  }

  /** The interface of a port that has one only. */
  onlyInterface(port: string): string | undefined {
    const interfaces = this.#wantedPorts.get(port)?.interfaces ?? [];
    return interfaces.length === 1 ? interfaces[0]?.name : undefined;
  }

  /** An interface's options changed, and its device took them. */
  optionsChanged(name: string, options: ReadonlyMap<string, string>): void {
    const open = this.interfaces.get(name);
    if (open === undefined) return;
    this.interfaces.set(name, { ...open, options });
    if (open.netdev.tunnel === undefined) return;
    this.ofproto.changeTunnel(name, {
      dpPort: open.netdev.dpPort,
      dpName: open.netdev.dpName,
      shownConfig: open.netdev.shownConfig,
      tunnel: tunnelRecord(open.netdev.tunnel),
    });
  }

  /** Joins this bridge's patch ports with their other ends; `find` gives an interface of any bridge by name. */
  configurePeers(find: (name: string) => { readonly bridge: Bridge; readonly iface: OpenInterface } | undefined): void {
    for (const iface of this.interfaces.values()) {
      if (iface.type !== "patch") continue;
      const other = find(iface.options.get("peer") ?? "");
      const joined =
        other !== undefined &&
        other.iface.type === "patch" &&
        other.iface.options.get("peer") === iface.name &&
        other.bridge.datapathType === this.datapathType;
      this.ofproto.setPeer(
        iface.name,
        joined ? { bridge: other.bridge.ofproto.bridge, ofpPort: other.iface.ofport } : undefined,
      );
    }
  }

  #shownPeer(name: string): string {
    return `peer=${this.interfaces.get(name)?.options.get("peer") ?? ""}`;
  }

  /** The sentence for Interface.error of an interface that runs: a patch port without its other end. */
  runningError(iface: OpenInterface): string | undefined {
    if (iface.type !== "patch" || this.ofproto.findPort(iface.name)?.peer !== undefined) return undefined;
    const shown = this.datapathType === "dummy" ? "dummy" : this.datapathType;
    return `No usable peer '${iface.options.get("peer") ?? ""}' exists in '${shown}' datapath.`;
  }

  /** Interface.statistics: of a patch port, what the switch counted. */
  statistics(iface: OpenInterface): ReadonlyMap<string, number> {
    if (!iface.netdev.isVirtual) return iface.netdev.statistics();
    const counted = patchStats(this.#netdevs.datapath, this.ofproto.bridge, iface.ofport);
    if (counted === undefined) return new Map();
    return new Map([
      ["rx_bytes", Number(counted.rxBytes)],
      ["rx_packets", Number(counted.rxPackets)],
      ["tx_bytes", Number(counted.txBytes)],
      ["tx_packets", Number(counted.txPackets)],
    ]);
  }

  /** `removeSwitch` takes the switch with all its ports away, which is cheaper than one port after the other. */
  destroy(removeSwitch: () => void): void {
    this.spanning.close();
    for (const aggregate of this.#aggregates.values()) aggregate.close();
    this.#aggregates.clear();
    for (const name of [...this.monitors.keys()]) this.#unmonitor(name);
    this.discovery.close();
    removeSwitch();
    for (const { netdev } of this.interfaces.values()) netdev.close();
    this.interfaces.clear();
  }

  #configureBundles(wanted: WantedBridge): void {
    const kept = new Set<string>();
    for (const port of wanted.ports.values()) {
      const members = port.interfaces.flatMap((iface) => {
        const open = this.interfaces.get(iface.name);
        return open === undefined ? [] : [open.ofport === localPort ? ofportLocal : open.ofport];
      });
      if (members.length === 0) continue;
      kept.add(port.name);
      const [member = 0] = members;
      const isSingle = members.length === 1 && !speaksLacp(port.row) && !this.#aggregates.has(port.name);
      const settled = this.#settledPorts.get(port.name);
      if (isSingle && settled?.row === port.row && settled?.member === member) continue;
      if (isSingle) this.#settledPorts.set(port.name, { row: port.row, member });
      else this.#settledPorts.delete(port.name);
      const { bundle, warnings } = wantedBundle(this.name, port.name, port.row, members);
      let id = this.#bundleIds.get(port.name);
      if (id === undefined) {
        id = this.#nextBundle++;
        this.#bundleIds.set(port.name, id);
      }
      const isNew = JSON.stringify(this.#plainBundles.get(port.name)) !== JSON.stringify(bundle);
      if (isNew) for (const warning of warnings) this.#log.warn(warning, { bridge: this.name, port: port.name });
      this.#plainBundles.set(port.name, bundle);
      this.#configureAggregate(port, members.length);
      this.#setBundle(port.name);
    }
    for (const [name, id] of this.#bundleIds) {
      if (kept.has(name)) continue;
      this.#bundleIds.delete(name);
      this.#bundles.delete(id);
      this.#plainBundles.delete(name);
      this.#settledPorts.delete(name);
      this.#aggregates.get(name)?.close();
      this.#aggregates.delete(name);
      this.ofproto.removeBundle(id);
    }
  }

  /** Hands a port as it is now to the switch, if that changes anything. */
  #setBundle(name: string): void {
    const id = this.#bundleIds.get(name);
    const plain = this.#plainBundles.get(name);
    if (id === undefined || plain === undefined) return;
    const aggregate = this.#aggregates.get(name);
    const bond = aggregate?.bundle();
    const bundle: Bundle = { ...plain, lacp: aggregate?.lacp !== undefined, ...(bond === undefined ? {} : { bond }) };
    const text = JSON.stringify(bundle);
    if (this.#bundles.get(id) === text) return;
    this.#bundles.set(id, text);
    this.ofproto.setBundle(id, bundle);
  }

  #configureAggregate(port: WantedPort, members: number): void {
    let aggregate = this.#aggregates.get(port.name);
    if (port.row === undefined || (members < 2 && !speaksLacp(port.row))) {
      this.#lookAtMembers(port.name, false);
      aggregate?.close();
      this.#aggregates.delete(port.name);
      return;
    }
    if (aggregate === undefined) {
      aggregate = new Aggregate(port.name, {
        ofproto: this.ofproto,
        clock: this.#clock,
        log: this.#logSource,
        keepAlive: () => new KeepAlive(this.#keepAlives, this.ofproto.bridge, protocol.lacp),
        delegates: this.#delegates,
        takeEvents: this.#takeEvents,
        members: (name) => this.#membersOf(name),
        look: (name, asksDevices) => {
          this.#lookAtMembers(name, asksDevices);
        },
        counted: (name) => {
          const id = this.#bundleIds.get(name);
          return id === undefined ? undefined : bondCounts(this.#netdevs.datapath, this.ofproto.bridge, id);
        },
        changed: (name) => {
          this.#setBundle(name);
          for (const open of this.interfaces.values()) if (open.port === name) this.#settleLiveness(open);
          this.#statusChanged();
        },
      });
      this.#aggregates.set(port.name, aggregate);
    }
    aggregate.configure(port.row, this.#mac);
  }

  #lookAtMembers(port: string, asksDevices: boolean): void {
    for (const { name } of this.#wantedPorts.get(port)?.interfaces ?? []) {
      const netdev = this.interfaces.get(name)?.netdev;
      if (netdev === undefined) continue;
      const isNew = netdev.asksDevice !== asksDevices;
      if (!isNew && !asksDevices) continue;
      netdev.asksDevice = asksDevices;
      if (!isNew && !netdev.hasMoved) continue;
      this.refresh(name);
      this.#statusChanged();
    }
  }

  #membersOf(port: string): readonly AggregateMember[] {
    const interfaces = this.#wantedPorts.get(port)?.interfaces ?? [];
    return interfaces.flatMap(({ name, row }) => {
      const open = this.interfaces.get(name);
      if (open === undefined) return [];
      const { mac, carrier, up } = open.netdev.last;
      return [
        {
          name,
          mac,
          carrier: carrier && up,
          mayEnable: this.monitors.get(name)?.mayEnable() ?? true,
          ofport: open.ofport === localPort ? ofportLocal : open.ofport,
          carrierResets: open.netdev.carrierResets,
          config: row?.other_config,
        },
      ];
    });
  }

  #configureSpanning(wanted: WantedBridge): void {
    const { row } = wanted;
    const isOff = !row.stp_enable && !row.rstp_enable;
    if (isOff && this.spanning.stp === undefined && this.spanning.rstp === undefined) {
      this.spanning.configure({ bridge: row, mac: this.#mac, ports: [] });
      return;
    }
    const mirrors = new Set(wanted.mirrors.map((mirror) => mirror.output_port));
    const ports = [...wanted.ports.values()].flatMap(({ row, interfaces }): SpanningPortRow[] => {
      if (row === undefined) return [];
      const open = this.interfaces.get(interfaces[0]?.name ?? "");
      const isInternal = interfaces[0]?.type === "internal";
      const device = open === undefined ? undefined : { ...open.netdev.last, ...this.#spanningDevice(open) };
      return [{ row, interfaces: interfaces.length, isInternal, isMirror: mirrors.has(row.uuid), device }];
    });
    // Numbers are given in the order of OpenFlow ports, so that they stay.
    const rank = ({ device }: SpanningPortRow): number =>
      this.interfaces.get(device?.name ?? "")?.ofport ?? Number.POSITIVE_INFINITY;
    ports.sort((a, b) => rank(a) - rank(b));
    this.spanning.configure({ bridge: wanted.row, mac: this.#mac, ports });
  }

  #spanningDevice({ name, ofport, netdev }: OpenInterface): SpanningDevice {
    const { mac, carrier, up } = netdev.last;
    // Only the rapid protocol looks further than the carrier.
    const isLive = this.spanning.rstp === undefined || this.ofproto.findPort(name)?.mayEnable !== false;
    return { name, ofport: ofport === localPort ? ofportLocal : ofport, mac, carrier: carrier && up && isLive };
  }

  #configureMonitors(wanted: WantedBridge): void {
    for (const { name, row } of [...wanted.ports.values()].flatMap((port) => port.interfaces)) {
      const open = this.interfaces.get(name);
      if (open === undefined || row === undefined) {
        this.#unsettled.delete(name);
        continue;
      }
      const known = this.monitors.get(name);
      const monitor = known === undefined && isWatched(row) ? this.#newMonitor(open) : known;
      if (monitor?.configure(row) === true) this.monitors.set(name, monitor);
      else this.#unmonitor(name);
      // What a monitor says while it is being configured is not known to be of this port yet.
      this.#unsettled.delete(name);
      this.#settleLiveness(open);
    }
  }

  #configureDiscovery(wanted: WantedBridge): void {
    const rows = [...wanted.ports.values()].flatMap((port) => port.interfaces.flatMap(({ row }) => row ?? []));
    this.discovery.configure(
      rows.filter(({ name }) => this.interfaces.has(name)),
      wanted.autoAttach,
    );
  }

  #newMonitor({ name }: OpenInterface): LinkMonitor {
    return new LinkMonitor(name, {
      ofproto: this.ofproto,
      clock: this.#clock,
      log: this.#logSource,
      random: this.#random,
      takeEvents: this.#takeEvents,
      keepAlive: (number) => new KeepAlive(this.#keepAlives, this.ofproto.bridge, number),
      delegates: this.#delegates,
      device: () => {
        const open = this.interfaces.get(name);
        if (open === undefined) return undefined;
        return { mac: open.netdev.last.mac, ofport: open.ofport === localPort ? ofportLocal : open.ofport };
      },
      rxPackets: () => {
        const open = this.interfaces.get(name);
        return open === undefined ? 0 : (this.statistics(open).get("rx_packets") ?? 0);
      },
      changed: () => {
        const open = this.interfaces.get(name);
        if (open !== undefined) this.#settleLiveness(open);
        this.#statusChanged();
      },
    });
  }

  #unmonitor(name: string): void {
    this.monitors.get(name)?.close();
    this.monitors.delete(name);
  }

  /** A port is live if its device has a carrier and the protocols that watch its link agree. */
  #settleLiveness({ name, port }: OpenInterface): void {
    const aggregate = this.#aggregates.get(port);
    const mayEnable = (this.monitors.get(name)?.mayEnable() ?? true) && aggregate?.lacpLets(name) !== false;
    if (this.#unsettled.has(name) || this.ofproto.findPort(name)?.mayEnable === mayEnable) return;
    this.ofproto.setMayEnable(name, mayEnable);
    this.spanning.carrierChanged(name);
    aggregate?.run();
  }

  #configureMirrors(wanted: WantedBridge): void {
    if (wanted.mirrors.length === 0 && this.#mirrors.size === 0) return;
    const names = new Map([...wanted.ports.values()].flatMap((port) => (port.row ? [[port.row.uuid, port.name]] : [])));
    const bundleOf = (port: Uuid): number | undefined => this.#bundleIds.get(names.get(port) ?? "");
    const kept = new Set<Uuid>();
    for (const row of wanted.mirrors) {
      const { mirror, warnings } = wantedMirror(this.name, row, bundleOf);
      const open = this.#mirrors.get(row.uuid);
      const text = JSON.stringify([mirror, warnings]);
      if (mirror !== undefined) kept.add(row.uuid);
      if (open?.text === text || this.#mirrorTexts.get(row.uuid) === text) continue;
      this.#mirrorTexts.set(row.uuid, text);
      for (const warning of warnings) this.#log.warn(warning, { bridge: this.name, mirror: row.name });
      const index = open?.index ?? this.#freeMirror();
      if (mirror === undefined) continue;
      if (index === undefined) {
        kept.delete(row.uuid);
        this.#log.warn(`bridge ${this.name}: maximum of ${mirrorsMax} port mirrors reached, cannot create ${row.name}`);
        continue;
      }
      this.#mirrors.set(row.uuid, { index, text });
      this.ofproto.setMirror(index, mirror);
    }
    for (const [uuid, { index }] of this.#mirrors) {
      if (kept.has(uuid)) continue;
      this.#mirrors.delete(uuid);
      this.#mirrorTexts.delete(uuid);
      this.ofproto.removeMirror(index);
    }
  }

  #freeMirror(): number | undefined {
    const used = new Set([...this.#mirrors.values()].map((mirror) => mirror.index));
    return Array.from({ length: mirrorsMax }, (_, index) => index).find((index) => !used.has(index));
  }

  /** Mirror.statistics of the rows that made a mirror. */
  *mirrorStatistics(): Generator<readonly [Uuid, ReadonlyMap<string, number>], void> {
    for (const [uuid, { index }] of this.#mirrors) {
      const counted = mirrorStats(this.#netdevs.datapath, this.ofproto.bridge, index);
      if (counted === undefined) continue;
      yield [
        uuid,
        new Map([
          ["tx_bytes", Number(counted.nBytes)],
          ["tx_packets", Number(counted.nPackets)],
        ]),
      ];
    }
  }

  #configureAddress(wanted: WantedBridge): void {
    const first = new Map<string, string>();
    for (const port of wanted.ports.values()) {
      let least: string | undefined;
      for (const { name } of port.interfaces)
        if (this.interfaces.has(name) && (least === undefined || name < least)) least = name;
      if (least !== undefined) first.set(least, port.name);
    }
    const candidates = [...first].map(([name, portName]) => {
      const asked = wanted.ports.get(portName)?.row?.mac;
      const state = this.interfaces.get(name)?.netdev.last;
      const mac = asked !== undefined ? parseMac(asked) : state === undefined ? undefined : this.#macOf(state);
      return { name, mac, excluded: name === this.name };
    });
    const { mac, bad } = bridgeAddress(wanted.row.other_config.get("hwaddr"), candidates, wanted.row.uuid);
    if (bad !== undefined) this.#log.warn(`bridge ${this.name}: invalid hwaddr ${bad}`, { bridge: this.name });
    const local = this.interfaces.get(this.name);
    if (local !== undefined && textOf(local.netdev.last.mac) !== formatMac(mac)) {
      this.#attempt(() => {
        local.netdev.setMac(macBytes(mac));
      });
      this.refresh(this.name);
    }
    this.#mac = mac;
    const id = datapathId(wanted.row.other_config.get("datapath-id"), mac);
    if (id !== this.ofproto.datapathId || !this.#datapathIdSaid) {
      this.#datapathIdSaid = true;
      this.ofproto.setDatapathId(id);
      this.#log.info(`bridge ${this.name}: using datapath ID ${formatDatapathId(id)}`, { bridge: this.name });
    }
  }

  #macOf(state: DeviceState): Mac | undefined {
    let mac = this.#macs.get(state);
    if (mac === undefined) {
      mac = parseMac(textOf(state.mac));
      if (mac !== undefined) this.#macs.set(state, mac);
    }
    return mac;
  }

  /** The address of an internal port other than the local one is what its row asks for. */
  #configureMacs(wanted: WantedBridge): void {
    for (const iface of [...wanted.ports.values()].flatMap((port) => port.interfaces)) {
      const open = this.interfaces.get(iface.name);
      const asked = iface.row?.mac === undefined ? undefined : parseMac(iface.row.mac);
      if (open === undefined || asked === undefined || iface.type !== "internal" || iface.name === this.name) continue;
      if (textOf(open.netdev.last.mac) === formatMac(asked)) continue;
      if (((asked >> 40n) & 1n) === 1n) {
        this.#log.err(`interface ${iface.name}: cannot set MAC to multicast address`, { name: iface.name });
        continue;
      }
      this.#attempt(() => {
        open.netdev.setMac(macBytes(asked));
      });
      this.refresh(iface.name);
    }
  }

  #configureQos(wanted: WantedBridge): void {
    for (const { interfaces, qos } of wanted.ports.values()) {
      const text = qosText(qos);
      for (const { name } of interfaces) {
        const open = this.interfaces.get(name);
        if (open === undefined || this.#qosTexts.get(name) === text) continue;
        this.ofproto.setQueueDscps(name, queueDscps(qos));
        if (applyQos(open.netdev, qos)) this.#qosTexts.set(name, text);
        else this.#qosTexts.delete(name);
      }
    }
  }

  #configurePolicing(wanted: WantedBridge): void {
    for (const { name, row } of [...wanted.ports.values()].flatMap((port) => port.interfaces)) {
      if (row === undefined) continue;
      this.#attempt(() => {
        this.interfaces.get(name)?.netdev.police({
          kbps: row.ingress_policing_rate,
          burstKb: row.ingress_policing_burst,
          kpktps: row.ingress_policing_kpkts_rate,
          burstKpkts: row.ingress_policing_kpkts_burst,
        });
      });
    }
  }

  #configureSteering(wanted: WantedBridge): void {
    for (const { name, row } of [...wanted.ports.values()].flatMap((port) => port.interfaces)) {
      const netdev = this.interfaces.get(name)?.netdev;
      const mode = row?.other_config.get("tx-steering") === "hash" ? "hash" : "thread";
      if (netdev === undefined || netdev.txSteering === mode) continue;
      this.#attempt(() => {
        netdev.steer(mode);
        this.#logSource("dpif_netdev").info(`${name}: Tx packet steering mode has been set to '${mode}'.`, { name });
      });
    }
  }

  /** What is asked for is set; internal ports that ask for nothing follow the smallest of the others. */
  #configureMtu(): void {
    for (const { name, row } of [...this.#wantedPorts.values()].flatMap((port) => port.interfaces)) {
      const open = this.interfaces.get(name);
      if (open !== undefined && row?.mtu_request !== undefined) this.#giveMtu(open, row.mtu_request);
    }
    this.#followMtu();
  }

  /** Internal ports follow when the smallest changes, and never exceed it; one that is smaller, because it once asked for
   *  it or was made so from outside, stays so until then. */
  #followMtu(): void {
    const open = [...this.interfaces.values()].filter(({ netdev }) => netdev.last.mtu !== undefined);
    const [followers, others] = [
      open.filter((iface) => this.#followsMtu(iface)),
      open.filter((iface) => !this.#followsMtu(iface)),
    ];
    const before = this.#smallestMtu;
    if (others.length > 0) this.#smallestMtu = Math.min(...others.map(({ netdev }) => netdev.last.mtu ?? mtuDefault));
    else if (this.#mtuGone) this.#smallestMtu = mtuDefault;
    this.#mtuGone = false;
    const smallest = this.#smallestMtu;
    if (smallest === undefined) return;
    for (const iface of followers)
      if (smallest !== before || (iface.netdev.last.mtu ?? 0) > smallest) this.#giveMtu(iface, smallest);
  }

  #followsMtu(iface: OpenInterface): boolean {
    if (iface.type !== "internal") return false;
    const wanted = this.#wantedPorts.get(iface.port)?.interfaces.find(({ name }) => name === iface.name);
    return wanted?.row?.mtu_request === undefined;
  }

  #giveMtu({ name, netdev }: OpenInterface, mtu: number): void {
    if (netdev.last.mtu === undefined || netdev.last.mtu === mtu) return;
    try {
      netdev.setMtu(mtu);
    } catch (error) {
      if (!(error instanceof NetdevError)) throw error;
      this.#logSource("netdev").warn(error.message, error.details);
    }
    this.#lookAgain(name);
  }

  #configureSettings(wanted: WantedBridge): void {
    const { other_config: config } = wanted.row;
    const number = (key: string, fallback: number, min: number, max: number): number => {
      const value = Number(config.get(key) ?? fallback);
      return Number.isInteger(value) && value >= min && value <= max ? value : fallback;
    };
    const flooded = JSON.stringify(wanted.row.flood_vlans);
    if (flooded !== this.#floodVlans) {
      this.#floodVlans = flooded;
      this.ofproto.setFloodVlans(wanted.row.flood_vlans);
    }
    this.ofproto.changeSettings({
      multicast: wantedMulticast(wanted.row),
      forwardBpdu: config.get("forward-bpdu") === "true",
      macAgingS: number("mac-aging-time", 300, 1, 2 ** 31 - 1),
      macTableSize: number("mac-table-size", 8192, 1, 2 ** 31 - 1),
    });
  }

  #counters(name: string): PortCounters | undefined {
    const iface = this.interfaces.get(name);
    return iface === undefined ? undefined : countersOf(this.statistics(iface));
  }

  #setUp(netdev: Netdev, up: boolean): void {
    this.#attempt(() => {
      netdev.setUp(up);
    });
    this.refresh(netdev.name);
  }

  #attempt(change: () => void): void {
    try {
      change();
    } catch (error) {
      if (!(error instanceof NetdevError)) throw error;
      this.#log.warn(`bridge ${this.name}: ${error.message}`, { bridge: this.name, ...error.details });
    }
  }
}

const textOf = (mac: Uint8Array): string => [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");

const speaksLacp = (row: PortRow | undefined): boolean => row?.lacp !== undefined && row.lacp !== "off";
