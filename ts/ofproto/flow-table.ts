import { traceFlag } from "../datapath/generated/records.js";
import { composePacket, trace as traceSteps } from "../datapath/index.js";
import {
  flowOfInfo,
  flowText,
  formatFlow,
  inPortMatch,
  matchInPort,
  OpenFlowError,
  parseActions,
  parseExactFlow,
  parseFlow,
  withTlvMap,
} from "../openflow/index.js";
import type { FlowMod, FlowStats } from "../openflow/message.js";
import { CommandBatch } from "./abi-batch.js";
import { flowOfKey } from "./flow-key.js";
import { addFlowMod, checkFlowMod, flowModError } from "./flow-mods.js";
import { anyPort, type FlowFilter, flowInfos } from "./flow-records.js";
import type { PortNames } from "./flow-words.js";
import type { Ofproto } from "./ofproto.js";
import { sendPacketOut } from "./packet-out.js";
import type { OfPort } from "./port.js";
import type { PacketInEvent } from "./requester.js";
import type { TraceWords } from "./trace-remarks.js";
import { readTrace } from "./trace-steps.js";
import { formatTrace } from "./trace-text.js";
import { type TraceTree, traceTree } from "./trace-tree.js";

/** A switch's flows for a program in the same process: flows as ovs-ofctl writes them, or as flow_mod objects.
 *
 *  ```ts
 *  const flows = new FlowTable(ofproto);
 *  flows.add("priority=5,tcp,tp_dst=80,actions=output:web", "priority=0,actions=NORMAL");
 *  for (const flow of flows.dump()) console.log(flows.format(flow));
 *  console.log(flows.trace("in_port=1,tcp,tp_dst=80").text);
 *  ``` */

/** A flow to add: ovs-ofctl's text, or an object. */
export type FlowInput = string | FlowMod;

const command = { add: 0, modify: 1, modifyStrict: 2, delete: 3, deleteStrict: 4 } as const;
const nothing = new Uint8Array(0);

export interface TraceResult extends TraceTree {
  /** As `ovs-appctl ofproto/trace` prints it. */
  readonly text: string;
}

export interface TraceInput {
  /** Its headers are used in place of the flow's, and controllers get what the pipeline sends them of it. */
  readonly packet?: Uint8Array;
  /** Traces a packet-out with these actions. */
  readonly actions?: string;
  /** Makes a packet of the flow and lets happen what it would do besides being output: MAC learning, packet-ins. */
  readonly generate?: boolean;
  /** What the packet that is made carries behind its headers, in place of 64 bytes that count. */
  readonly payload?: Uint8Array;
  /** Ports by name. */
  readonly names?: boolean;
}

/** OpenFlow port names of a bridge. */
export function portNames(ofproto: Ofproto): PortNames {
  return { numberOf: (name) => ofproto.findPort(name)?.number, nameOf: (port) => ofproto.port(port)?.name };
}

export class FlowTable {
  readonly #ofproto: Ofproto;
  readonly #names: PortNames;

  constructor(ofproto: Ofproto) {
    this.#ofproto = ofproto;
    this.#names = portNames(ofproto);
  }

  /** Adds flows: all, or none when one is refused.  Throws FlowSyntaxError or OpenFlowError. */
  add(...flows: readonly FlowInput[]): void {
    this.#change(command.add, flows);
  }

  /** Changes the actions of the flows that match, or (strict) of the very same one. */
  modify(flow: FlowInput, options: { readonly strict?: boolean } = {}): void {
    this.#change(options.strict === true ? command.modifyStrict : command.modify, [flow]);
  }

  /** Removes the flows that match, all without an argument; returns how many. */
  delete(flow: FlowInput = "", options: { readonly strict?: boolean } = {}): number {
    return this.#change(options.strict === true ? command.deleteStrict : command.delete, [flow]);
  }

