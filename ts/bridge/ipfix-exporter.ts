import type { Clock, Timer } from "../clock/index.js";
import type { Sample } from "../datapath/index.js";
import { Collectors, type FlowInterface, type FlowTunnel, IpfixExporter } from "../export/index.js";
import type { LogSource } from "../log/index.js";
import { tunnelOfWords } from "../openflow/index.js";
import type { IpfixStats } from "../openflow/message.js";
import type { IPFIXRow } from "../ovsdb/index.js";
import type { Bridge, OpenInterface } from "./bridge.js";

/** IPFIX of one bridge, or of one of its collector sets: samples from the datapath to the collectors of its row. */

export interface IpfixSettings {
  readonly targets: readonly string[];
  /** Of the bridge: one packet in this many. */
  readonly sampling: number;
  readonly domainId: number;
  readonly pointId: number;
  readonly activeTimeoutS: number;
  readonly flowsMax: number;
  readonly virtualObsId: string | undefined;
  readonly tunnels: boolean;
  readonly input: boolean;
  readonly output: boolean;
}

export function ipfixSettings(row: IPFIXRow): IpfixSettings {
  const config = row.other_config;
  return {
    targets: [...row.targets].sort(),
    sampling: row.sampling ?? 400,
    domainId: row.obs_domain_id ?? 0,
    pointId: row.obs_point_id ?? 0,
    activeTimeoutS: row.cache_active_timeout ?? 0,
    flowsMax: row.cache_max_flows ?? 0,
    virtualObsId: config.get("virtual_obs_id"),
    tunnels: config.get("enable-tunnel-sampling") !== "false",
    // The names say the opposite of what Open vSwitch makes of them: true turns that sampling off.
    input: config.get("enable-input-sampling") !== "true",
    output: config.get("enable-output-sampling") !== "true",
  };
}

export const sampleKind = { ipfix: 2, flow: 3 } as const;

/** Exporters that this process has had. */
let nExporters = 0;

/** UDP ports of BFD, whose packets the switch itself sends and receives. */
const bfdPorts = [3784, 3785];
const vlanTypes = [0x8100, 0x88a8];

export class BridgeIpfix {
  readonly settings: IpfixSettings;
  readonly #bridge: Bridge;
  readonly #clock: Clock;
  readonly #collectors: Collectors;
  readonly #exporter: IpfixExporter;
  readonly #timer: Timer;

  private constructor(settings: IpfixSettings, bridge: Bridge, clock: Clock, collectors: Collectors) {
    this.settings = settings;
    this.#bridge = bridge;
    this.#clock = clock;
    this.#collectors = collectors;
    const { activeTimeoutS, flowsMax, virtualObsId } = settings;
    const notSent = (): number => collectors.counts.failed + collectors.counts.dropped;
    nExporters += 1;
    this.#exporter = new IpfixExporter({ activeTimeoutS, flowsMax, virtualObsId, exporterId: nExporters, notSent });
    this.#timer = clock.every(1000, () => this.#send(this.#exporter.expire(clock.monotonic(), clock.wall())));
  }

  /** Undefined, with a word in the log, if there is nobody to send to. */
  static open(settings: IpfixSettings, bridge: Bridge, clock: Clock, log: LogSource): BridgeIpfix | undefined {
    if (settings.targets.length === 0) return undefined;
    const collectors = new Collectors(settings.targets, undefined, log("collectors").limited(5, 5));
    if (collectors.size > 0) return new BridgeIpfix(settings, bridge, clock, collectors);
    log("ipfix").warn("no collectors could be initialized, IPFIX exporter disabled");
    return undefined;
  }

  /** Of 2**32 - 1 packets, how many the bridge samples. */
  get probability(): number {
    return this.settings.sampling === 0 ? 0 : Math.max(1, Math.floor(0xffffffff / this.settings.sampling));
  }

