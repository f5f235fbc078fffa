import { networkInterfaces } from "node:os";
import type { Clock } from "../clock/index.js";
import { datapathStats, type NetflowRecords, type Sample } from "../datapath/index.js";
import { addressBytes, type SwitchSample } from "../export/index.js";
import type { LogSource } from "../log/index.js";
import { isMapped, mapIpv4, type Router } from "../netdev/index.js";
import { type FlowDatapath, noSampling } from "../ofproto/index.js";
import type { IpfixStats } from "../openflow/message.js";
import type { Idl, VswitchTables } from "../ovsdb/index.js";
import type { Bridge } from "./bridge.js";
import { BridgeIpfix, type IpfixSettings, ipfixSettings, sampleKind } from "./ipfix-exporter.js";
import { NetflowExporter, netflowSettings } from "./netflow-exporter.js";
import { SflowExporter, sflowSettings } from "./sflow-exporter.js";
import type { WantedBridge } from "./wanted.js";

/** The exporters of all bridges: made, changed and ended as the database says, and given the datapath's samples. */

export interface ExportersOptions {
  readonly idl: Idl<VswitchTables>;
  readonly datapath: FlowDatapath;
  readonly router: Router;
  readonly clock: Clock;
  readonly log: LogSource;
}

interface Running {
  readonly bridge: Bridge;
  sflow: SflowExporter | undefined;
  netflow: NetflowExporter | undefined;
  /** What the exporter was made from: it is made anew only when that changes. */
  sflowText: string;
  /** The bridge's own IPFIX under -1, those of its collector sets under their numbers. */
  readonly ipfix: Map<number, { readonly text: string; readonly exporter: BridgeIpfix | undefined }>;
}

const bridgeSet = -1;

export class Exporters {
  readonly #options: ExportersOptions;
  readonly #running = new Map<string, Running>();
  #sflowBridges = 0;

  constructor(options: ExportersOptions) {
    this.#options = options;
  }

  /** Called before the bridges are configured one after the other. */
  begin(): void {
    this.#sflowBridges = 0;
  }

  configure(bridge: Bridge, wanted: WantedBridge): void {
    const { idl } = this.#options;
    let running = this.#running.get(bridge.name);
    if (running?.bridge !== bridge) {
      if (running !== undefined) close(running);
      running = { bridge, sflow: undefined, netflow: undefined, sflowText: "", ipfix: new Map() };
      this.#running.set(bridge.name, running);
      const { ipfix } = running;
      bridge.ofproto.ipfixStats = (ofBridge) => ipfixStats(ipfix, ofBridge);
    }
    const row = wanted.row.sflow === undefined ? undefined : idl.table("sFlow").get(wanted.row.sflow);
    const controlIp = wanted.controllers.find((controller) => controller.local_ip !== undefined)?.local_ip;
    const settings = row === undefined ? undefined : sflowSettings(row, this.#sflowBridges++, controlIp);
    const text = settings === undefined ? "" : JSON.stringify(settings);
    if (settings !== undefined) for (const iface of bridge.interfaces.values()) iface.netdev.state();
    if (text !== running.sflowText) {
      running.sflow?.close();
      running.sflowText = text;
      running.sflow = settings === undefined ? undefined : this.#openSflow(bridge, settings);
    }
    this.#configureIpfix(running, wanted);
    this.#configureNetflow(running, wanted);
    this.#sample(running);
  }

  remove(bridge: string): void {
    const running = this.#running.get(bridge);
    if (running !== undefined) close(running);
    this.#running.delete(bridge);
  }

  sample(event: Sample): void {
    for (const { bridge, sflow, ipfix } of this.#running.values()) {
      if (bridge.ofproto.bridge !== event.bridge) continue;
      if (event.sampleKind === sampleKind.ipfix) ipfix.get(bridgeSet)?.exporter?.sample(event);
      else if (event.sampleKind === sampleKind.flow) ipfix.get(event.collectorSetId)?.exporter?.sample(event);
      else sflow?.sample(event);
    }
  }

  netflow(event: NetflowRecords): void {
    for (const { bridge, netflow } of this.#running.values())
      if (bridge.ofproto.bridge === event.bridge) netflow?.records(event);
  }

  #configureNetflow(running: Running, wanted: WantedBridge): void {
    const { idl, clock, log } = this.#options;
    const { bridge } = running;
    const row = wanted.row.netflow === undefined ? undefined : idl.table("NetFlow").get(wanted.row.netflow);
    if (row === undefined) {
      running.netflow?.close();
      running.netflow = undefined;
      return;
    }
    const settings = netflowSettings(row, wanted.row.datapath_type === "dummy");
    const nPorts = wanted.row.ports.length;
    if (running.netflow === undefined) running.netflow = new NetflowExporter(settings, bridge.name, nPorts, clock, log);
    else running.netflow.configure(settings, nPorts);
  }

  #configureIpfix({ bridge, ipfix }: Running, wanted: WantedBridge): void {
    const { idl, clock, log } = this.#options;
    const rows = idl.table("IPFIX");
    const settings = new Map<number, IpfixSettings>();
    const own = wanted.row.ipfix === undefined ? undefined : rows.get(wanted.row.ipfix);
    if (own !== undefined) settings.set(bridgeSet, ipfixSettings(own));
    for (const set of idl.table("Flow_Sample_Collector_Set")) {
      const row = set.bridge !== wanted.row.uuid || set.ipfix === undefined ? undefined : rows.get(set.ipfix);
      if (row !== undefined) settings.set(set.id, ipfixSettings(row));
    }
    for (const [id, { text, exporter }] of ipfix) {
      const is = settings.get(id);
      if (is !== undefined && JSON.stringify(is) === text) continue;
      exporter?.close();
      ipfix.delete(id);
    }
    for (const [id, is] of settings) {
      if (ipfix.has(id)) continue;
      for (const iface of bridge.interfaces.values()) iface.netdev.state();
      ipfix.set(id, { text: JSON.stringify(is), exporter: BridgeIpfix.open(is, bridge, clock, log) });
    }
  }

