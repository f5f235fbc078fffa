import type { Clock } from "../clock/index.js";
import {
  bridgeAddSize,
  bridgeDelSize,
  bridgeFlag,
  bridgeSetSize,
  bundleDelSize,
  bundleSetSize,
  command,
  fdbFlushSize,
  floodVlansSetSize,
  flowChange,
  flowFlag,
  flowFlushSize,
  mdbFlushSize,
  mirrorDelSize,
  mirrorSetSize,
  monitorFlag,
  ofportDelSize,
  ofportSetSize,
  packetTypeMode,
  tableSetSize,
  tunnelSize,
  writeBridgeAdd,
  writeBridgeDel,
  writeBridgeSet,
  writeBundleDel,
  writeBundleSet,
  writeFdbFlush,
  writeFloodVlansSet,
  writeFlowFlush,
  writeMdbFlush,
  writeMirrorDel,
  writeMirrorSet,
  writeOfportDel,
  writeOfportSet,
  writeTableSet,
  writeTunnel,
} from "../datapath/generated/records.js";
import type { Logger, LogSource } from "../log/index.js";
import { equalBytes, TlvMap } from "../openflow/index.js";
import type { IpfixStats } from "../openflow/message.js";
import { type BatchResults, CommandBatch, DatapathError, type FlowDatapath } from "./abi-batch.js";
import { type Bundle, type BundleBond, bitmap, bundleRecord, bundleTail } from "./bundle.js";
import { addFlowMod, errorText, type FlowModOutcome, FlowModQueue, transactionId } from "./flow-mods.js";
import { anyPort, type FlowRecord, type FlowReportRecord } from "./flow-records.js";
import { internalFlows, type SystemFlow, systemFlowMod } from "./internal-flows.js";
import { type Mirror, mirrorRecord, mirrorTail } from "./mirror.js";
import {
  configOf,
  describePort,
  localPort,
  localPort10,
  noMonitor,
  type OfPort,
  type PatchPeer,
  type PortDevice,
  type PortMonitor,
  type PortSpec,
  portConfig,
  portState,
  type SpanningPort,
  stateOf,
  stpState,
  type TunnelChange,
} from "./port.js";
import { PortNumbers } from "./port-number.js";
import type { DoneRequest, FlowChange, OfprotoListener, PacketInEvent, Requester } from "./requester.js";
import { noSampling, type Sampling } from "./sampling.js";
import { tableInfos } from "./table-infos.js";
import { defaultTable, describeTable, type TableSettings, vacancy, vacancyReason } from "./table-settings.js";
import { appendTlvMap } from "./tlv-map.js";
import { tunnelKey, tunnelMatchText } from "./tunnel-match.js";

/** One OpenFlow switch: its ports, its settings, and the way to its tables, which live in the datapath. */

/** What a switch needs of the set that it belongs to; `Ofprotos` is one. */
export interface OfprotoOwner {
  /** Counts what changes. */
  nChanges: number;
  readonly datapath: FlowDatapath;
  readonly clock: Clock;
  readonly log: LogSource;
  byId(bridge: number): Ofproto | undefined;
  byUuid(uuid: Uint8Array): Ofproto | undefined;
  all(): readonly Ofproto[];
  drainChanges(): void;
}

export interface OfprotoOptions {
  readonly name: string;
  /** `system`, `netdev` or `dummy`, as dpif/show groups bridges. */
  readonly datapathType?: string;
  readonly datapathId: bigint;
  readonly description?: Partial<SwitchDescription>;
}

/** The strings of OFPMP_DESC. */
export interface SwitchDescription {
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly serial: string;
  readonly datapath: string;
}

export interface SwitchSettings {
  readonly forwardBpdu: boolean;
  /** Which spanning tree protocol the bridge speaks. */
  readonly spanningTree: "none" | "stp" | "rstp";
  readonly macAgingS: number;
  readonly macTableSize: number;
  readonly multicast: Multicast;
  /** OFPC_FRAG: 0 normal, 1 drop, 2 reassemble, 3 nx-match. */
  readonly fragMode: number;
  readonly invalidTtlToController: boolean;
  /** Controllers may be reached through the bridge: its local port hears DHCP replies in any case. */
  readonly inBand: boolean;
  /** Some controller wants packets that no rule matches. */
  readonly sampling: Sampling;
  readonly packetInOnMiss: boolean;
  /** Output to a tunnel leaves its headers to the datapath. */
  readonly kernelTunnels: boolean;
  /** Somebody wants to know of every change of a flow. */
  readonly monitorFlows: boolean;
  /** Some controller has accepted the switch. */
  readonly isControlled: boolean;
}

