import { closedErrno, DatapathError, errorName } from "./errors.js";
import {
  abi,
  type BridgeAdd,
  type BridgeSet,
  type BundleSet,
  batchFlag,
  batchSize,
  bridgeAddSize,
  bridgeDelSize,
  bridgeSetSize,
  bundleDelSize,
  bundleSetSize,
  clockSetSize,
  command,
  type FlowMod,
  fdbFlushSize,
  flowFlushSize,
  flowModSize,
  type LinkSet,
  linkSetSize,
  megaflowFlushSize,
  type OfportSet,
  ofportDelSize,
  ofportSetSize,
  type PollingSet,
  type PortPolice,
  type PortShape,
  packetOutSize,
  pollingSetSize,
  portCloseSize,
  portInjectSize,
  portOpenSize,
  portPoliceSize,
  portSetSize,
  portShapeSize,
  queuePlaceSize,
  type Result,
  readResult,
  recordOffsets,
  resultSize,
  type Settings,
  settingsSize,
  shapeQueueSize,
  type TableSet,
  tableSetSize,
  tcRequestSize,
  workerSetSize,
  writeBatch,
  writeBridgeAdd,
  writeBridgeDel,
  writeBridgeSet,
  writeBundleDel,
  writeBundleSet,
  writeClockSet,
  writeFdbFlush,
  writeFlowFlush,
  writeFlowMod,
  writeLinkSet,
  writeMegaflowFlush,
  writeOfportDel,
  writeOfportSet,
  writePacketOut,
  writePollingSet,
  writePortClose,
  writePortInject,
  writePortOpen,
  writePortPolice,
  writePortSet,
  writePortShape,
  writeQueuePlace,
  writeSettings,
  writeShapeQueue,
  writeTableSet,
  writeTcRequest,
  writeWorkerSet,
} from "./generated/records.js";
import { pad8 } from "./tables/record.js";

/** A record's members without what the builder fills in. */
type Body<Record, Filled extends string = never> = Omit<Record, "type" | "flags" | "size" | Filled>;

/** What a batch is submitted to; `Datapath` is one. */
export interface BatchTarget {
  /** Applies a batch; `results` gets 16 bytes for each command.  Returns 0 or an errno value. */
  submit(batch: Uint8Array, results: Uint8Array): number;
}

type BondMembers = "bondOutput" | "bondInput" | "activeMember" | "hashBasis" | "nEnabled" | "nBuckets";
const noBond = { bondOutput: 0, bondInput: 0, activeMember: 0xffffffff, hashBasis: 0, nEnabled: 0, nBuckets: 0 };

/** Bytes a second, and bytes of the bucket: committed, and in excess. */
export type ShapeRates = Pick<PortShape, "cir" | "cbs" | "eir" | "ebs">;
const noRates: ShapeRates = { cir: 0n, cbs: 0n, eir: 0n, ebs: 0n };

const utf8 = new TextEncoder();
const nothing = new Uint8Array(0);

/** `key=value` strings, each ended by a zero byte, as ports take them. */
export function encodeConfig(
  config: ReadonlyMap<string, string> | Readonly<Record<string, string | number>>,
): Uint8Array {
  const pairs = config instanceof Map ? [...config] : Object.entries(config);
  return utf8.encode(pairs.map(([key, value]) => `${key}=${value}\0`).join(""));
}

/** Collects commands in one buffer, which grows and is used again for the next batch. */
export class BatchBuilder {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #results = new Uint8Array(64 * resultSize);
  #at = batchSize;
  #count = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(Math.max(capacity, batchSize));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Commands in the batch. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the batch. */
  get size(): number {
    return this.#at;
  }

  clear(): void {
    this.#at = batchSize;
    this.#count = 0;
  }

