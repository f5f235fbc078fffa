import type { Clock, Timer } from "../clock/index.js";
import { Connmgr, type InBandAddress, type StreamOptions, type TlsStore, versionsOf } from "../connmgr/index.js";
import type { EventKeepaliveSilent } from "../datapath/generated/records.js";
import type { Datapath, ProtocolPacket } from "../datapath/index.js";
import type { Coverage, Logger, LogSource } from "../log/index.js";
import { type DeviceDatapath, type Dpdk, type NetdevPolicy, Netdevs, Router } from "../netdev/index.js";
import { datapathCapabilities, defaultSettings, type FlowDatapath, Ofprotos } from "../ofproto/index.js";
import type { Idl, IdlTransaction, Uuid, VswitchTables } from "../ovsdb/index.js";
import type { PmdThreads, PolledPort } from "../pmd/index.js";
import type { Aggregate } from "./aggregate.js";
import { Bridge, type OpenInterface } from "./bridge.js";
import { formatDatapathId } from "./bridge-address.js";
import { truth } from "./config-values.js";
import { controllerOptions, inBandManagers, inBandQueue } from "./controllers.js";
import { type Discovery, type PortVlan, trunksAfter } from "./discovery.js";
import { Exporters } from "./exporters.js";
import type { LinkMonitor } from "./link-monitor.js";
import { configureLocalAddress, type LocalAddressCalls } from "./local-address.js";
import { contested, plan, type Step } from "./plan.js";
import { polledPort } from "./polled-ports.js";

import type { Spanning } from "./spanning.js";
import {
  rstpBridgeStatus,
  rstpPortStatistics,
  rstpPortStatus,
  stpBridgeStatus,
  stpPortStatistics,
  stpPortStatus,
} from "./spanning-status.js";
import { failedColumns, runningColumns } from "./status.js";
import { configureTables } from "./table-rows.js";
import { TunnelPaths } from "./tunnel-paths.js";
import { askedInVain, type UnusedSetting } from "./unused-settings.js";
import { collectWanted, type WantedBridge } from "./wanted.js";
import { WrittenStatus } from "./written-status.js";

/** All bridges of one database: brings them to what its rows want, and writes back what became of it. */

export interface BridgesOptions {
  readonly idl: Idl<VswitchTables>;
  readonly datapath: DeviceDatapath & FlowDatapath & Pick<Datapath, "now" | "drainEvents">;
  readonly policy: NetdevPolicy;
  readonly dpdk?: Dpdk | undefined;
  readonly runDirectory: string;
  readonly clock: Clock;
  readonly log: LogSource;
  readonly coverage: Coverage;
  readonly random: () => number;
  /** Keys and certificates; the database's SSL row says where they are. */
  readonly tls?: TlsStore | undefined;
  readonly setDscp?: StreamOptions["setDscp"];
  /** Gives local ports the addresses that controllers' rows ask for. */
  readonly localAddress?: LocalAddressCalls | undefined;
  /** Whether tunnels use the host's routes; unless told, as system devices are used. */
  readonly systemRoutes?: boolean;
  /** Threads that poll ports on cores of their own. */
  readonly threads?: PmdThreads | undefined;
  /** What Open_vSwitch.statistics tells of the host; without it that stays empty. */
  readonly systemStatistics?: (() => ReadonlyMap<string, string>) | undefined;
  /** Whether the datapath sends keep-alives by itself; unless told, it does not. */
  readonly delegates?: (() => boolean) | undefined;
  /** Asks for another `run`. */
  readonly wake: () => void;
}

interface Running {
  readonly bridge: Bridge;
  readonly connmgr: Connmgr;
}

const allVersions = versionsOf(["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"]);
const noRoutes = { found: false, error: "Operation not supported" } as const;
const statsMsMin = 5000;
const systemStatsMs = 5000;
/** Pause before status is written again that the database could not take. */
const retryMs = 100;