  /** The flows that match `filter`, which is written as for `ovs-ofctl dump-flows`. */
  *dump(filter = ""): Generator<FlowStats, void> {
    const { tableId, outPort, outGroup, cookie, cookieMask, match } = this.#parse(filter, command.delete);
    const wanted: FlowFilter = { table: tableId, outPort, outGroup, cookie, cookieMask, match };
    for (const record of flowInfos(this.#ofproto.datapath, this.#ofproto.bridge, wanted))
      yield this.#mapped(() => flowOfInfo(record, 0));
  }

  /** As `ovs-ofctl dump-flows` prints it. */
  format(flow: FlowStats): string {
    return this.#mapped(() => formatFlow(flow));
  }

  /** Runs actions on a packet, as if it had come in on a port. */
  packetOut(packet: Uint8Array, actions: string, inPort: number | string = anyPort): void {
    const port = typeof inPort === "string" ? this.#port(inPort) : inPort;
    sendPacketOut(this.#ofproto, {
      bufferId: 0xffffffff,
      inPort: port,
      match: inPortMatch(port),
      actions: this.#mapped(() => parseActions(actions, this.#names)),
      packet,
    });
  }

  /** Calls `listener` for each packet that the pipeline sends to controllers; the returned function ends it. */
  onPacketIn(listener: (event: PacketInEvent) => void): () => void {
    const ignore = (): void => {};
    return this.#ofproto.listen({
      packetIn: listener,
      flowRemoved: ignore,
      portChanged: ignore,
      requestDone: ignore,
      tableStatus: ignore,
      flowChanged: ignore,
      flowChangesTold: ignore,
      flowsFlushed: ignore,
    });
  }

  /** What would happen to a packet of that flow. */
  trace(flow: string, input: TraceInput = {}): TraceResult {
    return this.#mapped(() => {
      const actions = input.actions === undefined ? nothing : parseActions(input.actions, this.#names);
      return traceFlow(this.#ofproto, parseExactFlow(flow, this.#names), { ...input, actions });
    });
  }

  /** Runs `body` with the fields that the bridge's map gives tunnel options. */
  #mapped<Result>(body: () => Result): Result {
    return withTlvMap(this.#ofproto.tlvs, body);
  }

  #port(name: string): number {
    const port = this.#ofproto.findPort(name);
    if (port === undefined) throw new OpenFlowError("OFPBRC_BAD_PORT", `${this.#ofproto.name} has no port ${name}`);
    return port.number;
  }

  #parse(flow: FlowInput, kind: number): FlowMod {
    return typeof flow === "string"
      ? this.#mapped(() => parseFlow(flow, kind, { ports: this.#names }))
      : { ...flow, command: kind };
  }

  /** Returns the rules touched. */
  #change(kind: number, flows: readonly FlowInput[]): number {
    const batch = new CommandBatch(4096);
    for (const flow of flows) {
      const mod = this.#parse(flow, kind);
      const parsed = kind === command.add && mod.tableId === 255 ? { ...mod, tableId: 0 } : mod;
      this.#mapped(() => {
        checkFlowMod(parsed);
        addFlowMod(batch, this.#ofproto.bridge, parsed);
      });
    }
    const results = batch.submit(this.#ofproto.datapath, false);
    let touched = 0;
    for (let index = 0; index < results.count; index++) {
      const error = results.error(index);
      if (error !== 0) {
        throw new OpenFlowError(flowModError(error), `${this.#ofproto.name} refused flow ${index + 1}`, {
          index,
          error,
        });
      }
      touched += results.value(index);
    }
    this.#ofproto.owner.drainChanges();
    return touched;
  }
}

/** Traces a key, whose in_port is an OpenFlow port. */
export function traceFlow(
  ofproto: Ofproto,
  key: Uint8Array,
  input: Omit<TraceInput, "actions"> & { readonly actions?: Uint8Array },
): TraceResult {
  const all = ofproto.owner;
  const { actions = nothing, generate = false, payload } = input;
  const packet = generate ? composePacket(all.datapath, key, undefined, payload) : (input.packet ?? nothing);
  const steps = traceSteps(all.datapath, {
    bridge: ofproto.bridge,
    inPort: matchInPort(key),
    traceFlags: (packet.length === 0 ? 0 : traceFlag.effects) | (generate ? traceFlag.matchIsKey : 0),
    match: key,
    packet,
    actions,
  });
  if (steps === undefined) throw new Error(`${ofproto.name} is not in the datapath any more`);
  const tree = traceTree(readTrace(steps), traceWords(ofproto, input.names === true, packet.length > 0));
  return { ...tree, text: formatTrace(tree) };
}

/** `effects`: what the actions say is done, as far as it is no output. */
export function traceWords(ofproto: Ofproto, named: boolean, effects: boolean): TraceWords {
  const all = ofproto.owner;
  const ports = named ? portNames(ofproto) : undefined;
  const dpPorts = named ? datapathPortNames(all.all()) : undefined;
  const print = (match: Uint8Array): string => flowText.match(match, undefined, ports);
  return {
    match: print,
    flow: (match) => print(flowOfKey(match)),
    actions: (list) => flowText.actions(list, ports),
    datapathActions: (list, megaflow) => {
      const text = flowText.datapathActions(list, dpPorts, megaflow);
      return effects ? text : text.replaceAll("dont_send=0", "dont_send=1");
    },
    bridgeName: (bridge) => all.byId(bridge)?.name ?? String(bridge),
    portName: (bridge, port) => all.byId(bridge)?.port(port)?.name ?? String(port),
    subfield: flowText.subfield,
    value: flowText.value,
  };
}

/** Names of datapath ports of some bridges, of which tunnels of a type share one. */
export function datapathPortNames(ofprotos: readonly Ofproto[]): PortNames {
  const ports = ofprotos.flatMap((ofproto) => ofproto.ports()).filter((port) => port.spec.dpPort !== 0);
  const nameOf = (port: OfPort): string => port.spec.dpName ?? port.name;
  const byNumber = new Map(ports.map((port) => [port.spec.dpPort, nameOf(port)]));
  const byName = new Map(ports.map((port) => [nameOf(port), port.spec.dpPort]));
  return { numberOf: (name) => byName.get(name), nameOf: (port) => byNumber.get(port) };
}