  /** Appends a command: `write` writes its fixed part at the offset it is given, all but `type` and `size`. */
  add(type: number, fixed: number, write: (view: DataView, at: number) => void, ...tails: readonly Uint8Array[]): this {
    const size = tails.reduce((sum, tail) => sum + pad8(tail.length), fixed);
    this.#reserve(size);
    const at = this.#at;
    this.#bytes.fill(0, at, at + size);
    write(this.#view, at);
    this.#view.setUint16(at + recordOffsets.type, type, true);
    this.#view.setUint32(at + recordOffsets.size, size, true);
    let position = at + fixed;
    for (const tail of tails) {
      this.#bytes.set(tail, position);
      position += pad8(tail.length);
    }
    this.#at += size;
    this.#count++;
    return this;
  }

  #reserve(size: number): void {
    const need = this.#at + size;
    if (need <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(need, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  bridgeAdd(bridge: Body<BridgeAdd>): this {
    return this.add(command.bridgeAdd, bridgeAddSize, (view, at) => writeBridgeAdd(view, at, { ...header, ...bridge }));
  }
  bridgeDel(bridge: number): this {
    return this.add(command.bridgeDel, bridgeDelSize, (view, at) => writeBridgeDel(view, at, { ...header, bridge }));
  }
  bridgeSet(settings: Body<BridgeSet>): this {
    return this.add(command.bridgeSet, bridgeSetSize, (view, at) =>
      writeBridgeSet(view, at, { ...header, ...settings }),
    );
  }
  /** Opens a device as datapath port `dpPort`; `portClass` is one of the constants of that name. */
  portOpen(dpPort: number, portClass: number, name: string, config: Parameters<typeof encodeConfig>[0] = {}): this {
    const nameBytes = utf8.encode(name);
    const configBytes = encodeConfig(config);
    const sizes = { nameSize: nameBytes.length, configSize: configBytes.length };
    return this.add(
      command.portOpen,
      portOpenSize,
      (view, at) => writePortOpen(view, at, { ...header, dpPort, portClass, ...sizes }),
      nameBytes,
      configBytes,
    );
  }
  portClose(dpPort: number): this {
    return this.add(command.portClose, portCloseSize, (view, at) => writePortClose(view, at, { ...header, dpPort }));
  }
  portSet(dpPort: number, config: Parameters<typeof encodeConfig>[0]): this {
    const bytes = encodeConfig(config);
    return this.add(
      command.portSet,
      portSetSize,
      (view, at) => writePortSet(view, at, { ...header, dpPort, configSize: bytes.length }),
      bytes,
    );
  }
  portInject(dpPort: number, frame: Uint8Array, queue = 0): this {
    return this.add(
      command.portInject,
      portInjectSize,
      (view, at) => writePortInject(view, at, { ...header, dpPort, queue, frameSize: frame.length }),
      frame,
    );
  }
  ofportSet(port: Body<OfportSet>): this {
    return this.add(command.ofportSet, ofportSetSize, (view, at) => writeOfportSet(view, at, { ...header, ...port }));
  }
  ofportDel(bridge: number, ofpPort: number): this {
    return this.add(command.ofportDel, ofportDelSize, (view, at) =>
      writeOfportDel(view, at, { ...header, bridge, ofpPort }),
    );
  }
  /** A bundle that is no bond. */
  bundleSet(bundle: Body<BundleSet, "nMembers" | BondMembers>, members: readonly number[]): this {
    const tail = new Uint8Array(Uint32Array.from(members).buffer);
    return this.add(
      command.bundleSet,
      bundleSetSize,
      (view, at) => writeBundleSet(view, at, { ...header, ...noBond, ...bundle, nMembers: members.length }),
      tail,
    );
  }
  bundleDel(bridge: number, bundle: number): this {
    return this.add(command.bundleDel, bundleDelSize, (view, at) =>
      writeBundleDel(view, at, { ...header, bridge, bundle }),
    );
  }
  tableSet(table: Body<TableSet>): this {
    return this.add(command.tableSet, tableSetSize, (view, at) => writeTableSet(view, at, { ...header, ...table }));
  }
  /** `match` and `actions` are in the ABI's form. */
  flowMod(flowMod: Body<FlowMod, "matchSize" | "actionsSize">, match: Uint8Array, actions: Uint8Array = nothing): this {
    const sizes = { matchSize: match.length, actionsSize: actions.length };
    return this.add(
      command.flowMod,
      flowModSize,
      (view, at) => writeFlowMod(view, at, { ...header, ...flowMod, ...sizes }),
      match,
      actions,
    );
  }
  packetOut(bridge: number, inPort: number, match: Uint8Array, actions: Uint8Array, packet: Uint8Array): this {
    const sizes = { matchSize: match.length, actionsSize: actions.length, packetSize: packet.length };
    return this.add(
      command.packetOut,
      packetOutSize,
      (view, at) => writePacketOut(view, at, { ...header, bridge, inPort, table: 0, ...sizes }),
      match,
      actions,
      packet,
    );
  }
  /** Forgets learned addresses, all or those behind one port. */
  fdbFlush(bridge: number, ofpPort = 0xffffffff): this {
    return this.add(command.fdbFlush, fdbFlushSize, (view, at) =>
      writeFdbFlush(view, at, { ...header, bridge, ofpPort }),
    );
  }
  flowFlush(bridge: number): this {
    return this.add(command.flowFlush, flowFlushSize, (view, at) => writeFlowFlush(view, at, { ...header, bridge }));
  }
  /** Freezes the datapath's clock at `nowMs`, or with undefined lets it run, `aheadMs` ahead of real time. */
  clockSet(nowMs: number | undefined, aheadMs = 0): this {
    const nowMsWord = BigInt(Math.round(nowMs ?? aheadMs));
    return this.add(command.clockSet, clockSetSize, (view, at) =>
      writeClockSet(view, at, { ...header, mode: nowMs === undefined ? 0 : 1, nowMs: nowMsWord }),
    );
  }
  megaflowFlush(): this {
    return this.add(command.megaflowFlush, megaflowFlushSize, (view, at) => writeMegaflowFlush(view, at, header));
  }
  settings(settings: Body<Settings>): this {
    return this.add(command.settings, settingsSize, (view, at) => writeSettings(view, at, { ...header, ...settings }));
  }
  /** Gives worker `worker` a core and binds it to `cpu`, if given; without a core it rests. */
  workerSet(worker: number, core: number | undefined, cpu?: number): this {
    const numbers = { worker, core: core ?? none, cpu: cpu ?? none };
    return this.add(command.workerSet, workerSetSize, (view, at) =>
      writeWorkerSet(view, at, { ...header, ...numbers }),
    );
  }
  /** Polices what the port receives; rates of 0 are no limit. */
  portPolice(dpPort: number, police: Omit<Body<PortPolice>, "dpPort">): this {
    return this.add(command.portPolice, portPoliceSize, (view, at) =>
      writePortPolice(view, at, { ...header, dpPort, ...police }),
    );
  }
  /** Has `worker` poll a receive queue; undefined: nobody. */
  queuePlace(dpPort: number, queue: number, worker: number | undefined): this {
    return this.add(command.queuePlace, queuePlaceSize, (view, at) =>
      writeQueuePlace(view, at, { ...header, dpPort, queue, worker: worker ?? none }),
    );
  }
  pollingSet(polling: Body<PollingSet>): this {
    return this.add(command.pollingSet, pollingSetSize, (view, at) =>
      writePollingSet(view, at, { ...header, ...polling }),
    );
  }
  /** Limits what the port sends.  Its queues are gone then. */
  portShape(dpPort: number, shape: Omit<Body<PortShape>, "dpPort">): this {
    return this.add(command.portShape, portShapeSize, (view, at) =>
      writePortShape(view, at, { ...header, dpPort, ...shape }),
    );
  }
  /** Gives a queue of a shaped port rates; undefined: takes it away. */
  shapeQueue(dpPort: number, queue: number, rates: ShapeRates | undefined): this {
    const isRemoved = rates === undefined ? 1 : 0;
    return this.add(command.shapeQueue, shapeQueueSize, (view, at) =>
      writeShapeQueue(view, at, { ...header, dpPort, queue, isRemoved, ...(rates ?? noRates) }),
    );
  }
  /** Hands the kernel a message of rtnetlink about queueing. */
  tcChange(message: Uint8Array): this {
    return this.add(
      command.tcChange,
      tcRequestSize,
      (view, at) => writeTcRequest(view, at, { ...header, messageSize: message.length }),
      message,
    );
  }
  linkSet(name: string, change: Body<LinkSet, "nameSize">): this {
    const bytes = utf8.encode(name);
    return this.add(
      command.linkSet,
      linkSetSize,
      (view, at) => writeLinkSet(view, at, { ...header, ...change, nameSize: bytes.length }),
      bytes,
    );
  }

  /** Submits the commands and empties the batch.  With `independent` a failed command leaves the others; otherwise the
   *  first failure undoes the flow, bridge and OpenFlow port changes.  Throws if the batch as a whole is refused. */
  submit(target: BatchTarget, options: { readonly independent?: boolean } = {}): Result[] {
    const count = this.#count;
    const flags = options.independent === true ? batchFlag.independent : 0;
    writeBatch(this.#view, 0, { size: this.#at, version: abi.version, flags, nCommands: count });
    if (this.#results.length < count * resultSize) this.#results = new Uint8Array(2 * count * resultSize);
    const bytes = this.#bytes.subarray(0, this.#at);
    this.clear();
    const refused = target.submit(bytes, this.#results);
    if (refused === closedErrno) throw new DatapathError("DATAPATH_CLOSED", "The datapath is closed; make a new one.");
    if (refused !== 0) {
      throw new DatapathError(
        "DATAPATH_SYSTEM",
        `The datapath refused a batch of ${count} commands (errno ${refused}).`,
        { errno: refused },
      );
    }
    const view = new DataView(this.#results.buffer);
    return Array.from({ length: count }, (_, index) => readResult(view, index * resultSize));
  }

  /** As `submit`, and throws for the first command that failed. */
  commit(target: BatchTarget, options: { readonly independent?: boolean } = {}): Result[] {
    const results = this.submit(target, options);
    const index = results.findIndex((result) => result.error !== 0);
    if (index < 0) return results;
    const { error, systemError } = results[index]!;
    const reason = systemError === 0 ? errorName(error) : `${errorName(error)}, errno ${systemError}`;
    throw new DatapathError("DATAPATH_COMMAND", `Command ${index} of the batch failed: ${reason}.`, {
      index,
      error,
      systemError,
    });
  }
}

/** In place of a worker, core or CPU: none. */
const none = 0xffffffff;

/** What `add` overwrites. */
const header = { type: 0, flags: 0, size: 0 } as const;