export class Bridges {
  readonly ofprotos: Ofprotos;
  readonly netdevs: Netdevs;
  readonly router: Router;
  readonly tunnelPaths: TunnelPaths;
  readonly exporters: Exporters;
  readonly #options: BridgesOptions;
  readonly #idl: Idl<VswitchTables>;
  readonly #log: Logger;
  readonly #written = new WrittenStatus();
  #contested: ReadonlySet<string> = new Set();
  readonly #toldInVain = new Set<UnusedSetting>();
  readonly #tableLog: Logger;
  readonly #running = new Map<string, Running>();
  /** `idl.outsideSeqno` that the bridges are configured for. */
  #configured = -1;
  /** Flows are being restored, since the switch started: nothing is forwarded and no controller dialled until the database
   *  says, once and for good, that this is over. */
  #awaitsRestore = true;
  /** What was last said of rows that are ignored. */
  #notices: readonly string[] = [];
  /** A device came or went, so what failed may work and what worked may not. */
  #devicesChanged = false;
  /** Devices changed, by which tunnels may go: many may, before the paths are worked out once. */
  #pathsStale = false;
  #statusStale = false;
  #statsTimer: Timer | undefined;
  #statsDue = false;
  #systemTimer: Timer | undefined;
  #systemDue = false;
  #busy = false;
  #closed = false;

  constructor(options: BridgesOptions) {
    this.#options = options;
    this.#idl = options.idl;
    this.#log = options.log("bridge");
    this.#tableLog = this.#log.limited(1, 5);
    this.ofprotos = new Ofprotos({
      datapath: options.datapath,
      clock: options.clock,
      log: options.log,
      random: options.random,
    });
    this.netdevs = new Netdevs({
      datapath: options.datapath,
      policy: options.policy,
      dpdk: options.dpdk,
      log: options.log("netdev"),
      vportLog: options.log("netdev_vport"),
      afxdpLog: options.log("netdev_afxdp"),
      linuxLog: options.log("netdev_linux").limited(60, 20),
      random: options.random,
      now: () => options.clock.monotonic(),
    });
    this.router = new Router({ netdevs: this.netdevs, system: options.systemRoutes ?? options.policy.system });
    this.exporters = new Exporters({
      idl: options.idl,
      datapath: options.datapath,
      router: this.router,
      clock: options.clock,
      log: options.log,
    });
    this.tunnelPaths = new TunnelPaths({
      datapath: options.datapath,
      netdevs: this.netdevs,
      router: this.router,
      ofprotos: this.ofprotos,
    });
  }

  /** Datapath types that a bridge may have, sorted. */
  get datapathTypes(): readonly string[] {
    const { policy } = this.#options;
    return [...(policy.dummy === "none" ? [] : ["dummy"]), "netdev", ...(policy.system ? ["system"] : [])];
  }

  connmgr(bridge: string): Connmgr | undefined {
    return this.#running.get(bridge)?.connmgr;
  }

