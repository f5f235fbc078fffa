import { pad8 } from "../datapath/tables/record.js";
import { recordLayout } from "./abi.js";
import { decodeActions } from "./action-wire.js";
import { type ByteReader, ByteWriter } from "./bytes.js";
import { abiMatch, readMatch, readNxm, writeMatch, writeNxm } from "./codec-match.js";
import { readOxs, writeOxs } from "./codec-packet.js";
import { readPort, writePort } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import { FlowBody } from "./flow-body.js";
import { decodeInstructions } from "./instructions.js";
import type { FlowStats, FlowStatsRequest } from "./message.js";
import { ofpp } from "./tables/ports.js";

/** Flows and their counters. */

export function readFlowStatsRequest(
  reader: ByteReader,
  version: number,
  standard: boolean,
  type: FlowStatsRequest["type"],
): FlowStatsRequest {
  const none = { outGroup: ofpp.ANY as number, cookie: 0n, cookieMask: 0n };
  if (!standard) {
    const outPort = readPort(reader, 1);
    const length = reader.u16();
    const tableId = reader.u8();
    reader.skip(3);
    const cookie = { cookie: 0n, cookieMask: 0n };
    const match = abiMatch(readNxm(reader, length, { cookie }));
    return { type, standard, tableId, outPort, outGroup: none.outGroup, ...cookie, match };
  }
  if (version === 1) {
    const match = abiMatch(readMatch(reader, 1));
    const tableId = reader.u8();
    reader.skip(1);
    return { type, standard, tableId, outPort: readPort(reader, 1), ...none, match };
  }
  const tableId = reader.u8();
  reader.skip(3);
  const outPort = readPort(reader, version);
  const outGroup = reader.u32();
  reader.skip(4);
  const cookie = reader.u64();
  const cookieMask = reader.u64();
  return {
    type,
    standard,
    tableId,
    outPort,
    outGroup,
    cookie,
    cookieMask,
    match: abiMatch(readMatch(reader, version)),
  };
}

export function writeFlowStatsRequest(out: ByteWriter, body: FlowStatsRequest, version: number): void {
  if (!body.standard) {
    writePort(out, body.outPort, 1);
    const lengthAt = out.position;
    out.u16(0);
    out.u8(body.tableId);
    out.zeros(3);
    out.view.setUint16(
      lengthAt,
      writeNxm(out, body.match, version, { cookie: body.cookie, cookieMask: body.cookieMask }),
    );
    return;
  }
  if (version === 1) {
    writeMatch(out, body.match, 1);
    out.u8(body.tableId);
    out.zeros(1);
    writePort(out, body.outPort, 1);
    return;
  }
  out.u8(body.tableId);
  out.zeros(3);
  out.u32(body.outPort);
  out.u32(body.outGroup);
  out.zeros(4);
  out.u64(body.cookie);
  out.u64(body.cookieMask);
  writeMatch(out, body.match, version);
}

const scratch = new ByteWriter(256);

function actionsOf(reader: ByteReader, end: number, version: number): Uint8Array {
  scratch.position = 0;
  if (version === 1) decodeActions(reader.bytes, reader.view, reader.position, end, version, scratch);
  else decodeInstructions(reader.bytes, reader.view, reader.position, end, version, scratch);
  reader.position = end;
  return scratch.finish();
}

export function readFlowStats(reader: ByteReader, version: number, standard: boolean): FlowStats {
  const start = reader.position;
  const length = reader.u16();
  const end = start + length;
  if (end > reader.end || length < 24)
    throw new OpenFlowError("OFPBRC_BAD_LEN", `flow statistics have length ${length}`);
  const none = { idleAge: undefined, hardAge: undefined };
  if (standard && version >= 6) {
    reader.skip(2);
    const tableId = reader.u8();
    reader.skip(1);
    const head = {
      priority: reader.u16(),
      idleTimeout: reader.u16(),
      hardTimeout: reader.u16(),
      flags: reader.u16(),
      importance: reader.u16(),
      cookie: reader.u64(),
    };
    const match = abiMatch(readMatch(reader, version));
    const stats = readOxs(reader);
    return {
      tableId,
      ...head,
      match,
      durationSec: stats.durationSec,
      durationNsec: stats.durationNsec,
      idleAge: stats.idleSec,
      hardAge: undefined,
      packetCount: stats.packetCount,
      byteCount: stats.byteCount,
      actions: actionsOf(reader, end, version),
    };
  }
  const tableId = reader.u8();
  reader.skip(1);
  if (standard && version === 1) {
    const match = abiMatch(readMatch(reader, 1));
    const head = {
      durationSec: reader.u32(),
      durationNsec: reader.u32(),
      priority: reader.u16(),
      idleTimeout: reader.u16(),
      hardTimeout: reader.u16(),
    };
    reader.skip(6);
    const counts = { cookie: reader.u64(), packetCount: reader.u64(), byteCount: reader.u64() };
    return {
      tableId,
      ...head,
      ...none,
      ...counts,
      importance: 0,
      flags: 0,
      match,
      actions: actionsOf(reader, end, version),
    };
  }
  const head = {
    durationSec: reader.u32(),
    durationNsec: reader.u32(),
    priority: reader.u16(),
    idleTimeout: reader.u16(),
    hardTimeout: reader.u16(),
  };
  if (!standard) {
    const matchLength = reader.u16();
    const idle = reader.u16();
    const hard = reader.u16();
    const counts = { cookie: reader.u64(), packetCount: reader.u64(), byteCount: reader.u64() };
    const match = abiMatch(readNxm(reader, matchLength));
    const age = (value: number): number | undefined => (value === 0 ? undefined : value - 1);
    return {
      tableId,
      ...head,
      idleAge: age(idle),
      hardAge: age(hard),
      ...counts,
      importance: 0,
      flags: 0,
      match,
      actions: actionsOf(reader, end, version),
    };
  }
  const flags = reader.u16();
  const importance = reader.u16();
  reader.skip(2);
  const counts = { cookie: reader.u64(), packetCount: reader.u64(), byteCount: reader.u64() };
  const match = abiMatch(readMatch(reader, version));
  return { tableId, ...head, ...none, flags, importance, ...counts, match, actions: actionsOf(reader, end, version) };
}

