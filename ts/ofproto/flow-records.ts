import {
  aggregateReplySize,
  dumpReplyOffsets,
  dumpReplySize,
  type FlowInfo,
  type FlowQuery,
  type FlowReport,
  flowInfoSize,
  flowQueryOffsets,
  flowQuerySize,
  flowReportSize,
  query,
  readAggregateReply,
  readFlowInfo,
  readFlowReport,
  recordOffsets,
  writeFlowQuery,
} from "../datapath/generated/records.js";
import { pad8 } from "../datapath/index.js";
import { DatapathError, type FlowDatapath } from "./abi-batch.js";
import { everything, wholeMatch } from "./abi-match.js";

/** Rules as the datapath tells them: walks over dumps without holding more than one reply in memory. */

/** One rule inside a reply.  `match` and `actions` point into the reply: copy them to keep them. */
export interface FlowRecord extends FlowInfo {
  readonly matchBytes: Uint8Array;
  readonly actionsBytes: Uint8Array;
}

export interface FlowFilter {
  /** 255: every table. */
  readonly table: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  /** ABI match. */
  readonly match: Uint8Array;
  /** Undefined: rules that are at least as narrow as the match; else exactly that match and priority. */
  readonly strictPriority?: number | undefined;
  readonly includeHidden?: boolean;
}

export const anyPort = 0xffffffff;
export const everyFlow: FlowFilter = {
  table: 255,
  outPort: anyPort,
  outGroup: anyPort,
  cookie: 0n,
  cookieMask: 0n,
  match: everything,
};

const replySize = 64 * 1024;

function encodeQuery(kind: number, bridge: number, filter: FlowFilter): Uint8Array {
  const match = wholeMatch(filter.match);
  const bytes = new Uint8Array(flowQuerySize + pad8(match.length));
  const record: FlowQuery = {
    type: kind,
    flags: 0,
    size: bytes.length,
    cursor: 0n,
    bridge,
    table: filter.table,
    strict: filter.strictPriority === undefined ? 0 : 1,
    includeHidden: filter.includeHidden === true ? 1 : 0,
    outPort: filter.outPort,
    outGroup: filter.outGroup,
    cookie: filter.cookie,
    cookieMask: filter.cookieMask,
    priority: filter.strictPriority ?? 0,
    matchSize: match.length,
  };
  writeFlowQuery(new DataView(bytes.buffer), 0, record);
  bytes.set(match, flowQuerySize);
  return bytes;
}

/** The replies that hold every rule that the filter lets through. */
export function flowDumpReplies(
  datapath: FlowDatapath,
  bridge: number,
  filter: FlowFilter,
): Generator<{ readonly bytes: Uint8Array; readonly count: number }> {
  return dumpReplies(datapath, encodeQuery(query.flowDump, bridge, filter), flowQueryOffsets.cursor, replySize);
}

/** Every rule that the filter lets through. */
export function* dumpFlows(datapath: FlowDatapath, bridge: number, filter: FlowFilter): Generator<FlowRecord> {
  for (const reply of flowDumpReplies(datapath, bridge, filter)) {
    yield* flowRecords(reply.bytes, dumpReplySize, reply.count);
  }
}

/** Every rule that the filter lets through, each a flow_info record of its own that the caller may keep. */
export function* flowInfos(datapath: FlowDatapath, bridge: number, filter: FlowFilter): Generator<Uint8Array> {
  for (const reply of flowDumpReplies(datapath, bridge, filter)) {
    const view = new DataView(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.length);
    let at = dumpReplySize;
    for (let index = 0; index < reply.count; index++) {
      const size = view.getUint32(at + recordOffsets.size, true);
      yield reply.bytes.slice(at, at + size);
      at += size;
    }
  }
}

/** Replies of a dump, one after the other, in one buffer that is used again. */
export function* dumpReplies(
  datapath: FlowDatapath,
  asked: Uint8Array,
  cursorOffset: number,
  size: number,
): Generator<{ readonly bytes: Uint8Array; readonly count: number }> {
  const reply = new Uint8Array(size);
  const view = new DataView(reply.buffer);
  const query = new DataView(asked.buffer, asked.byteOffset, asked.length);
  for (;;) {
    const used = datapath.query(asked, reply);
    if (used < 0) throw new DatapathError(`the datapath refused a dump (errno ${-used})`, { errno: -used });
    const count = view.getUint32(dumpReplyOffsets.nRecords, true);
    const cursor = view.getBigUint64(dumpReplyOffsets.cursor, true);
    yield { bytes: reply.subarray(0, used), count };
    if (cursor === 0n) return;
    query.setBigUint64(cursorOffset, cursor, true);
  }
}

/** The flow_info records in [at, end). */
export function* flowRecords(bytes: Uint8Array, at: number, count: number): Generator<FlowRecord> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let position = at;
  for (let index = 0; index < count; index++) {
    const info = readFlowInfo(view, position);
    const matchAt = position + flowInfoSize;
    const actionsAt = matchAt + pad8(info.matchSize);
    yield {
      ...info,
      matchBytes: bytes.subarray(matchAt, matchAt + info.matchSize),
      actionsBytes: bytes.subarray(actionsAt, actionsAt + info.actionsSize),
    };
    position += view.getUint32(position + recordOffsets.size, true);
  }
}

/** A report of the datapath on a rule. */
export interface FlowReportRecord extends FlowReport {
  readonly flow: FlowRecord;
  readonly oldActions: Uint8Array | undefined;
}

/** The flow_report records in [at, end). */
export function* flowReports(bytes: Uint8Array, at: number, count: number): Generator<FlowReportRecord> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let position = at;
  for (let index = 0; index < count; index++) {
    const report = readFlowReport(view, position);
    const end = position + view.getUint32(position + recordOffsets.size, true);
    const oldActions = report.oldActionsSize > 0 ? bytes.subarray(end - report.oldActionsSize, end) : undefined;
    for (const flow of flowRecords(bytes, position + flowReportSize, 1)) yield { ...report, flow, oldActions };
    position = end;
  }
}

export interface FlowTotals {
  readonly nPackets: bigint;
  readonly nBytes: bigint;
  readonly nFlows: number;
}

export function aggregateFlows(datapath: FlowDatapath, bridge: number, filter: FlowFilter): FlowTotals {
  const reply = new Uint8Array(aggregateReplySize);
  const used = datapath.query(encodeQuery(query.flowAggregate, bridge, filter), reply);
  if (used < 0) throw new DatapathError(`the datapath refused an aggregate (errno ${-used})`, { errno: -used });
  const { nPackets, nBytes, nFlows } = readAggregateReply(new DataView(reply.buffer), 0);
  return { nPackets, nBytes, nFlows: Number(nFlows) };
}