/** Who made the changes that are being told. */
interface ChangeAuthor {
  readonly requester: Requester | undefined;
  xidOf(origin: number): number;
}

const nobody: ChangeAuthor = { requester: undefined, xidOf: () => 0 };

/** How NORMAL treats multicast. */
export interface Multicast {
  /** IGMP and MLD say where multicast is wanted. */
  readonly snooping: boolean;
  readonly agingS: number;
  readonly tableSize: number;
  /** What nobody asked for goes everywhere. */
  readonly floodUnregistered: boolean;
}

const defaultSettings: SwitchSettings = {
  forwardBpdu: false,
  spanningTree: "none",
  macAgingS: 300,
  macTableSize: 8192,
  multicast: { snooping: false, agingS: 300, tableSize: 2048, floodUnregistered: true },
  fragMode: 0,
  invalidTtlToController: false,
  inBand: false,
  sampling: noSampling,
  packetInOnMiss: false,
  kernelTunnels: false,
  monitorFlows: false,
  isControlled: false,
};

const defaultDescription: SwitchDescription = {
  manufacturer: "Nicira, Inc.",
  hardware: "Open vSwitch",
  software: "3.1.0",
  serial: "None",
  datapath: "None",
};

const changeKinds: Readonly<Record<number, FlowChange["kind"]>> = {
  [flowChange.removed]: "removed",
  [flowChange.added]: "added",
  [flowChange.modified]: "modified",
};

/** Tables of the datapath's bridge, the switch's own one included. */
const tableCount = 255;

/** The user asked for a port that cannot be. */
export class PortError extends Error {
  readonly code: "PORT_EXISTS" | "PORT_NUMBERS_USED_UP" | "PORT_REFUSED";
  readonly details: Readonly<Record<string, unknown>>;
  constructor(code: PortError["code"], sentence: string, details: Readonly<Record<string, unknown>>) {
    super(sentence);
    this.name = "PortError";
    this.code = code;
    this.details = details;
  }
}

const refusal = (port: string, error: number): PortError =>
  new PortError("PORT_REFUSED", `the datapath refused port ${port} (${errorText(error)})`, { error });

export class Ofproto {
  readonly name: string;
  /** The ABI's id of the bridge. */
  readonly bridge: number;
  /** Random: no other switch has it, before or after a restart. */
  readonly uuid: Uint8Array;
  readonly datapathType: string;
  /** Strings of OFPMP_DESC; the owner may replace them. */
  description: SwitchDescription;
  /** What IPFIX exporters have counted, of the bridge or of its collector sets; whoever runs exporters says it. */
  ipfixStats: (ofBridge: boolean) => readonly IpfixStats[] = () => [];
  readonly owner: OfprotoOwner;
  readonly #log: Logger;
  readonly #listeners = new Set<OfprotoListener>();
  readonly #numbers = new PortNumbers();
  readonly #byNumber = new Map<number, OfPort>();
  #gathersBundles = false;
  /** Ports of which the datapath has not been told yet, in the order of the commands in `#portBatch`. */
  #heldPorts: OfPort[] | undefined;
  readonly #portBatch = new CommandBatch(4096);
  /** Ports that are there and not yet live. */
  readonly #unsettled = new Set<OfPort>();
  readonly #byName = new Map<string, OfPort>();
  readonly #bundles = new Map<number, { readonly bundle: Bundle; readonly sinceMs: number }>();
  #tlvs = TlvMap.empty;
  readonly #batch = new CommandBatch(4096);
  readonly #tables = new Map<number, TableSettings>();
  /** Tables whose vacancy somebody wants to know of. */
  readonly #watchedTables = new Set<number>();
  #settings = defaultSettings;
  #author = nobody;
  #datapathId: bigint;
  #destroyed = false;