  #openSflow(bridge: Bridge, settings: ReturnType<typeof sflowSettings>): SflowExporter | undefined {
    const { clock, log } = this.#options;
    return SflowExporter.open(settings, {
      bridge,
      clock,
      log,
      deviceAddress,
      sourceFor: (address) => this.#sourceFor(address),
      switchSample: () => this.#switchSample(),
      tellsOfSwitch: () => [...this.#running.values()].find(({ sflow }) => sflow !== undefined)?.bridge === bridge,
    });
  }

  #sample({ bridge, sflow, netflow, ipfix }: Running): void {
    const own = ipfix.get(bridgeSet)?.exporter;
    const sets = [...ipfix].filter(([id]) => id !== bridgeSet);
    const sampling = {
      ...noSampling,
      sflowProbability: sflow?.probability ?? 0,
      sflowHeader: sflow?.settings.header ?? 0,
      ipfixProbability: own?.probability ?? 0,
      ipfixInput: own?.settings.input ?? false,
      ipfixOutput: own?.settings.output ?? false,
      ipfixTunnels: own?.settings.tunnels ?? false,
      netflowTimeoutS: netflow?.activeTimeoutS ?? 0,
      // A sample action samples as soon as the bridge has any exporter, as it does in Open vSwitch.
      flowSampling: ipfix.size > 0,
      flowSamplingTunnels: sets.some(([, { exporter }]) => exporter?.settings.tunnels ?? false),
    };
    const before = bridge.ofproto.settings.sampling;
    // The settings are compared by identity, so that equal ones must be the same.
    if (JSON.stringify(before) !== JSON.stringify(sampling)) bridge.ofproto.changeSettings({ sampling });
  }

  #sourceFor(address: Uint8Array): Uint8Array | undefined {
    const wide = address.length === 4 ? mapIpv4(address) : address;
    const source = this.#options.router.lookup(wide, 0)?.source;
    return source !== undefined && isMapped(source) ? source.slice(12) : source;
  }

  #switchSample(): SwitchSample {
    const stats = datapathStats(this.#options.datapath);
    const usage = process.resourceUsage();
    return {
      datapath: {
        hits: Number(stats.nHit),
        misses: Number(stats.nMissed),
        lost: Number(stats.nLost),
        maskHits: Number(stats.nMaskHit),
        flows: Number(stats.nFlows),
        masks: stats.nMasks,
      },
      userMs: Math.floor(usage.userCPUTime / 1000),
      systemMs: Math.floor(usage.systemCPUTime / 1000),
      memoryBytes: usage.maxRSS * 1024,
    };
  }
}

/** Of the bridge's own exporter, or of those of its collector sets. */
function ipfixStats(ipfix: Running["ipfix"], ofBridge: boolean): readonly IpfixStats[] {
  return [...ipfix].flatMap(([id, { exporter }]) =>
    exporter === undefined || (id === bridgeSet) !== ofBridge ? [] : [exporter.stats(ofBridge ? 0 : id)],
  );
}

function close({ sflow, netflow, ipfix }: Running): void {
  sflow?.close();
  netflow?.close();
  for (const { exporter } of ipfix.values()) exporter?.close();
}

/** The first address of a device of the host, IPv4 before IPv6. */
function deviceAddress(name: string): Uint8Array | undefined {
  const addresses = networkInterfaces()[name] ?? [];
  const first = addresses.find((entry) => entry.family === "IPv4") ?? addresses[0];
  return first === undefined ? undefined : addressBytes(first.address.replace(/%.*/, ""));
}
