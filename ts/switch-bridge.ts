import type { Clock } from "./clock/index.js";
import { Connmgr, versionsOf } from "./connmgr/index.js";
import type { LogSource } from "./log/index.js";
import type { Netdevs } from "./netdev/index.js";
import {
  type FlowInput,
  FlowTable,
  learnedAddresses,
  type Ofproto,
  type Ofprotos,
  type PacketInEvent,
  type TraceInput,
  type TraceResult,
  trunkBundle,
} from "./ofproto/index.js";
import { type Flow, flowModOfFlow, formatActions, formatMatch, ofpp } from "./openflow/index.js";
import { SwitchPort } from "./switch-port.js";

/** A bridge of an embedded switch. */

export interface BridgeSpec {
  /** `secure`, the default: an empty table drops.  `standalone`: without controllers it learns and forwards. */
  readonly failMode?: "secure" | "standalone";
  readonly datapathId?: bigint;
  /** Such as `OpenFlow13`; the default is all. */
  readonly protocols?: readonly string[];
}

export interface PortSpec {
  /** `memory`, the default: frames come from the program and go to it.  Others as Interface.type, and `pcap`. */
  readonly type?: string;
  /** OpenFlow port number that is wished for. */
  readonly number?: number;
  /** As Interface.options. */
  readonly options?: Readonly<Record<string, string>>;
  /** Access VLAN. */
  readonly tag?: number;
  /** VLANs of a trunk; empty for all. */
  readonly trunks?: readonly number[];
}

export interface FlowEntry {
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly ageMs: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  /** As ovs-ofctl prints them. */
  readonly match: string;
  readonly actions: string;
  /** The whole line of `ovs-ofctl dump-flows`. */
  readonly text: string;
}

/** What a bridge needs of its switch. */
export interface BridgeHost {
  readonly ofprotos: Ofprotos;
  readonly netdevs: Netdevs;
  readonly clock: Clock;
  readonly log: LogSource;
  readonly runDirectory: string;
  /** Without workers: moves what waits. */
  settle(): void;
}

function inputOf(flow: string | Flow): FlowInput {
  return typeof flow === "string" ? flow : flowModOfFlow(flow);
}

export class SwitchBridge {
  readonly name: string;
  readonly #host: BridgeHost;
  readonly #ofproto: Ofproto;
  readonly #connmgr: Connmgr;
  readonly #flows: FlowTable;
  readonly #ports = new Map<string, SwitchPort>();
  readonly #bundles = new Map<string, number>();
  #nextBundle = 1;