/** What a flow's entry in a reply is made from, besides the match and actions. */
interface Entry {
  tableId: number;
  priority: number;
  durationSec: number;
  durationNsec: number;
  idleTimeout: number;
  hardTimeout: number;
  idleAge: number | undefined;
  hardAge: number | undefined;
  importance: number;
  flags: number;
  /** Cookie, packets and bytes as the wire has them, 8 bytes each. */
  counters: DataView;
}

/** Appends a flow's entry in a reply of this form; `body` has its match and instructions. */
function writeEntry(out: ByteWriter, entry: Entry, body: FlowBody, version: number, standard: boolean): void {
  const start = out.position;
  out.u16(0);
  if (standard && version >= 6) {
    out.zeros(2);
    out.u8(entry.tableId);
    out.zeros(1);
    out.u16(entry.priority);
    out.u16(entry.idleTimeout);
    out.u16(entry.hardTimeout);
    out.u16(entry.flags);
    out.u16(entry.importance);
    out.u64(entry.counters.getBigUint64(0));
    body.writeMatch(out);
    writeOxs(out, {
      durationSec: entry.durationSec,
      durationNsec: entry.durationNsec,
      idleSec: entry.idleAge ?? 0,
      packetCount: entry.counters.getBigUint64(8),
      byteCount: entry.counters.getBigUint64(16),
    });
  } else {
    out.u8(entry.tableId);
    out.zeros(1);
    if (standard && version === 1) body.writeMatch(out);
    out.u32(entry.durationSec);
    out.u32(entry.durationNsec);
    out.u16(entry.priority);
    out.u16(entry.idleTimeout);
    out.u16(entry.hardTimeout);
    if (!standard) {
      out.u16(body.matchLength);
      out.u16(entry.idleAge === undefined ? 0 : Math.min(entry.idleAge, 0xfffe) + 1);
      out.u16(entry.hardAge === undefined ? 0 : Math.min(entry.hardAge, 0xfffe) + 1);
    } else if (version === 1) out.zeros(6);
    else {
      out.u16(version >= 4 ? entry.flags : 0);
      out.u16(version >= 5 ? entry.importance : 0);
      out.zeros(2);
    }
    for (let at = 0; at < 24; at += 4) out.u32(entry.counters.getUint32(at));
    if (!standard || version > 1) body.writeMatch(out);
  }
  body.writeInstructions(out);
  out.view.setUint16(start, out.position - start);
}

export function writeFlowStats(out: ByteWriter, flow: FlowStats, version: number, standard: boolean): void {
  const record = new Uint8Array(pad8(flow.match.length) + flow.actions.length);
  record.set(flow.match);
  record.set(flow.actions, pad8(flow.match.length));
  const body = new FlowBody(version, standard);
  body.set(record, 0, flow.match.length, flow.actions.length);
  const counters = new DataView(new ArrayBuffer(24));
  counters.setBigUint64(0, flow.cookie);
  counters.setBigUint64(8, flow.packetCount);
  counters.setBigUint64(16, flow.byteCount);
  writeEntry(out, { ...flow, counters }, body, version, standard);
}

const layout = recordLayout("flow_info");
const offset = Object.fromEntries(layout.members.map((member) => [member.name, member.offset])) as Readonly<
  Record<string, number>
>;
const at = {
  size: offset["size"] as number,
  table: offset["table"] as number,
  flags: offset["flow_flags"] as number,
  priority: offset["priority"] as number,
  importance: offset["importance"] as number,
  cookie: offset["cookie"] as number,
  packets: offset["n_packets"] as number,
  bytes: offset["n_bytes"] as number,
  created: offset["created_ms"] as number,
  used: offset["used_ms"] as number,
  modified: offset["modified_ms"] as number,
  now: offset["now_ms"] as number,
  idle: offset["idle_timeout_s"] as number,
  hard: offset["hard_timeout_s"] as number,
  matchSize: offset["match_size"] as number,
  actionsSize: offset["actions_size"] as number,
};