  /** Use `Ofprotos.create`. */
  constructor(
    owner: OfprotoOwner,
    id: { readonly bridge: number; readonly uuid: Uint8Array },
    options: OfprotoOptions,
  ) {
    this.owner = owner;
    this.bridge = id.bridge;
    this.uuid = id.uuid;
    this.name = options.name;
    this.datapathType = options.datapathType ?? "system";
    this.description = { ...defaultDescription, ...options.description };
    this.#datapathId = options.datapathId;
    this.#log = owner.log("ofproto");
    this.#batch.add(bridgeAddSize, (view, at) =>
      writeBridgeAdd(view, at, { type: command.bridgeAdd, flags: 0, size: 0, bridge: id.bridge, nTables: tableCount }),
    );
    this.#addSettings();
    for (const flow of internalFlows) addFlowMod(this.#batch, id.bridge, systemFlowMod(flow, 0));
    this.#submit("add the bridge");
  }

  get datapath(): FlowDatapath {
    return this.owner.datapath;
  }
  get clock(): Clock {
    return this.owner.clock;
  }
  get log(): Logger {
    return this.#log;
  }
  get datapathId(): bigint {
    return this.#datapathId;
  }
  get settings(): SwitchSettings {
    return this.#settings;
  }
  get isDestroyed(): boolean {
    return this.#destroyed;
  }

  /** Who asked for it makes its controllers reconnect: the switch only answers with the new one. */
  setDatapathId(id: bigint): void {
    this.#datapathId = id;
  }

  listen(listener: OfprotoListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changeSettings(change: Partial<SwitchSettings>): void {
    const next = { ...this.#settings, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.#settings)) return;
    this.#settings = next;
    this.#addSettings();
    this.#submit("change the settings");
  }

  // Ports.

  /** Adds a port and tells it.  Throws PortError. */
  addPort(spec: PortSpec): OfPort {
    if (this.#byName.has(spec.name)) {
      throw new PortError("PORT_EXISTS", `${this.name} has a port ${spec.name} already`, { port: spec.name });
    }
    const now = this.clock.monotonic();
    const number =
      spec.requestedNumber === localPort10 || spec.requestedNumber === localPort
        ? localPort
        : this.#numbers.allocate(spec.requestedNumber, now);
    if (number === undefined || (number === localPort && this.#byNumber.has(localPort))) {
      throw new PortError("PORT_NUMBERS_USED_UP", `${this.name} has no OpenFlow port number left`, { port: spec.name });
    }
    const port: OfPort = {
      name: spec.name,
      number,
      spec,
      device: spec,
      peer: spec.peer,
      config: configOf(0, spec),
      state: stateOf(spec) & ~portState.live,
      spanning: 0,
      monitor: noMonitor,
      mayEnable: spec.mayEnable ?? true,
      takesLldp: false,
      queueDscps: new Map(),
      createdMs: now,
    };
    if (this.#hasTwin(port)) {
      this.#numbers.release(number, now);
      throw new PortError("PORT_EXISTS", `could not add network device ${spec.name} to ofproto (File exists)`, {
        port: spec.name,
      });
    }
    const error = this.#setPort(port);
    if (error !== 0) {
      this.#numbers.release(number, now);
      throw refusal(spec.name, error);
    }
    this.#byNumber.set(number, port);
    this.#byName.set(spec.name, port);
    this.#tellPort(0, port, undefined, undefined);
    if (spec.settlesLater === true) this.#unsettled.add(port);
    else this.#settleState(port);
    return port;
  }

  /** Ports that are added from now on are told to the datapath by `letPorts`, all at once. */
  holdPorts(): void {
    this.#heldPorts ??= [];
  }

  /** Tells the datapath of the ports that were held.  Those that it refuses are gone; returns them with the reason. */
  letPorts(): readonly (readonly [port: string, reason: PortError])[] {
    const held = this.#heldPorts ?? [];
    this.#heldPorts = undefined;
    if (held.length === 0) return [];
    const results = this.#portBatch.submit(this.datapath, true);
    return held.flatMap((port, index): [string, PortError][] => {
      const error = results.error(index);
      if (error === 0) return [];
      this.#byName.delete(port.name);
      this.#byNumber.delete(port.number);
      if (port.number !== localPort) this.#numbers.release(port.number, this.clock.monotonic());
      this.#tellPort(1, port, undefined, undefined);
      return [[port.name, refusal(port.name, error)]];
    });
  }

  /** What comes after ports were added that settle later. */
  settlePorts(): void {
    for (const port of this.#unsettled) if (this.#byNumber.get(port.number) === port) this.#settleState(port);
    this.#unsettled.clear();
  }

  removePort(name: string): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    this.#byName.delete(name);
    this.#byNumber.delete(port.number);
    if (port.number !== localPort) this.#numbers.release(port.number, this.clock.monotonic());
    this.#batch.add(ofportDelSize, (view, at) =>
      writeOfportDel(view, at, {
        type: command.ofportDel,
        flags: 0,
        size: 0,
        bridge: this.bridge,
        ofpPort: port.number,
      }),
    );
    this.#submit("remove a port");
    this.#tellPort(1, port, undefined, undefined);
  }

  /** Takes in what became of the device: its address, MTU, flags, carrier. */
  updatePort(name: string, device: Partial<PortDevice>, origin?: Requester): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    const next: PortDevice = { ...port.device, ...device };
    const config = configOf(port.config, next);
    const state = stateOf(next, port.state, port.mayEnable);
    const before = describePort(port);
    const lostLive = (port.state & portState.live) !== 0 && (state & portState.live) === 0;
    if (lostLive) {
      port.state &= ~portState.live;
      this.#tellPort(2, port, before, origin);
    }
    const old = describePort(port);
    port.device = next;
    port.config = config;
    port.state = state;
    this.#setPort(port);
    this.#tellPort(2, port, old, origin);
  }

  /** A tunnel got other options.  One that is the same as another tunnel now receives nothing. */
  changeTunnel(name: string, change: TunnelChange): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    port.spec = { ...port.spec, ...change };
    this.#hasTwin(port);
    this.#setPort(port);
  }

