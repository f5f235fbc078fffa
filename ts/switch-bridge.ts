import { Connmgr, versionsOf } from "./connmgr/index.js";
import type { Clock } from "./clock/index.js";
import { type FlowSpec, flowSpecText } from "./flow-spec.js";
import type { LogSource } from "./log/index.js";
import { type Netdevs } from "./netdev/index.js";
import { addFlowMod, aggregateFlows, anyPort, dumpFlows, everyFlow, type FlowRecord, learnedAddresses, type Ofproto, type Ofprotos, type PacketInEvent, portNames, sendPacketOut, type Trace, traceFlow, trunkBundle } from "./ofproto/index.js";
import { type FlowMod, formatActions, formatMatch, OpenFlowError, parseActions, parseFlow, parseMatch } from "./openflow/index.js";
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
}

export interface TraceResult {
  /** As `ovs-appctl ofproto/trace` prints it. */
  readonly text: string;
  readonly tree: Trace;
}

/** The switch refused a flow or a request: what OpenFlow's error says, and the text that was refused. */
export class FlowRefusedError extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  constructor(code: string, sentence: string, details: Readonly<Record<string, unknown>>) {
    super(sentence);
    this.name = "FlowRefusedError";
    this.code = code;
    this.details = details;
  }
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

const addCommand = 0;
const deleteCommand = 3;

export class SwitchBridge {
  readonly name: string;
  readonly #host: BridgeHost;
  readonly #ofproto: Ofproto;
  readonly #connmgr: Connmgr;
  readonly #ports = new Map<string, SwitchPort>();
  readonly #bundles = new Map<string, number>();
  #nextBundle = 1;

  /** Use `Switch.addBridge`. */
  constructor(host: BridgeHost, name: string, spec: BridgeSpec) {
    this.name = name;
    this.#host = host;
    this.#ofproto = host.ofprotos.create({ name, datapathType: "netdev", datapathId: spec.datapathId ?? 1n });
    this.#connmgr = new Connmgr({ ofproto: this.#ofproto, runDirectory: host.runDirectory, clock: host.clock, log: host.log });
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
      this.#ofproto.setBundle(id, spec.tag === undefined ? { ...bundle, trunks: spec.trunks ?? [] } : { ...bundle, vlanMode: "access", tag: spec.tag });
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

  /** Adds a flow: a line as ovs-ofctl takes it, or an object.  Port names may stand for numbers.  Throws FlowSyntaxError
   *  or FlowRefusedError. */
  addFlow(flow: string | FlowSpec): void {
    this.addFlows([flow]);
  }

  /** Adds flows in order; throws for the first that is refused, and those before it stay. */
  addFlows(flows: readonly (string | FlowSpec)[]): void {
    this.#submit(flows.map((flow) => (typeof flow === "string" ? flow : flowSpecText(flow))), addCommand);
  }

  /** Removes the flows that match: `table=1,tcp`, `cookie=0x5/-1`; nothing removes all. */
  deleteFlows(match = ""): void {
    this.#submit([match], deleteCommand);
  }

  /** Flows that match, with what they counted up to now. */
  dumpFlows(match = ""): FlowEntry[] {
    const { tableId, cookie, cookieMask, match: filter } = parseFlow(match, deleteCommand, { ports: portNames(this.#ofproto) });
    const asked = { ...everyFlow, table: tableId, cookie, cookieMask, match: filter, outPort: anyPort };
    return [...dumpFlows(this.#ofproto.datapath, this.#ofproto.bridge, asked)].map((record) => this.#entry(record));
  }

  /** Packets, bytes and number of the flows that match. */
  totals(match = ""): { readonly packets: bigint; readonly bytes: bigint; readonly flows: number } {
    const { tableId, cookie, cookieMask, match: filter } = parseFlow(match, deleteCommand, { ports: portNames(this.#ofproto) });
    const totals = aggregateFlows(this.#ofproto.datapath, this.#ofproto.bridge, { ...everyFlow, table: tableId, cookie, cookieMask, match: filter });
    return { packets: totals.nPackets, bytes: totals.nBytes, flows: Number(totals.nFlows) };
  }

  #entry(record: FlowRecord): FlowEntry {
    return {
      table: record.table, priority: record.priority, cookie: record.cookie, packets: record.nPackets, bytes: record.nBytes,
      ageMs: Number(record.nowMs - record.createdMs), idleTimeout: record.idleTimeoutS, hardTimeout: record.hardTimeoutS,
      match: formatMatch(record.matchBytes), actions: formatActions(record.actionsBytes),
    };
  }

  #submit(texts: readonly string[], command: number): void {
    const queue = this.#ofproto.flowModQueue();
    const requests = texts.map((text) => new TextEncoder().encode(text));
    texts.forEach((text, index) => {
      const mod: FlowMod = parseFlow(text, command, { ports: portNames(this.#ofproto) });
      const first = command === addCommand && mod.tableId === 255 ? { ...mod, tableId: 0 } : mod;
      queue.add(requests[index] ?? new Uint8Array(0), (batch, bridge) => addFlowMod(batch, bridge, first));
    });
    const [failure] = this.#ofproto.submitFlowMods(queue).failures;
    if (failure === undefined) return;
    const text = new TextDecoder().decode(failure.request);
    throw new FlowRefusedError(failure.error, `${this.name} refused "${text}" (${failure.error}): ${failure.sentence}`, { flow: text });
  }

  // Packets.

  /** Runs actions on a frame, as a controller's packet-out does.  `inPort` is a port's name or number. */
  packetOut(frame: Uint8Array, actions: string, inPort: string | number = "controller"): void {
    const ports = portNames(this.#ofproto);
    const number = typeof inPort === "number" ? inPort : inPort === "controller" ? 0xfffffffd : ports.numberOf(inPort);
    if (number === undefined) throw new FlowRefusedError("OFPBRC_BAD_PORT", `${this.name} has no port ${inPort}`, { port: inPort });
    try {
      sendPacketOut(this.#ofproto, { bufferId: 0xffffffff, inPort: number, match: new Uint8Array(16), actions: parseActions(actions, ports), packet: frame });
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      throw new FlowRefusedError(error.code, `${this.name} refused a packet-out (${error.code}): ${error.message}`, { actions });
    }
    this.#host.settle();
  }

  /** Calls for each packet that a flow sends to the controller; the returned function ends it. */
  onPacketIn(listener: (event: PacketInEvent) => void): () => void {
    return this.#ofproto.listen({ packetIn: listener, flowRemoved: () => {}, portChanged: () => {}, flowsFlushed: () => {} });
  }

  /** Why a packet goes where it goes.  `flow` is a match as ovs-ofctl writes it; a frame may stand for it. */
  trace(flow: string, options: { readonly packet?: Uint8Array; readonly names?: boolean } = {}): TraceResult {
    const key = parseMatch(flow, portNames(this.#ofproto));
    return traceFlow(this.#host.ofprotos, {
      ofproto: this.#ofproto, key, packet: options.packet ?? new Uint8Array(0), actions: new Uint8Array(0), generate: false, names: options.names ?? false,
    });
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
    return { name: this.name, datapathId: this.#ofproto.datapathId.toString(16).padStart(16, "0"), ports: this.ports() };
  }

  /** Called by the switch. */
  close(): void {
    this.#connmgr.close();
    for (const name of [...this.#ports.keys()]) this.removePort(name);
    this.#host.ofprotos.remove(this.#ofproto);
  }
}
