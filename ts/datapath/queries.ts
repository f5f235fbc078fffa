/** Queries of the ABI as typed answers.  Dumps are generators that ask for the next part only when it is wanted, so a
 *  million rules never are in JavaScript at once. */
import { closedErrno, DatapathError } from "./errors.js";
import {
  type ArrivalInfo,
  arrivalInfoSize,
  arrivalQuerySize,
  type CounterInfo,
  composeQuerySize,
  type DatapathStats,
  datapathStatsSize,
  dumpQueryOffsets,
  dumpQuerySize,
  dumpReplySize,
  type HistogramInfo,
  type HistoryInfo,
  historyInfoSize,
  historyQuerySize,
  type KeepaliveInfo,
  keepaliveInfoSize,
  keepaliveQuerySize,
  type LinkInfo,
  linkAsk,
  linkInfoSize,
  linkQuerySize,
  type MegaflowInfo,
  type MemoryInfo,
  megaflowInfoSize,
  memoryInfoSize,
  type NeighborSet,
  type OfportInfo,
  ofportInfoSize,
  ofportQuerySize,
  type PortInfo,
  parseQuerySize,
  portInfoSize,
  portQuerySize,
  type QueueInfo,
  query,
  readArrivalInfo,
  readCounterInfo,
  readDatapathStats,
  readDumpReply,
  readHistogramInfo,
  readHistoryInfo,
  readKeepaliveInfo,
  readLinkInfo,
  readMegaflowInfo,
  readMemoryInfo,
  readNeighborSet,
  readOfportInfo,
  readPortInfo,
  readQueueInfo,
  readShapeInfo,
  readWorkerInfo,
  readXskInfo,
  recordOffsets,
  type ShapeInfo,
  type TraceQuery,
  tcRequestSize,
  traceQuerySize,
  type WorkerInfo,
  writeArrivalQuery,
  writeComposeQuery,
  writeDumpQuery,
  writeHistoryQuery,
  writeKeepaliveQuery,
  writeLinkQuery,
  writeOfportQuery,
  writeParseQuery,
  writePortQuery,
  writeTcRequest,
  writeTraceQuery,
  type XskInfo,
  xskInfoSize,
} from "./generated/records.js";
import { pad8 } from "./tables/record.js";

/** What is asked; `Datapath` is one. */
export interface QueryTarget {
  /** Answers a query into `reply`.  Returns the bytes used, or a negated errno value. */
  query(query: Uint8Array, reply: Uint8Array): number;
}

const noEntry = 2;
const noSpace = 28;
const replySizeMax = 64 << 20;
const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Makes a query record with its tails. */
export function queryRecord(
  fixed: number,
  write: (view: DataView, size: number) => void,
  ...tails: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const size = tails.reduce((sum, tail) => sum + pad8(tail.length), fixed);
  const bytes = new Uint8Array(size);
  write(new DataView(bytes.buffer), size);
  let at = fixed;
  for (const tail of tails) {
    bytes.set(tail, at);
    at += pad8(tail.length);
  }
  return bytes;
}