  /** Whether another tunnel, of any bridge, takes the packets that this one would. */
  #hasTwin(port: OfPort): boolean {
    if (port.spec.tunnel === undefined) return false;
    const key = tunnelKey(port.spec);
    for (const ofproto of this.owner.all()) {
      for (const other of ofproto.ports()) {
        if (other.name === port.name || other.spec.tunnel === undefined || tunnelKey(other.spec) !== key) continue;
        this.owner
          .log("tunnel")
          .warn(
            `${port.name}: attempting to add tunnel port with same config as port '${other.name}' (${tunnelMatchText(port.spec)})`,
            { port: port.name, other: other.name },
          );
        return true;
      }
    }
    return false;
  }

  /** What the spanning tree makes of a port; tells those who listen if that shows. */
  setSpanning(name: string, spanning: SpanningPort): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    const old = describePort(port);
    const flagsChange = port.spanning !== spanning.flags;
    port.spanning = spanning.flags;
    port.state = (port.state & ~stpState.mask) | spanning.state;
    if (flagsChange) this.#setPort(port);
    if (port.state !== old.state) this.#tellPort(2, port, old, undefined);
  }

  /** Whether frames of LLDP that come by a port are for the switch. */
  setLldp(name: string, takes: boolean): void {
    const port = this.#byName.get(name);
    if (port === undefined || port.takesLldp === takes) return;
    port.takesLldp = takes;
    this.#setPort(port);
  }

  /** Which frames that come by a port are for the protocols that watch its link. */
  setMonitor(name: string, monitor: PortMonitor): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    const { flags, bfdDstMac, bfdIp } = port.monitor;
    const isSame =
      flags === monitor.flags && equalBytes(bfdDstMac, monitor.bfdDstMac) && equalBytes(bfdIp, monitor.bfdIp);
    if (isSame) return;
    port.monitor = monitor;
    this.#setPort(port);
  }

  /** Whether the protocols that watch a port's link let it be used; tells those who listen if that shows. */
  setMayEnable(name: string, mayEnable: boolean): void {
    const port = this.#byName.get(name);
    if (port === undefined || port.mayEnable === mayEnable) return;
    const old = describePort(port);
    port.mayEnable = mayEnable;
    const isDown = (port.config & portConfig.portDown) !== 0;
    port.state = stateOf(port.device, port.state, mayEnable && !isDown);
    this.#setPort(port);
    if (port.state !== old.state) this.#tellPort(2, port, old, undefined);
  }

  /** Which DSCP IP packets get that leave the port by a queue. */
  setQueueDscps(name: string, dscps: ReadonlyMap<number, number>): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    const before = port.queueDscps;
    if (before.size === dscps.size && [...dscps].every(([queue, dscp]) => before.get(queue) === dscp)) return;
    port.queueDscps = dscps;
    this.#setPort(port);
  }

  setPeer(name: string, peer: PatchPeer | undefined): void {
    const port = this.#byName.get(name);
    if (port === undefined) return;
    if (port.peer?.bridge === peer?.bridge && port.peer?.ofpPort === peer?.ofpPort) return;
    port.peer = peer;
    this.#setPort(port);
  }

  /** Changes OFPPC bits.  Whoever changes PORT_DOWN turns the device up or down, too, which then shows in the state. */
  setPortConfig(port: OfPort, config: number, origin?: Requester): void {
    const old = describePort(port);
    port.config = config;
    if ((config & portConfig.portDown) !== 0) port.state &= ~portState.live;
    this.#setPort(port);
    this.#tellPort(2, port, old, origin);
  }

  findPort(name: string): OfPort | undefined {
    return this.#byName.get(name);
  }

  port(number: number): OfPort | undefined {
    return this.#byNumber.get(number);
  }

  /** In order of number; LOCAL is last. */
  ports(): readonly OfPort[] {
    return [...this.#byNumber.values()].sort((a, b) => a.number - b.number);
  }

  /** What NORMAL sees as one logical port.  `id` is the caller's. */
  setBundle(id: number, bundle: Bundle): void {
    const before = this.#bundles.get(id);
    const hashes = (one: Bundle | undefined): boolean => one?.bond?.output === "hashL4";
    const isSame = before !== undefined && hashes(before.bundle) === hashes(bundle);
    this.#bundles.set(id, { bundle, sinceMs: isSame ? before.sinceMs : this.clock.monotonic() });
    const record = bundleRecord(this.bridge, id, bundle);
    this.#batch.add(bundleSetSize, (view, at) => writeBundleSet(view, at, record), bundleTail(bundle));
    if (!this.#gathersBundles) this.#submit("set a bundle");
  }

  /** Runs `body`, and gives the datapath what it sets of bundles at once: each batch costs it as much as there are
   *  ports. */
  gatherBundles(body: () => void): void {
    this.#gathersBundles = true;
    try {
      body();
    } finally {
      this.#gathersBundles = false;
      if (this.#batch.count > 0) this.#submit("set bundles");
    }
  }

  /** Bonds whose packets the datapath hashes, and since when. */
  hashingBonds(): readonly { readonly id: number; readonly bond: BundleBond; readonly sinceMs: number }[] {
    return [...this.#bundles].flatMap(([id, { bundle, sinceMs }]) =>
      bundle.bond?.output === "hashL4" ? [{ id, bond: bundle.bond, sinceMs }] : [],
    );
  }

  removeBundle(id: number): void {
    if (!this.#bundles.delete(id)) return;
    this.#batch.add(bundleDelSize, (view, at) =>
      writeBundleDel(view, at, { type: command.bundleDel, flags: 0, size: 0, bridge: this.bridge, bundle: id }),
    );
    if (!this.#gathersBundles) this.#submit("remove a bundle");
  }

  // Mirrors.

  /** `index` is from 0 and below `mirrorsMax`; the caller's to choose. */
  setMirror(index: number, mirror: Mirror): void {
    const record = mirrorRecord(this.bridge, index, mirror);
    this.#batch.add(mirrorSetSize, (view, at) => writeMirrorSet(view, at, record), mirrorTail(mirror));
    this.#submit("set a mirror");
  }

  removeMirror(index: number): void {
    this.#batch.add(mirrorDelSize, (view, at) =>
      writeMirrorDel(view, at, { type: command.mirrorDel, flags: 0, size: 0, bridge: this.bridge, mirror: index }),
    );
    this.#submit("remove a mirror");
  }

  /** VLANs on which nothing is learned. */
  setFloodVlans(vlans: readonly number[]): void {
    const record = { type: command.floodVlansSet, flags: 0, size: 0, bridge: this.bridge, vlans: bitmap(vlans) };
    this.#batch.add(floodVlansSetSize, (view, at) => writeFloodVlansSet(view, at, record));
    this.#submit("set VLANs to flood");
  }

  /** Which Geneve options tun_metadata fields are. */
  get tlvs(): TlvMap {
    return this.#tlvs;
  }

  set tlvs(map: TlvMap) {
    this.#tlvs = map;
    appendTlvMap(this.#batch, this.bridge, map);
    this.#submit("set the map of options");
  }

  // Flows.

  /** A queue for flow_mods that go down together; submit it with `submitFlowMods`. */
  flowModQueue(): FlowModQueue {
    return new FlowModQueue(this.bridge);
  }

  submitFlowMods(queue: FlowModQueue, requester?: Requester): FlowModOutcome {
    const outcome = queue.submit(this.datapath);
    if (outcome.removes || this.#settings.monitorFlows || this.#watchedTables.size > 0) {
      this.tellChanges(requester, (origin) => transactionId(outcome.requests.bytes(origin - 1)));
    }
    return outcome;
  }

  /** Tells the changes that wait in the datapath.  `xidOf`: transaction id of the message with that origin. */
  tellChanges(requester?: Requester, xidOf?: (origin: number) => number): void {
    this.#author = { requester, xidOf: xidOf ?? (() => 0) };
    try {
      this.owner.drainChanges();
    } finally {
      this.#author = nobody;
    }
  }

  /** Adds a rule of the switch's own, which controllers cannot change when its priority is above 65535. */
  addSystemFlow(flow: SystemFlow): void {
    addFlowMod(this.#batch, this.bridge, systemFlowMod(flow, 0));
    this.#submit("add a flow of the switch");
  }

  removeSystemFlow(flow: SystemFlow): void {
    addFlowMod(this.#batch, this.bridge, systemFlowMod(flow, 4));
    this.#submit("remove a flow of the switch");
    this.owner.drainChanges();
  }

  /** Removes every rule without telling; the switch's own come back. */
  flushFlows(): void {
    this.#batch.add(flowFlushSize, (view, at) =>
      writeFlowFlush(view, at, { type: command.flowFlush, flags: 0, size: 0, bridge: this.bridge }),
    );
    for (const flow of internalFlows) addFlowMod(this.#batch, this.bridge, systemFlowMod(flow, 0));
    this.#submit("flush the flows");
    for (const listener of this.#listeners) listener.flowsFlushed();
  }

  /** How a table behaves. */
  table(table: number): TableSettings {
    return this.#tables.get(table) ?? defaultTable;
  }

  changeTable(table: number, change: Partial<TableSettings>): void {
    const before = this.table(table);
    const next = { ...before, ...change };
    this.#tables.set(table, next);
    this.#watchTable(table, next.vacancyReason !== 0);
    const same = (["miss", "maxFlows", "evictByDatabase", "evictByController"] as const).every(
      (key) => next[key] === before[key],
    );
    if (same && equalBytes(next.evictionGroups, before.evictionGroups)) return;
    this.#batch.add(
      tableSetSize,
      (view, at) =>
        writeTableSet(view, at, {
          type: command.tableSet,
          flags: 0,
          size: 0,
          bridge: this.bridge,
          table,
          miss: next.miss,
          maxFlows: next.maxFlows,
          evict: next.evictByDatabase || next.evictByController ? 1 : 0,
          groupsSize: next.evictionGroups.length,
        }),
      next.evictionGroups,
    );
    this.#submit("set a table");
    // A smaller table may have had to give up rules.
    if (next.maxFlows < before.maxFlows) this.tellChanges();
  }

  /** While tables are watched the datapath tells every change of a flow. */
  #watchTable(table: number, isWatched: boolean): void {
    if (isWatched === this.#watchedTables.has(table)) return;
    if (isWatched) this.#watchedTables.add(table);
    else this.#watchedTables.delete(table);
    this.#addSettings();
    this.#submit("change settings");
  }

  /** Tells of the tables whose vacancy crossed a limit; each limit is told once until the other one was. */
  #tellVacancies(): void {
    if (this.#watchedTables.size === 0) return;
    const flowCounts = [...tableInfos(this)].map((info) => info.nFlows);
    for (const tableId of this.#watchedTables) {
      const table = this.table(tableId);
      const now = vacancy(table, flowCounts[tableId] ?? 0);
      const isCrossed = table.vacancyReason === vacancyReason.down ? now < table.vacancyDown : now > table.vacancyUp;
      if (!isCrossed) continue;
      const description = describeTable(table, tableId, flowCounts[tableId] ?? 0);
      for (const listener of this.#listeners) listener.tableStatus({ reason: table.vacancyReason, table: description });
      const next = table.vacancyReason === vacancyReason.down ? vacancyReason.up : vacancyReason.down;
      this.#tables.set(tableId, { ...table, vacancyReason: next });
    }
  }

  /** Forgets learned MAC addresses: all, or a port's. */
  flushFdb(port = anyPort): void {
    this.#batch.add(fdbFlushSize, (view, at) =>
      writeFdbFlush(view, at, { type: command.fdbFlush, flags: 0, size: 0, bridge: this.bridge, ofpPort: port }),
    );
    this.#submit("flush learned addresses");
  }

  /** Forgets multicast groups and routers. */
  flushMdb(): void {
    this.#batch.add(mdbFlushSize, (view, at) =>
      writeMdbFlush(view, at, { type: command.mdbFlush, flags: 0, size: 0, bridge: this.bridge }),
    );
    this.#submit("flush multicast groups");
  }

  /** Whether the bridge snoops for multicast groups. */
  get snoops(): boolean {
    return this.#settings.multicast.snooping;
  }

  /** A request of a controller was done that others may want to hear of. */
  tellRequest(done: DoneRequest): void {
    for (const listener of this.#listeners) listener.requestDone(done);
  }

  // What the datapath tells; called by Ofprotos.

  packetIn(event: PacketInEvent): void {
    for (const listener of this.#listeners) listener.packetIn(event);
  }

  flowReported(report: FlowReportRecord): void {
    const { flow } = report;
    if (this.#settings.monitorFlows) {
      const isOwn = report.origin !== 0;
      const told = {
        kind: changeKinds[report.change] ?? "modified",
        flow,
        oldActions: report.oldActions,
        requester: isOwn ? this.#author.requester : undefined,
        xid: isOwn ? this.#author.xidOf(report.origin) : 0,
      };
      for (const listener of this.#listeners) listener.flowChanged(told);
    }
    if (report.change === flowChange.removed && (flow.flowFlags & flowFlag.sendFlowRem) !== 0) this.#tellRemoved(flow);
  }

  changesTold(): void {
    for (const listener of this.#listeners) listener.flowChangesTold();
    this.#tellVacancies();
  }

  #tellRemoved(flow: FlowRecord): void {
    const removed = {
      table: flow.table,
      reason: flow.reason,
      priority: flow.priority,
      cookie: flow.cookie,
      durationMs: Number(flow.nowMs - flow.createdMs),
      idleTimeout: flow.idleTimeoutS,
      hardTimeout: flow.hardTimeoutS,
      nPackets: flow.nPackets,
      nBytes: flow.nBytes,
      match: flow.matchBytes.slice(),
    };
    for (const listener of this.#listeners) listener.flowRemoved(removed);
  }

  /** Called by Ofprotos.remove. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#batch.add(bridgeDelSize, (view, at) =>
      writeBridgeDel(view, at, { type: command.bridgeDel, flags: 0, size: 0, bridge: this.bridge }),
    );
    this.#submit("remove the bridge");
    this.#listeners.clear();
    this.#byName.clear();
    this.#byNumber.clear();
  }

  #addSettings(): void {
    const { forwardBpdu, packetInOnMiss, invalidTtlToController, inBand, kernelTunnels, monitorFlows } = this.#settings;
    const { macAgingS, macTableSize, multicast, fragMode, sampling, isControlled, spanningTree } = this.#settings;
    const bridgeFlags =
      (forwardBpdu ? bridgeFlag.forwardBpdu : 0) |
      (packetInOnMiss ? bridgeFlag.packetInOnMiss : 0) |
      (invalidTtlToController ? bridgeFlag.invalidTtlToController : 0) |
      (inBand ? bridgeFlag.inBand : 0) |
      (kernelTunnels ? bridgeFlag.kernelTunnels : 0) |
      (sampling.ipfixInput ? bridgeFlag.ipfixInput : 0) |
      (sampling.ipfixOutput ? bridgeFlag.ipfixOutput : 0) |
      (sampling.ipfixTunnels ? bridgeFlag.ipfixTunnels : 0) |
      (sampling.flowSampling ? bridgeFlag.flowSampling : 0) |
      (sampling.flowSamplingTunnels ? bridgeFlag.flowSamplingTunnels : 0) |
      (monitorFlows || this.#watchedTables.size > 0 ? bridgeFlag.monitorFlows : 0) |
      (isControlled ? bridgeFlag.controlled : 0) |
      (spanningTree === "stp" ? bridgeFlag.stp : 0) |
      (spanningTree === "rstp" ? bridgeFlag.rstp : 0) |
      (multicast.snooping ? bridgeFlag.mcastSnooping : 0) |
      (multicast.floodUnregistered ? 0 : bridgeFlag.mcastNoUnregistered);
    this.#batch.add(bridgeSetSize, (view, at) =>
      writeBridgeSet(view, at, {
        type: command.bridgeSet,
        flags: 0,
        size: 0,
        bridge: this.bridge,
        bridgeFlags,
        macAgingS,
        macTableSize,
        fragMode,
        maxResubmitDepth: 0,
        sflowProbability: sampling.sflowProbability,
        sflowHeader: sampling.sflowHeader,
        ipfixProbability: sampling.ipfixProbability,
        netflowTimeoutS: sampling.netflowTimeoutS,
        mcastAgingS: multicast.agingS,
        mcastTableSize: multicast.tableSize,
      }),
    );
  }

  /** Returns an ABI error, 0 when the datapath has it, or will have it with the ports that are held. */
  #setPort(port: OfPort): number {
    this.owner.nChanges++;
    const { tunnel } = port.spec;
    const tails: Uint8Array[] = [];
    if (tunnel !== undefined) {
      const bytes = new Uint8Array(tunnelSize);
      writeTunnel(new DataView(bytes.buffer), 0, tunnel);
      tails.push(bytes);
    }
    if (port.queueDscps.size > 0) {
      const words = [...port.queueDscps].flat();
      tails.push(new Uint8Array(Uint32Array.from(words).buffer));
    }
    const write = (view: DataView, at: number): void => {
      writeOfportSet(view, at, {
        type: command.ofportSet,
        flags: 0,
        size: 0,
        bridge: this.bridge,
        ofpPort: port.number,
        dpPort: port.spec.dpPort,
        config: port.config,
        linkDown: port.device.carrier && port.mayEnable ? 0 : 1,
        packetTypeMode: port.spec.tunnel?.packetTypeMode ?? packetTypeMode.legacyL2,
        peerBridge: port.peer?.bridge ?? 0,
        peerOfpPort: port.peer?.ofpPort ?? 0,
        mtu: port.device.mtu,
        tunnelSize: tunnel === undefined ? 0 : tunnelSize,
        spanningFlags: port.spanning,
        monitorFlags: port.monitor.flags | (port.takesLldp ? monitorFlag.lldp : 0),
        bfdDstMac: port.monitor.bfdDstMac,
        bfdIp: port.monitor.bfdIp,
        nDscps: port.queueDscps.size,
      });
    };
    if (this.#heldPorts !== undefined) {
      this.#heldPorts.push(port);
      this.#portBatch.add(ofportSetSize, write, ...tails);
      return 0;
    }
    // Bundles that were gathered meanwhile go first, and their errors are theirs.
    if (this.#batch.count > 0) this.#submit("set bundles");
    this.#batch.add(ofportSetSize, write, ...tails);
    return this.#batch.submit(this.datapath, false).error(0);
  }

  /** The second of the two changes that a new port makes: it becomes live. */
  #settleState(port: OfPort): void {
    const old = describePort(port);
    port.state = stateOf(port.device, port.state, port.mayEnable);
    this.#tellPort(2, port, old, undefined);
  }

  #tellPort(reason: number, port: OfPort, old: PortChangeOld, origin: Requester | undefined): void {
    const change = { reason, port: describePort(port), old, origin };
    for (const listener of this.#listeners) listener.portChanged(change);
  }

  /** Submits commands that cannot fail unless we are wrong or the datapath is closed. */
  #submit(what: string): BatchResults {
    this.owner.nChanges++;
    const results = this.#batch.submit(this.datapath, false);
    for (let index = 0; index < results.count; index++) {
      const error = results.error(index);
      if (error !== 0) {
        throw new DatapathError(`${this.name}: the datapath refused to ${what}: ${errorText(error)}`, { error, index });
      }
    }
    return results;
  }
}

type PortChangeOld = ReturnType<typeof describePort> | undefined;