  sample(event: Sample): void {
    const isFlow = event.sampleKind === sampleKind.flow;
    if (!isFlow && isBfd(event.packet)) return;
    const interfaces = [...this.#bridge.interfaces.values()];
    const input = interfaces.find((iface) => iface.ofport === (event.inPort & 0xffff));
    const output = interfaces.find((iface) => iface.netdev.dpPort === event.outPort);
    const egress = event.direction === 0 ? event.outPort !== 0 : event.direction === 2;
    const weight = isFlow ? 65535 / Math.max(1, event.probability) : this.settings.sampling;
    const messages = this.#exporter.packet(
      {
        packet: event.packet,
        frameSize: event.totalSize,
        weight: Math.max(1, Math.floor(weight)),
        domainId: isFlow ? event.obsDomainId : this.settings.domainId,
        pointId: isFlow ? event.obsPointId : this.settings.pointId,
        egress,
        dropped: event.nOutputs === 0,
        input: interfaceOf(input),
        output: interfaceOf(output),
        tunnel: this.settings.tunnels ? this.#tunnel(event, input, output) : undefined,
      },
      this.#clock.monotonic(),
      this.#clock.wall(),
    );
    this.#send(messages);
  }

  /** What OpenFlow tells of the exporter; the bridge's own has no set, which is 0. */
  stats(collectorSetId: number): IpfixStats {
    const { sent, failed, dropped } = this.#collectors.counts;
    return {
      ...this.#exporter.counts,
      currentFlows: BigInt(this.#exporter.currentFlows),
      txPackets: BigInt(sent),
      txErrors: BigInt(failed + dropped),
      collectorSetId,
    };
  }

  close(): void {
    this.#timer.cancel();
    this.#send(this.#exporter.expire(this.#clock.monotonic(), this.#clock.wall(), true));
    this.#collectors.close();
  }

  #tunnel(event: Sample, input: OpenInterface | undefined, output: OpenInterface | undefined): FlowTunnel | undefined {
    const goesOut = event.tunnelPort !== 0;
    if (!goesOut && event.outPort !== 0) return undefined;
    const words = goesOut ? event.tunnelOut : event.tunnel;
    const tunnel = tunnelOfWords(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
    const kind = tunnelKinds.get((goesOut ? output : input)?.type ?? "");
    if (tunnel === undefined || kind === undefined) return undefined;
    const key = Uint8Array.of(tunnel.vni >>> 24, tunnel.vni >>> 16, tunnel.vni >>> 8, tunnel.vni);
    // The source port of what came in is not kept; what goes out gets one later.
    const dstPort = (goesOut ? output : input)?.netdev.tunnel?.dstPort ?? 0;
    return {
      src: tunnel.src,
      dst: tunnel.dst,
      srcPort: 0,
      dstPort,
      ...kind,
      key: kind.keySize === 3 ? key.subarray(1) : key,
    };
  }

  #send(messages: readonly Uint8Array[]): void {
    for (const message of messages) this.#collectors.send(message);
  }
}

const tunnelKinds: ReadonlyMap<string, { readonly type: number; readonly protocol: number; readonly keySize: number }> =
  new Map([
    ["vxlan", { type: 1, protocol: 17, keySize: 3 }],
    ["gre", { type: 2, protocol: 47, keySize: 4 }],
    ["lisp", { type: 3, protocol: 17, keySize: 3 }],
    ["geneve", { type: 7, protocol: 17, keySize: 3 }],
  ]);

/** What a device is, which does not change: asked once, since there may be a sample for every packet. */
const kinds = new WeakMap<OpenInterface["netdev"], { readonly type: number; readonly description: string }>();

function interfaceOf(iface: OpenInterface | undefined): FlowInterface {
  if (iface === undefined) return { index: 0, type: 0, name: "", description: "" };
  let kind = kinds.get(iface.netdev);
  if (kind === undefined) {
    const status = iface.netdev.status();
    kind = { type: Number(status.get("if_type") ?? 0), description: status.get("if_descr") ?? "" };
    kinds.set(iface.netdev, kind);
  }
  return { index: iface.netdev.last.ifindex ?? 0, name: iface.name, ...kind };
}

function isBfd(packet: Uint8Array): boolean {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const l3At = view.byteLength >= 18 && vlanTypes.includes(view.getUint16(12)) ? 18 : 14;
  const type = view.byteLength >= l3At + 20 ? view.getUint16(l3At - 2) : 0;
  const isIpv4 = type === 0x0800 && view.getUint8(l3At + 9) === 17 && (view.getUint16(l3At + 6) & 0x1fff) === 0;
  const isIpv6 = type === 0x86dd && view.getUint8(l3At + 6) === 17;
  const l4At = l3At + (isIpv4 ? 4 * (view.getUint8(l3At) & 15) : 40);
  return (isIpv4 || isIpv6) && view.byteLength >= l4At + 4 && bfdPorts.includes(view.getUint16(l4At + 2));
}