  /** Use `Switch.addBridge`. */
  constructor(host: BridgeHost, name: string, spec: BridgeSpec) {
    this.name = name;
    this.#host = host;
    this.#ofproto = host.ofprotos.create({ name, datapathType: "netdev", datapathId: spec.datapathId ?? 1n });
    this.#flows = new FlowTable(this.#ofproto);
    this.#connmgr = new Connmgr({
      ofproto: this.#ofproto,
      runDirectory: host.runDirectory,
      clock: host.clock,
      log: host.log,
    });
    if (spec.protocols !== undefined) this.#connmgr.setVersions(versionsOf(spec.protocols));
    if (spec.failMode === "standalone") this.#connmgr.setFailMode("standalone");
  }

  // Ports.

  /** Opens a device and adds it.  Throws NetdevError or PortError, which name the port and what helps. */
  addPort(name: string, spec: PortSpec = {}): SwitchPort {
    const type = spec.type ?? "memory";
    const netdev = this.#host.netdevs.open(name, type, "netdev", new Map(Object.entries(spec.options ?? {})));
    try {
      const state = netdev.state();
      const port = this.#ofproto.addPort({
        name,
        dpPort: netdev.dpPort,
        requestedNumber: spec.number,
        shownAs: netdev.type.shownAs,
        hwAddr: state.mac,
        mtu: state.mtu ?? 0,
        up: state.up,
        carrier: state.carrier,
        features: { current: 0, advertised: 0, supported: 0, peer: 0, currentSpeedKbps: 0, maxSpeedKbps: 0 },
      });
      const id = this.#nextBundle++;
      const bundle = trunkBundle(name, [port.number]);
      this.#ofproto.setBundle(
        id,
        spec.tag === undefined
          ? { ...bundle, trunks: spec.trunks ?? [] }
          : { ...bundle, vlanMode: "access", tag: spec.tag },
      );
      this.#bundles.set(name, id);
      const made = new SwitchPort(netdev, port.number, () => this.#host.settle());
      this.#ports.set(name, made);
      return made;
    } catch (error) {
      netdev.close();
      throw error;
    }
  }

  removePort(name: string): void {
    const port = this.#ports.get(name);
    if (port === undefined) return;
    this.#ports.delete(name);
    const bundle = this.#bundles.get(name);
    if (bundle !== undefined) this.#ofproto.removeBundle(bundle);
    this.#bundles.delete(name);
    this.#ofproto.removePort(name);
    port.close();
  }

  port(name: string): SwitchPort | undefined {
    return this.#ports.get(name);
  }

  ports(): readonly SwitchPort[] {
    return [...this.#ports.values()];
  }

  // Flows.

  /** Adds a flow: a line as ovs-ofctl takes it, or an object.  Port names may stand for numbers in a line.  Throws
   *  FlowSyntaxError, or OpenFlowError with the code that a controller would get. */
  addFlow(flow: string | Flow): void {
    this.#flows.add(inputOf(flow));
  }

  /** Adds flows: all, or none when one is refused. */
  addFlows(flows: readonly (string | Flow)[]): void {
    this.#flows.add(...flows.map(inputOf));
  }

  /** Changes the actions of the flows that match. */
  modifyFlows(flow: string | Flow, options: { readonly strict?: boolean } = {}): void {
    this.#flows.modify(inputOf(flow), options);
  }

  /** Removes the flows that match: `table=1,tcp`, `cookie=0x5/-1`; nothing removes all.  Returns how many. */
  deleteFlows(match = ""): number {
    return this.#flows.delete(match);
  }

  /** Flows that match, with what they counted up to now. */
  dumpFlows(match = ""): FlowEntry[] {
    return [...this.#flows.dump(match)].map((flow) => ({
      table: flow.tableId,
      priority: flow.priority,
      cookie: flow.cookie,
      packets: flow.packetCount,
      bytes: flow.byteCount,
      ageMs: 1000 * flow.durationSec + Math.floor(flow.durationNsec / 1e6),
      idleTimeout: flow.idleTimeout,
      hardTimeout: flow.hardTimeout,
      match: formatMatch(flow.match),
      actions: formatActions(flow.actions),
      text: this.#flows.format(flow),
    }));
  }

  // Packets.

  /** Runs actions on a frame, as a controller's packet-out does.  `inPort` is a port's name or number. */
  packetOut(frame: Uint8Array, actions: string, inPort?: string | number): void {
    this.#flows.packetOut(frame, actions, inPort ?? ofpp.CONTROLLER);
    this.#host.settle();
  }

  /** Calls for each packet that a flow sends to the controller; the returned function ends it. */
  onPacketIn(listener: (event: PacketInEvent) => void): () => void {
    return this.#flows.onPacketIn(listener);
  }

  /** Why a packet goes where it goes: a tree, and the text that `ovs-appctl ofproto/trace` prints.  `flow` is a match
   *  as ovs-ofctl writes it. */
  trace(flow: string, input: TraceInput = {}): TraceResult {
    return this.#flows.trace(flow, input);
  }

  /** Addresses that NORMAL has learned. */
  learned(): ReturnType<typeof learnedAddresses> {
    return learnedAddresses(this.#ofproto);
  }

  // Controllers.

  /** Opens `NAME.mgmt` and `NAME.snoop` in the switch's run directory, where ovs-ofctl can reach them. */
  openManagement(): void {
    this.#connmgr.openManagement();
  }

  /** Takes the whole list of controllers: `tcp:127.0.0.1:6653`, `ptcp:6653`, ... */
  setControllers(targets: readonly string[]): void {
    this.#connmgr.setControllers(targets.map((target) => ({ target })));
  }

  /** TCP port on which a passive target such as `ptcp:0:127.0.0.1` listens. */
  listenPort(target: string): number | undefined {
    return this.#connmgr.listenPort(target);
  }

  /** Whether each controller is connected, by target. */
  controllers(): ReadonlyMap<string, boolean> {
    return new Map([...this.#connmgr.status()].map(([target, status]) => [target, status.isConnected]));
  }

  toJSON(): { readonly name: string; readonly datapathId: string; readonly ports: readonly SwitchPort[] } {
    return {
      name: this.name,
      datapathId: this.#ofproto.datapathId.toString(16).padStart(16, "0"),
      ports: this.ports(),
    };
  }

  /** Called by the switch. */
  close(): void {
    this.#connmgr.close();
    for (const name of [...this.#ports.keys()]) this.removePort(name);
    this.#host.ofprotos.remove(this.#ofproto);
  }
}