/** Asks; grows the reply's room until the answer fits.  Undefined: no such object.  Throws for anything else. */
export function ask(target: QueryTarget, asked: Uint8Array, size = 4096): Uint8Array<ArrayBuffer> | undefined {
  for (let room = size; ; room *= 4) {
    const reply = new Uint8Array(room);
    const used = target.query(asked, reply);
    if (used >= 0) return reply.subarray(0, used);
    if (used === -noEntry) return undefined;
    if (used === -closedErrno) throw new DatapathError("DATAPATH_CLOSED", "The datapath is closed; make a new one.");
    if (used !== -noSpace || room >= replySizeMax) {
      const type = new DataView(asked.buffer, asked.byteOffset).getUint16(recordOffsets.type, true);
      throw new DatapathError("DATAPATH_SYSTEM", `The datapath refused a query of type ${type} (errno ${-used}).`, {
        errno: -used,
        type,
      });
    }
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** The records behind a dump_reply. */
function* replyRecords(reply: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>, void> {
  const view = viewOf(reply);
  let at = dumpReplySize;
  for (let left = readDumpReply(view, 0).nRecords; left > 0; left--) {
    const size = view.getUint32(at + recordOffsets.size, true);
    yield reply.subarray(at, at + size);
    at += size;
  }
}

/** Records of a dump, each as bytes of its own.  `asked` is a query that has its cursor where dump_query has it. */
export function* dumpRecords(
  target: QueryTarget,
  asked: Uint8Array<ArrayBuffer>,
  size = 64 * 1024,
): Generator<Uint8Array<ArrayBuffer>, void> {
  for (;;) {
    const reply = ask(target, asked, size);
    if (reply === undefined) return;
    yield* replyRecords(reply);
    const { cursor } = readDumpReply(viewOf(reply), 0);
    if (cursor === 0n) return;
    viewOf(asked).setBigUint64(dumpQueryOffsets.cursor, cursor, true);
  }
}

const dumpQuery = (type: number): Uint8Array<ArrayBuffer> =>
  queryRecord(dumpQuerySize, (view, size) => writeDumpQuery(view, 0, { type, flags: 0, size, cursor: 0n }));

/** Queues of a port at most. */
const portQueuesMax = 16;

function askPort(target: QueryTarget, dpPort: number): Uint8Array | undefined {
  const asked = queryRecord(portQuerySize, (view, size) =>
    writePortQuery(view, 0, { type: query.portStats, flags: 0, size, dpPort }),
  );
  return ask(target, asked, portInfoSize + portQueuesMax * xskInfoSize);
}

/** State and counters of a datapath port, or undefined when there is none of that number. */
export function portStats(target: QueryTarget, dpPort: number): PortInfo | undefined {
  const reply = askPort(target, dpPort);
  return reply === undefined ? undefined : readPortInfo(viewOf(reply), 0);
}

/** What the kernel counts for the AF_XDP sockets of a port, one for each queue; none for other ports. */
export function xskStats(target: QueryTarget, dpPort: number): XskInfo[] {
  const reply = askPort(target, dpPort);
  if (reply === undefined) return [];
  const view = viewOf(reply);
  const count = (readPortInfo(view, 0).size - portInfoSize) / xskInfoSize;
  return Array.from({ length: count }, (_, queue) => readXskInfo(view, portInfoSize + queue * xskInfoSize));
}

/** Counters of a patch port, which has no datapath port; undefined when the bridge has no such port. */
export function patchStats(target: QueryTarget, bridge: number, ofpPort: number): OfportInfo | undefined {
  const reply = ask(
    target,
    queryRecord(ofportQuerySize, (view, size) =>
      writeOfportQuery(view, 0, { type: query.ofportStats, flags: 0, size, bridge, ofpPort }),
    ),
    ofportInfoSize,
  );
  return reply === undefined ? undefined : readOfportInfo(viewOf(reply), 0);
}

/** What a session of keep-alives came to; undefined: there is none. */
export function keepaliveInfo(
  target: QueryTarget,
  bridge: number,
  ofpPort: number,
  protocol: number,
): KeepaliveInfo | undefined {
  const reply = ask(
    target,
    queryRecord(keepaliveQuerySize, (view, size) =>
      writeKeepaliveQuery(view, 0, { type: query.keepaliveGet, flags: 0, size, bridge, ofpPort, protocol }),
    ),
    keepaliveInfoSize,
  );
  return reply === undefined ? undefined : readKeepaliveInfo(viewOf(reply), 0);
}

/** Which OpenFlow port a packet with the key `match` (in_port being a datapath port) arrives on. */
export function arrival(target: QueryTarget, match: Uint8Array): ArrivalInfo | undefined {
  const asked = queryRecord(
    arrivalQuerySize,
    (view, size) => writeArrivalQuery(view, 0, { type: query.arrival, flags: 0, size, matchSize: match.length }),
    match,
  );
  const reply = ask(target, asked, arrivalInfoSize);
  return reply === undefined ? undefined : readArrivalInfo(viewOf(reply), 0);
}

/** A network device of the host. */
export interface Link extends LinkInfo {
  readonly name: string;
  /** rtnetlink's, such as `veth`; empty for a physical device. */
  readonly kind: string;
}

function readLink(bytes: Uint8Array): Link {
  const info = readLinkInfo(viewOf(bytes), 0);
  const kindAt = linkInfoSize + pad8(info.nameSize);
  return {
    ...info,
    name: text.decode(bytes.subarray(linkInfoSize, linkInfoSize + info.nameSize)),
    kind: text.decode(bytes.subarray(kindAt, kindAt + info.kindSize)),
  };
}

/** The network device of that name, or undefined. */
/** `asksDevice`: whether the link runs is what its transceiver says. */
export function link(target: QueryTarget, name: string, asksDevice = false): Link | undefined {
  const bytes = utf8.encode(name);
  const reply = ask(
    target,
    queryRecord(
      linkQuerySize,
      (view, size) =>
        writeLinkQuery(view, 0, {
          type: query.linkGet,
          flags: asksDevice ? linkAsk.device : 0,
          size,
          nameSize: bytes.length,
        }),
      bytes,
    ),
  );
  return reply === undefined ? undefined : readLink(reply);
}

/** What passed by each queue of a shaped port. */
export function shapeStats(target: QueryTarget, dpPort: number): ShapeInfo[] {
  const asked = queryRecord(portQuerySize, (view, size) =>
    writePortQuery(view, 0, { type: query.shapeStats, flags: 0, size, dpPort }),
  );
  const reply = ask(target, asked);
  return reply === undefined ? [] : [...replyRecords(reply)].map((record) => readShapeInfo(viewOf(record), 0));
}

/** Asks the kernel about queueing with a message of rtnetlink; its answers, or a positive errno value. */
export function askTc(target: QueryTarget, message: Uint8Array): Uint8Array<ArrayBuffer> | number {
  const asked = queryRecord(
    tcRequestSize,
    (view, size) => writeTcRequest(view, 0, { type: query.tcGet, flags: 0, size, messageSize: message.length }),
    message,
  );
  try {
    return ask(target, asked) ?? noEntry;
  } catch (error) {
    if (error instanceof DatapathError && typeof error.details["errno"] === "number") return error.details["errno"];
    throw error;
  }
}

export function* links(target: QueryTarget): Generator<Link, void> {
  for (const record of dumpRecords(target, dumpQuery(query.linkList))) yield readLink(record);
}

/** Who the tunnels' neighbours are. */
export function* neighbors(target: QueryTarget): Generator<NeighborSet, void> {
  for (const record of dumpRecords(target, dumpQuery(query.neighborDump))) yield readNeighborSet(viewOf(record), 0);
}

/** A cached megaflow; match and actions are in the ABI's form. */
export interface Megaflow extends MegaflowInfo {
  readonly match: Uint8Array;
  /** Key of the packet that it was made for, as a match. */
  readonly key: Uint8Array;
  readonly actions: Uint8Array;
}

/** A megaflow_info record with its tails. */
export function readMegaflow(record: Uint8Array): Megaflow {
  const info = readMegaflowInfo(viewOf(record), 0);
  const keyAt = megaflowInfoSize + pad8(info.matchSize);
  const actionsAt = keyAt + pad8(info.keySize);
  return {
    ...info,
    match: record.subarray(megaflowInfoSize, megaflowInfoSize + info.matchSize),
    key: record.subarray(keyAt, keyAt + info.keySize),
    actions: record.subarray(actionsAt, actionsAt + info.actionsSize),
  };
}

export function* megaflows(target: QueryTarget): Generator<Megaflow, void> {
  for (const record of dumpRecords(target, dumpQuery(query.megaflowDump))) yield readMegaflow(record);
}

/** Counters that are not zero. */
export function* counters(target: QueryTarget): Generator<CounterInfo, void> {
  for (const record of dumpRecords(target, dumpQuery(query.counters))) yield readCounterInfo(viewOf(record), 0);
}

export function* workerStats(target: QueryTarget): Generator<WorkerInfo, void> {
  for (const record of dumpRecords(target, dumpQuery(query.workerStats))) yield readWorkerInfo(viewOf(record), 0);
}

/** Receive queues of all ports. */
export function* queueStats(target: QueryTarget): Generator<QueueInfo, void> {
  for (const record of dumpRecords(target, dumpQuery(query.queueStats))) yield readQueueInfo(viewOf(record), 0);
}

/** Of workers that were ever asked to measure, by the numbers of `histogram`. */
export function* workerHistograms(target: QueryTarget): Generator<HistogramInfo, void> {
  for (const record of dumpRecords(target, dumpQuery(query.workerHistograms)))
    yield readHistogramInfo(viewOf(record), 0);
}

/** The last turns or milliseconds of a worker, newest first; `kind` is one of `history`. */
export function workerHistory(target: QueryTarget, worker: number, kind: number, limit: number): HistoryInfo[] {
  const asked = queryRecord(historyQuerySize, (view, size) =>
    writeHistoryQuery(view, 0, { type: query.workerHistory, flags: 0, size, worker, kind, limit }),
  );
  const reply = must(ask(target, asked, dumpReplySize + limit * historyInfoSize));
  const { nRecords } = readDumpReply(viewOf(reply), 0);
  return Array.from({ length: nRecords }, (_, index) =>
    readHistoryInfo(viewOf(reply), dumpReplySize + index * historyInfoSize),
  );
}

/** Takes the changes of rules that are to be told, each a flow_report record. */
export function flowChanges(target: QueryTarget): Generator<Uint8Array<ArrayBuffer>, void> {
  return dumpRecords(target, dumpQuery(query.flowChanges));
}

function must(reply: Uint8Array | undefined): Uint8Array {
  if (reply === undefined)
    throw new DatapathError("DATAPATH_SYSTEM", "The datapath does not have what every datapath has.");
  return reply;
}

export function datapathStats(target: QueryTarget): DatapathStats {
  return readDatapathStats(viewOf(must(ask(target, dumpQuery(query.datapathStats), datapathStatsSize))), 0);
}

export function memory(target: QueryTarget): MemoryInfo {
  return readMemoryInfo(viewOf(must(ask(target, dumpQuery(query.memory), memoryInfoSize))), 0);
}

/** Returns when the counters of rules include every packet that was forwarded before. */
export function syncStats(target: QueryTarget): void {
  ask(target, dumpQuery(query.statsSync));
}

/** The bytes of a packet with the key that `match` gives. */
export function composePacket(
  target: QueryTarget,
  match: Uint8Array,
  length = 0xffffffff,
  payload?: Uint8Array,
): Uint8Array {
  const sizes = { matchSize: match.length, payloadSize: payload?.length ?? 0xffffffff };
  const asked = queryRecord(
    composeQuerySize,
    (view, size) => writeComposeQuery(view, 0, { type: query.packetCompose, flags: 0, size, ...sizes, length }),
    match,
    payload ?? new Uint8Array(0),
  );
  return must(ask(target, asked));
}

/** The flow key of a packet as a `match`. */
export function parsePacket(target: QueryTarget, packet: Uint8Array, inPort: number): Uint8Array {
  const asked = queryRecord(
    parseQuerySize,
    (view, size) =>
      writeParseQuery(view, 0, { type: query.packetParse, flags: 0, size, packetSize: packet.length, inPort }),
    packet,
  );
  return must(ask(target, asked));
}

/** What is traced, without the sizes of its parts. */
export type TraceRequest = Omit<TraceQuery, "type" | "flags" | "size" | "matchSize" | "packetSize" | "actionsSize"> & {
  readonly match: Uint8Array;
  readonly packet?: Uint8Array;
  readonly actions?: Uint8Array;
};

/** Translates a packet and returns the steps, each a trace_step record.  Undefined: no such bridge. */
export function trace(target: QueryTarget, request: TraceRequest): Uint8Array[] | undefined {
  const { match, packet = new Uint8Array(0), actions = new Uint8Array(0), ...rest } = request;
  const sizes = { matchSize: match.length, packetSize: packet.length, actionsSize: actions.length };
  const asked = queryRecord(
    traceQuerySize,
    (view, size) => writeTraceQuery(view, 0, { type: query.trace, flags: 0, size, ...rest, ...sizes }),
    match,
    packet,
    actions,
  );
  const reply = ask(target, asked, 64 * 1024);
  return reply === undefined ? undefined : [...replyRecords(reply)];
}