  names(): readonly string[] {
    return [...this.#running.keys()].sort();
  }

  /** One pass.  Resolves when the bridges are as wanted and the database knows. */
  async run(): Promise<void> {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    try {
      while (await this.#pass());
    } finally {
      this.#busy = false;
    }
  }

  /** A datapath port's device, or (0) some device of the host, changed. */
  deviceChanged(dpPort: number, ifindex: number): void {
    if (this.#closed) return;
    for (const { bridge } of this.#running.values()) {
      for (const iface of [...bridge.interfaces.values()]) {
        if (
          !iface.netdev.isHostDevice
            ? iface.netdev.dpPort !== dpPort
            : ifindex !== 0 && iface.netdev.last.ifindex !== ifindex
        )
          continue;
        this.#refresh(bridge, iface);
      }
      if ([...bridge.failures.values()].some((failure) => failure.awaitsDevice)) this.#devicesChanged = true;
    }
    if (ifindex !== 0) this.router.hostChanged();
    this.#pathsStale = true;
    this.#statusStale = true;
    this.#options.wake();
  }

  /** An address or a route of the host changed. */
  addressesChanged(): void {
    if (this.#closed) return;
    this.router.hostChanged();
    this.updatePaths();
  }

  /** Tells the datapath of what is known of devices and routes. */
  updatePaths(): void {
    this.#pathsStale = false;
    if (!this.#closed) this.tunnelPaths.update();
  }

  /** Takes an interface out of its bridge, into which the next reconfiguration puts it again; whether there was one. */
  removeUntilReconfigured(bridge: string, name: string): boolean {
    const found = this.#running.get(bridge)?.bridge;
    if (found?.interfaces.has(name) !== true) return false;
    found.removeInterface(name);
    return true;
  }

  /** Ports with LACP or with several members, of all bridges. */
  aggregates(): readonly Aggregate[] {
    return this.names().flatMap((name) => this.#running.get(name)?.bridge.aggregates() ?? []);
  }

  /** What watches links, of all bridges. */
  linkMonitors(): readonly LinkMonitor[] {
    return this.names().flatMap((name) => [...(this.#running.get(name)?.bridge.monitors.values() ?? [])]);
  }

  /** LLDP, of all bridges. */
  discoveries(): readonly Discovery[] {
    return this.names().flatMap((name) => this.#running.get(name)?.bridge.discovery ?? []);
  }

  /** Spanning trees by the names of their bridges. */
  spanningTrees(): ReadonlyMap<string, Spanning> {
    return new Map([...this.#running].map(([name, { bridge }]) => [name, bridge.spanning]));
  }

  /** A frame of a protocol that the bridges speak arrived. */
  protocolPacket(event: ProtocolPacket): void {
    if (this.#closed) return;
    // Whatever kept us busy meanwhile did not keep the frame.
    const agoMs = Math.max(0, this.#options.datapath.now() - Number(event.arrivedMs));
    for (const { bridge } of this.#running.values())
      if (bridge.ofproto.bridge === event.bridge) bridge.protocolPacket(event, agoMs);
  }

  /** What the other end of a link is to send stays away. */
  keepAliveSilent({ bridge: id, ofpPort }: EventKeepaliveSilent): void {
    for (const { bridge } of this.#running.values()) if (bridge.ofproto.bridge === id) bridge.keepAliveSilent(ofpPort);
  }

  /** The switch ends; devices that it made go with it. */
  close(): void {
    this.#closed = true;
    this.#statsTimer?.cancel();
    this.#systemTimer?.cancel();
    for (const name of [...this.#running.keys()]) this.#deleteBridge(name);
  }

  #refresh(bridge: Bridge, iface: OpenInterface): void {
    const before = iface.netdev.last;
    const now = iface.netdev.state();
    // Another device of the same name is another device: the port is opened anew by the next reconfiguration.
    if (iface.netdev.isHostDevice && now.ifindex !== before.ifindex) {
      bridge.deviceVanished(iface.name);
      this.#devicesChanged = true;
      return;
    }
    bridge.refresh(iface.name);
  }

  /** Returns whether another pass is due. */
  async #pass(): Promise<boolean> {
    if (!this.#idl.hasLock) {
      if (this.#idl.lockContended) this.#standBy();
      return false;
    }
    const root = this.#idl.table("Open_vSwitch").first();
    if (root === undefined) return false;
    this.#options.dpdk?.tellLog();
    if (this.#statsDue) this.#lookAtLinks();
    if (this.#pathsStale) this.updatePaths();
    const seqno = this.#idl.outsideSeqno;
    const txn = this.#idl.transaction();
    if (seqno !== this.#configured || this.#devicesChanged) {
      this.#devicesChanged = false;
      this.#options.dpdk?.follow(root.other_config);
      this.#reconfigure();
      this.#writeStatus(txn);
      this.#writeStatistics(txn, this.#statsDue);
      txn.set("Open_vSwitch", root.uuid, {
        cur_cfg: root.next_cfg,
        datapath_types: this.datapathTypes,
        iface_types: this.netdevs.types().map((type) => type.name),
        dpdk_initialized: this.#options.dpdk?.isStarted === true,
        dpdk_version: this.#options.dpdk?.version ?? "none",
      });
      this.#configured = seqno;
      this.#armStatistics();
      this.#armSystemStatistics(root.other_config);
    } else if (this.#statusStale || this.#statsDue) {
      this.#writeStatus(txn);
      if (this.#statsDue) this.#writeStatistics(txn, true);
    } else if (!this.#systemDue) {
      return false;
    }
    if (this.#systemDue) this.#writeSystemStatistics(txn, root.uuid);
    this.#statusStale = false;
    this.#statsDue = false;
    this.#systemDue = false;
    const vlans = this.#writeTrunks(txn);
    const outcome = await txn.commit();
    this.#settleTrunks(vlans, outcome.status !== "success" && outcome.status !== "unchanged");
    if (outcome.status !== "success" && outcome.status !== "unchanged") this.#written.forget();
    if (outcome.status === "error")
      this.#log.err(`the database refused our status: ${outcome.error}: ${outcome.details}`);
    if (outcome.status === "try_again") {
      this.#statusStale = true;
      this.#options.clock.after(retryMs, this.#options.wake);
    }
    return this.#idl.outsideSeqno !== this.#configured || this.#devicesChanged;
  }

  #reconfigure(): void {
    this.#options.coverage.count("bridge_reconfigure");
    const { nChanges } = this.ofprotos;
    const root = this.#idl.table("Open_vSwitch").first();
    this.#awaitsRestore &&= root !== undefined && truth(root.other_config, "flow-restore-wait");
    if (this.#awaitsRestore) this.ofprotos.settings.change({ hold: true });
    const { bridges, warnings, notices } = collectWanted(this.#idl);
    for (const warning of warnings) this.#log.warn(warning);
    for (const notice of notices) if (!this.#notices.includes(notice)) this.#log.info(notice);
    this.#notices = notices;
    const known = this.datapathTypes;
    const wanted = new Map(
      [...bridges].filter(([name, bridge]) => {
        if (known.includes(bridge.datapathType)) return true;
        this.#log.err(`failed to create bridge ${name}: Address family not supported by protocol`, {
          bridge: name,
          datapathType: bridge.datapathType,
        });
        return false;
      }),
    );
    this.#tellContested(wanted);
    const running = new Map([...this.#running].map(([name, { bridge }]) => [name, bridge]));
    const steps = plan(running, wanted, (was, is) =>
      this.#mustReopen(was.name, was.options, is.row?.options ?? new Map()),
    );
    this.#takeAll(steps);
    this.#configureDatapath();
    this.#tellInVain();
    this.#configureTls();
    const managers = inBandManagers(this.#idl);
    this.exporters.begin();
    for (const bridge of wanted.values()) this.#configure(bridge, managers);
    const find = (name: string): { bridge: Bridge; iface: OpenInterface } | undefined => {
      for (const { bridge } of this.#running.values()) {
        const iface = bridge.interfaces.get(name);
        if (iface !== undefined) return { bridge, iface };
      }
      return undefined;
    };
    for (const { bridge } of this.#running.values()) bridge.configurePeers(find);
    this.#configureThreads();
    this.router.hostChanged();
    this.updatePaths();
    this.ofprotos.settings.change({ hold: this.#awaitsRestore });
    // Packets may go other ways now: as Open vSwitch, it is counted once, however much changed.
    if (this.ofprotos.nChanges !== nChanges) this.#options.coverage.count("rev_reconfigure");
  }

  /** Says which interfaces no bridge gets because several want them, when that is news. */
  #tellContested(wanted: ReadonlyMap<string, WantedBridge>): void {
    const several = contested(wanted);
    for (const name of several) {
      if (this.#contested.has(name)) continue;
      // By name: which of their rows comes first is chance.
      const [first] = [...wanted]
        .filter(([, { ports }]) =>
          [...ports.values()].some(({ interfaces }) => interfaces.some((iface) => iface.name === name)),
        )
        .map(([bridge]) => bridge)
        .sort();
      this.#options.log("ofproto").warn(`${first}: could not add port ${name} (No such device)`, { port: name });
    }
    this.#contested = several;
  }

  /** Whether changed options need the interface to be made anew: not when the device takes them as it is. */
  #mustReopen(name: string, before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): boolean {
    if (before.size === after.size && [...before].every(([key, value]) => after.get(key) === value)) return false;
    const netdev = this.netdevs.find(name);
    if (netdev?.setOptions(after) !== true) return true;
    for (const { bridge } of this.#running.values()) bridge.optionsChanged(name, after);
    return false;
  }

  /** What goes, goes one by one; what comes, comes at once. */
  #takeAll(steps: readonly Step[]): void {
    const additions = steps.filter((step) => step.kind === "addInterface");
    for (const step of steps) if (step.kind !== "addInterface") this.#take(step);
    const wished = additions.map(({ bridge, wanted: { name, type, row } }) => ({
      name,
      type,
      datapathType: this.#running.get(bridge)?.bridge.datapathType ?? "",
      options: row?.options ?? new Map<string, string>(),
    }));
    const bridges = [...new Set(additions.map((step) => step.bridge))].flatMap(
      (name) => this.#running.get(name)?.bridge ?? [],
    );
    for (const bridge of bridges) bridge.addsInterfaces();
    this.netdevs.openMany(wished, () => {
      for (const step of additions) this.#take(step);
    });
    for (const bridge of bridges) bridge.interfacesAdded();
  }

  #take(step: Step): void {
    switch (step.kind) {
      case "deleteBridge":
        this.#deleteBridge(step.bridge);
        break;
      case "deleteInterface":
        this.#running.get(step.bridge)?.bridge.removeInterface(step.name);
        if (step.name !== step.bridge) this.tunnelPaths.flushNeighbors(step.name);
        break;
      case "createBridge":
        this.#createBridge(step.wanted);
        break;
      case "addInterface":
        this.#running.get(step.bridge)?.bridge.addInterface(step.port, step.wanted, step.requested);
        break;
    }
  }

  #createBridge(wanted: WantedBridge): void {
    const ofproto = this.ofprotos.create({ name: wanted.name, datapathType: wanted.datapathType, datapathId: 0n });
    const connmgr = new Connmgr({
      ofproto,
      runDirectory: this.#options.runDirectory,
      clock: this.#options.clock,
      log: this.#options.log,
      tls: this.#options.tls,
      setDscp: this.#options.setDscp,
      // Devices that only tests have are on no host's routes.
      findNextHop: wanted.datapathType === "dummy" ? () => noRoutes : undefined,
    });
    const bridge = new Bridge(wanted, ofproto, this.netdevs, {
      log: this.#options.log,
      clock: this.#options.clock,
      random: this.#options.random,
      keepAlives: this.#options.datapath,
      delegates: () => this.#options.delegates?.() === true,
      takeEvents: () => {
        this.#options.datapath.drainEvents();
      },
      statusChanged: () => {
        this.#statusStale = true;
        this.#options.wake();
      },
    });
    this.#running.set(wanted.name, { bridge, connmgr });
    connmgr.openManagement();
  }

  #deleteBridge(name: string): void {
    const running = this.#running.get(name);
    if (running === undefined) return;
    this.#running.delete(name);
    for (const port of running.bridge.ofproto.ports()) this.tunnelPaths.flushNeighbors(port.name);
    running.connmgr.close();
    this.exporters.remove(name);
    const { bridge } = running;
    bridge.destroy(() => this.ofprotos.remove(bridge.ofproto));
  }

  #configure(wanted: WantedBridge, managers: readonly InBandAddress[]): void {
    const running = this.#running.get(wanted.name);
    if (running === undefined) return;
    const { bridge, connmgr } = running;
    const idBefore = bridge.ofproto.datapathId;
    bridge.configure(wanted);
    const { protocols, other_config: config } = wanted.row;
    connmgr.setVersions(protocols.length > 0 ? versionsOf(protocols) : allVersions);
    const bundleIdleS = Number(this.#idl.table("Open_vSwitch").first()?.other_config.get("bundle-idle-timeout") ?? 0);
    connmgr.setBundleIdle(1000 * (Number.isInteger(bundleIdleS) ? bundleIdleS : 0));
    const calls = this.#options.localAddress;
    if (calls !== undefined) {
      for (const row of wanted.controllers) configureLocalAddress(bridge, row, calls, this.#log);
    }
    connmgr.setInBand(config.get("disable-in-band") === "true" ? [] : managers, inBandQueue(config));
    connmgr.setControllers(
      wanted.controllers.map((row) => controllerOptions(row, config)),
      this.#awaitsRestore,
    );
    this.exporters.configure(bridge, wanted);
    configureTables(
      bridge.ofproto,
      wanted.row.flow_tables,
      (id) => this.#idl.table("Flow_Table").get(id),
      this.#tableLog,
    );
    connmgr.setFailMode(wanted.row.fail_mode ?? "standalone");
    if (idBefore !== 0n && idBefore !== bridge.ofproto.datapathId) connmgr.reconnect();
    bridge.ofproto.description = {
      ...bridge.ofproto.description,
      datapath: config.get("dp-desc") ?? "None",
      serial: config.get("dp-sn") ?? "None",
    };
  }

  #configureTls(): void {
    const ssl = this.#idl.table("SSL").first();
    if (ssl === undefined) return;
    this.#options.tls?.setNames({
      privateKey: ssl.private_key,
      certificate: ssl.certificate,
      caCert: ssl.ca_cert,
      bootstrap: ssl.bootstrap_ca_cert,
    });
  }

  /** Says once of each setting that has no effect. */
  #tellInVain(): void {
    const configs = (table: "Open_vSwitch" | "Bridge" | "Interface"): ReadonlyMap<string, string>[] =>
      [...this.#idl.table(table)].map((row) => row.other_config).filter((config) => config.size > 0);
    const asked = askedInVain({
      Open_vSwitch: configs("Open_vSwitch"),
      Bridge: configs("Bridge"),
      Interface: configs("Interface"),
    });
    for (const { setting, value } of asked) {
      const { table, key, why } = setting;
      if (!this.#toldInVain.has(setting))
        this.#log.info(`${table}: other_config:${key}=${value} has no effect: ${why}`, { table, key, value });
      this.#toldInVain.add(setting);
    }
  }

  /** What concerns the datapath as a whole. */
  #configureDatapath(): void {
    const config = this.#idl.table("Open_vSwitch").first()?.other_config;
    const number = (key: string, fallback: number, min: number): number => {
      const value = Number(config?.get(key) ?? fallback);
      return Number.isInteger(value) && value >= min && value <= 0xffffffff ? value : fallback;
    };
    this.ofprotos.settings.change({
      flowLimit: number("flow-limit", defaultSettings.flowLimit, 1),
      maxIdleMs: number("max-idle", defaultSettings.maxIdleMs, 1),
      vlanLimit: number("vlan-limit", 1, 0),
    });
  }

  /** Threads for ports that want some. */
  #configureThreads(): void {
    const { threads } = this.#options;
    if (threads === undefined) return;
    const ports: PolledPort[] = [];
    for (const { bridge } of this.#running.values()) {
      for (const { netdev, row } of bridge.interfaces.values()) {
        const columns = row === undefined ? undefined : this.#idl.table("Interface").get(row);
        const port = columns === undefined ? undefined : polledPort(netdev, columns);
        if (port !== undefined) ports.push(port);
      }
    }
    // As in Open vSwitch, whose datapath comes with its first bridge.
    const config = this.#idl.table("Open_vSwitch").first()?.other_config;
    const isPolling =
      ports.length > 0 || [...this.#running.values()].some(({ bridge }) => bridge.datapathType !== "system");
    threads.configure(isPolling ? config : undefined, ports);
  }

  /** Another process has the database: keep nothing that it will want. */
  #standBy(): void {
    for (const name of [...this.#running.keys()]) this.#deleteBridge(name);
    this.#configured = -1;
    this.#statsTimer?.cancel();
    this.#statsTimer = undefined;
  }

  #armStatistics(): void {
    const asked = Number(
      this.#idl.table("Open_vSwitch").first()?.other_config.get("stats-update-interval") ?? statsMsMin,
    );
    const periodMs = Math.max(Number.isFinite(asked) ? asked : statsMsMin, statsMsMin);
    this.#statsTimer?.cancel();
    this.#statsTimer = this.#options.clock.every(periodMs, () => {
      this.#statsDue = true;
      this.#options.wake();
    });
  }

  /** Statistics of the host are due at once when they are turned on, and cleared when they are turned off. */
  #armSystemStatistics(config: ReadonlyMap<string, string>): void {
    const isOn = truth(config, "enable-statistics");
    if (isOn === (this.#systemTimer !== undefined)) return;
    this.#systemTimer?.cancel();
    const due = (): void => {
      this.#systemDue = true;
      this.#options.wake();
    };
    this.#systemTimer = isOn ? this.#options.clock.every(systemStatsMs, due) : undefined;
    this.#systemDue = true;
  }

  #writeSystemStatistics(txn: IdlTransaction<VswitchTables>, root: Uuid): void {
    const isOn = this.#systemTimer !== undefined;
    txn.set("Open_vSwitch", root, { statistics: (isOn && this.#options.systemStatistics?.()) || new Map() });
  }

  #writeStatus(txn: IdlTransaction<VswitchTables>): void {
    this.#writeCapabilities(txn);
    for (const row of this.#idl.table("Bridge")) {
      const running = this.#running.get(row.name);
      if (running === undefined || (row.datapath_type !== "" && row.datapath_type !== running.bridge.datapathType)) {
        txn.set("Bridge", row.uuid, { datapath_id: undefined, datapath_version: "" });
        continue;
      }
      const { bridge } = running;
      txn.set("Bridge", row.uuid, {
        datapath_id: formatDatapathId(bridge.ofproto.datapathId),
        datapath_version: "<built-in>",
        status: stpBridgeStatus(bridge.spanning.stp),
        rstp_status: rstpBridgeStatus(bridge.spanning.rstp),
      });
      for (const iface of bridge.interfaces.values()) this.#writeInterfaceStatus(txn, bridge, iface);
      const bonds = new Map(bridge.aggregates().map(({ name, bond }) => [name, bond]));
      const { stp, rstp } = bridge.spanning;
      for (const portId of row.ports) {
        const port = this.#idl.table("Port").get(portId);
        const bond = bonds.get(port?.name ?? "");
        if (bond !== undefined) txn.set("Port", portId, { bond_active_slave: bond.activeMac });
        const isPlain = stp === undefined && rstp === undefined;
        if (isPlain && (port === undefined || this.#written.isWritten(port, [bridge]))) continue;
        const name = bridge.onlyInterface(port?.name ?? "");
        txn.set("Port", portId, {
          status: stpPortStatus(bridge.spanning.stp, name ?? "", this.#options.clock.monotonic()),
          rstp_status: rstpPortStatus(bridge.spanning.rstp, name ?? ""),
        });
      }
      if (bridge.failures.size === 0) continue;
      for (const portId of row.ports) {
        for (const id of this.#idl.table("Port").get(portId)?.interfaces ?? []) {
          const iface = this.#idl.table("Interface").get(id);
          if (iface !== undefined && bridge.failures.has(iface.name))
            txn.set("Interface", id, failedColumns(bridge.failures.get(iface.name)?.message));
        }
      }
    }
  }

  #writeInterfaceStatus(txn: IdlTransaction<VswitchTables>, bridge: Bridge, iface: OpenInterface): void {
    const row = iface.row === undefined ? undefined : this.#idl.table("Interface").get(iface.row);
    if (row === undefined) return;
    const { netdev, ofport } = iface;
    const error = bridge.runningError(iface);
    const isCurrent = bridge.aggregateOf(iface)?.isCurrent(iface.name);
    const monitor = bridge.monitors.get(iface.name);
    const { last, carrierResets, tunnel } = netdev;
    // What protocols, routes and DPDK's devices tell changes by itself.
    const isPlain = monitor === undefined && tunnel === undefined && netdev.type.dpdk === undefined;
    if (isPlain && this.#written.isWritten(row, [netdev, ofport, error, last, carrierResets, isCurrent])) return;
    const status = tunnel === undefined ? netdev.status() : this.router.tunnelStatus(tunnel);
    const columns = runningColumns(ofport, error, last, status, carrierResets, isCurrent, monitor);
    txn.set("Interface", row.uuid, columns);
  }

  /** Datapath.capabilities, of the types that bridges have. */
  #writeCapabilities(txn: IdlTransaction<VswitchTables>): void {
    const types = new Set([...this.#running.values()].map(({ bridge }) => bridge.datapathType));
    for (const [type, id] of this.#idl.table("Open_vSwitch").first()?.datapaths ?? []) {
      if (!types.has(type) || this.#idl.table("Datapath").get(id) === undefined) continue;
      txn.set("Datapath", id, { capabilities: datapathCapabilities() });
    }
  }

  /** VLANs that auto-attach wants ports to carry, or no more. */
  #writeTrunks(txn: IdlTransaction<VswitchTables>): ReadonlyMap<Discovery, readonly PortVlan[]> {
    const taken = new Map<Discovery, readonly PortVlan[]>();
    for (const { bridge } of this.#running.values()) {
      const vlans = bridge.discovery.takeVlans();
      if (vlans.length === 0) continue;
      taken.set(bridge.discovery, vlans);
      for (const name of new Set(vlans.map(({ port }) => port))) {
        const row = bridge.wantedPorts.get(name)?.row;
        const own = vlans.filter(({ port }) => port === name);
        const columns = row === undefined ? undefined : trunksAfter(row.trunks, own);
        if (row !== undefined && columns !== undefined) txn.set("Port", row.uuid, columns);
      }
    }
    return taken;
  }

  /** What was written takes effect; what was not is to be written again. */
  #settleTrunks(vlans: ReadonlyMap<Discovery, readonly PortVlan[]>, failed: boolean): void {
    if (failed) for (const [discovery, changes] of vlans) discovery.returnVlans(changes);
    else if (vlans.size > 0) this.#devicesChanged = true;
  }

  /** Takes in carriers that changed and did not tell. */
  #lookAtLinks(): void {
    for (const { bridge } of this.#running.values()) {
      for (const iface of [...bridge.interfaces.values()]) {
        if (!iface.netdev.hasMoved) continue;
        this.#refresh(bridge, iface);
        this.#statusStale = true;
      }
    }
  }

  /** `all`: those of every interface; else of the interfaces that have none yet. */
  #writeStatistics(txn: IdlTransaction<VswitchTables>, all: boolean): void {
    for (const { bridge, connmgr } of this.#running.values()) {
      const fresh = bridge.takeFresh();
      for (const iface of all ? bridge.interfaces.values() : fresh) {
        if (iface.row === undefined || this.#idl.table("Interface").get(iface.row) === undefined) continue;
        txn.set("Interface", iface.row, { statistics: bridge.statistics(iface) });
      }
      const { stp, rstp } = bridge.spanning;
      for (const [name, wanted] of bridge.wantedPorts) {
        const port = wanted.row === undefined ? undefined : this.#idl.table("Port").get(wanted.row.uuid);
        if (wanted.row === undefined || port === undefined) continue;
        const hasNone = port.statistics.size === 0 && port.rstp_statistics.size === 0;
        if (hasNone && stp === undefined && rstp === undefined) continue;
        txn.set("Port", wanted.row.uuid, {
          statistics: stpPortStatistics(bridge.spanning.stp, bridge.onlyInterface(name) ?? ""),
          rstp_statistics: rstpPortStatistics(bridge.spanning.rstp, bridge.onlyInterface(name) ?? ""),
        });
      }
      for (const [id, statistics] of bridge.mirrorStatistics()) {
        if (this.#idl.table("Mirror").get(id) !== undefined) txn.set("Mirror", id, { statistics });
      }
      const statuses = connmgr.status();
      const row = this.#idl.table("Bridge").find((candidate) => candidate.name === bridge.name);
      for (const id of row?.controller ?? []) {
        const controller = this.#idl.table("Controller").get(id);
        if (controller === undefined) continue;
        const status = statuses.get(controller.target);
        txn.set("Controller", id, {
          is_connected: status?.isConnected ?? false,
          role: roleColumn(status?.role ?? ""),
          status: status?.status ?? new Map(),
        });
      }
    }
  }
}

function roleColumn(role: string): "other" | "master" | "slave" | undefined {
  return role === "other" || role === "master" || role === "slave" ? role : undefined;
}