const number64 = (view: DataView, at64: number): number =>
  view.getUint32(at64, true) + view.getUint32(at64 + 4, true) * 4294967296;

/** The entry of the record that was read last. */
const entry: Entry = {
  tableId: 0,
  priority: 0,
  durationSec: 0,
  durationNsec: 0,
  idleTimeout: 0,
  hardTimeout: 0,
  idleAge: 0,
  hardAge: undefined,
  importance: 0,
  flags: 0,
  counters: new DataView(new ArrayBuffer(24)),
};

function readEntry(view: DataView, start: number): Entry {
  const now = number64(view, start + at.now);
  const created = number64(view, start + at.created);
  const modified = number64(view, start + at.modified);
  const age = Math.max(0, now - created);
  const { counters } = entry;
  entry.tableId = view.getUint8(start + at.table);
  entry.priority = view.getUint32(start + at.priority, true);
  entry.durationSec = Math.floor(age / 1000);
  entry.durationNsec = (age % 1000) * 1000000;
  entry.idleTimeout = view.getUint16(start + at.idle, true);
  entry.hardTimeout = view.getUint16(start + at.hard, true);
  entry.idleAge = Math.floor(Math.max(0, now - number64(view, start + at.used)) / 1000);
  entry.hardAge = modified === created ? undefined : Math.floor(Math.max(0, now - modified) / 1000);
  entry.importance = view.getUint32(start + at.importance, true);
  entry.flags = view.getUint16(start + at.flags, true) & 0x1f;
  counters.setUint32(0, view.getUint32(start + at.cookie + 4, true));
  counters.setUint32(4, view.getUint32(start + at.cookie, true));
  counters.setUint32(8, view.getUint32(start + at.packets + 4, true));
  counters.setUint32(12, view.getUint32(start + at.packets, true));
  counters.setUint32(16, view.getUint32(start + at.bytes + 4, true));
  counters.setUint32(20, view.getUint32(start + at.bytes, true));
  return entry;
}

/** The flow of an ABI flow_info record at `start`. */
export function flowOfInfo(records: Uint8Array, start: number): FlowStats {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const matchAt = start + layout.size;
  const actionsAt = matchAt + ((view.getUint32(start + at.matchSize, true) + 7) & ~7);
  const { counters, ...head } = readEntry(view, start);
  return {
    ...head,
    cookie: counters.getBigUint64(0),
    packetCount: counters.getBigUint64(8),
    byteCount: counters.getBigUint64(16),
    match: records.slice(matchAt, matchAt + view.getUint32(start + at.matchSize, true)),
    actions: records.slice(actionsAt, actionsAt + view.getUint32(start + at.actionsSize, true)),
  };
}

/** Most bytes of one reply.  A flow that does not fit goes to the next. */
const replyLimit = 60000;

/** Turns ABI flow_info records into the replies of a flow statistics request, flat: no object per flow outlives its
 *  entry.  `begin` starts a message in the writer it is given and `end` finishes it; both are the codec's. */
export class FlowStatsEncoder {
  readonly #out = new ByteWriter(65536);
  readonly #version: number;
  readonly #standard: boolean;
  readonly #begin: (out: ByteWriter) => void;
  readonly #finish: (out: ByteWriter, more: boolean) => Uint8Array;
  readonly #body: FlowBody;
  #started = false;

  constructor(
    version: number,
    standard: boolean,
    begin: (out: ByteWriter) => void,
    finish: (out: ByteWriter, more: boolean) => Uint8Array,
  ) {
    this.#version = version;
    this.#standard = standard;
    this.#begin = begin;
    this.#finish = finish;
    this.#body = new FlowBody(version, standard);
  }

  /** Adds the records in [start, end); returns the messages that became full. */
  add(records: Uint8Array, start = 0, end = records.length): Uint8Array[] {
    const full: Uint8Array[] = [];
    const out = this.#out;
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
    for (let position = start; position < end; ) {
      if (!this.#started) this.#start();
      const matchSize = view.getUint32(position + at.matchSize, true);
      const actionsSize = view.getUint32(position + at.actionsSize, true);
      this.#body.set(records, position + layout.size, matchSize, actionsSize);
      const before = out.position;
      readEntry(view, position);
      writeEntry(out, entry, this.#body, this.#version, this.#standard);
      if (out.position > replyLimit && before > 64) {
        out.position = before;
        full.push(this.#finish(out, true));
        this.#start();
        writeEntry(out, entry, this.#body, this.#version, this.#standard);
      }
      position += view.getUint32(position + at.size, true);
    }
    return full;
  }

  #start(): void {
    this.#out.position = 0;
    this.#begin(this.#out);
    this.#started = true;
  }

  /** The last message, which ends the reply. */
  finish(): Uint8Array {
    if (!this.#started) this.#start();
    this.#started = false;
    return this.#finish(this.#out, false);
  }
}
