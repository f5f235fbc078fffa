import { checkActions } from "./action-check.js";
import { decodeActions, encodeActions } from "./action-wire.js";
import { type ByteReader, ByteWriter, empty } from "./bytes.js";
import { putProperty, readContinuation, writeContinuation } from "./codec-continuation.js";
import { abiMatch, match10Size, readMatch, readNxm, writeMatch, writeNxm } from "./codec-match.js";
import { eachProperty, readPort, writePort } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import { KeyMatch, planOf } from "./key-match.js";
import type { AbiMatch, Continuation, FlowRemoved, PacketIn, PacketOut } from "./message.js";
import { decodeOxm, encodeOxm } from "./oxm.js";
import { addPacket } from "./packet-match.js";
import { ofpp, portMax } from "./tables/ports.js";

/** Packets to and from controllers, and flows that went away. */

const inPort = planOf("in_port_oxm");
const packetType = planOf("packet_type");
const scratch = new KeyMatch();
/** Bytes of a match without words. */
const emptyMatchSize = 16;

/** The last answer of `inPortMatch`: most packet-outs name the same port, or none. */
let lastInPort: { readonly port: number; readonly match: AbiMatch } | undefined;

/** An ABI match on the input port alone; shared, so not to be written to. */
export function inPortMatch(port: number): AbiMatch {
  if (lastInPort?.port === port) return lastInPort.match;
  scratch.clear();
  scratch.setNumber(inPort, port);
  const match = abiMatch(scratch);
  lastInPort = { port, match };
  return match;
}

/** The input port that an ABI match names, or OFPP_ANY. */
export function matchInPort(match: AbiMatch): number {
  scratch.read(match);
  return scratch.isWild(inPort) ? ofpp.ANY : scratch.number(inPort);
}

export interface PacketOutContext {
  /** Refuse actions that the pipeline does not execute. */
  readonly executedOnly: boolean;
}

export function readPacketOut(reader: ByteReader, version: number, context: PacketOutContext): PacketOut {
  const bufferId = reader.u32();
  let port = ofpp.ANY as number;
  let match: AbiMatch;
  let actionsLength: number;
  if (version >= 6) {
    actionsLength = reader.u16();
    reader.skip(2);
    const key = readMatch(reader, version);
    // To say that there was no port is not to say nothing.
    const isMissing = key.isWild(inPort);
    port = isMissing ? ofpp.ANY : key.number(inPort);
    match = abiMatch(key);
    if (isMissing) throw new OpenFlowError("OFPBRC_BAD_PORT", "the packet-out names no input port");
  } else {
    port = readPort(reader, version);
    actionsLength = reader.u16();
    if (version > 1) reader.skip(6);
    match = inPortMatch(port);
  }
  const ordinary = port < portMax;
  if (!ordinary && port !== ofpp.LOCAL && port !== ofpp.ANY && port !== ofpp.CONTROLLER) {
    throw new OpenFlowError("OFPBRC_BAD_PORT", `a packet cannot have arrived on port ${port}`, { port });
  }
  const start = reader.take(actionsLength);
  const known = knownOutputs(reader.bytes, start, actionsLength, version, context.executedOnly);
  if (known !== undefined && version < 6) {
    return { type: "packet_out", bufferId, inPort: port, match, actions: known, packet: reader.rest() };
  }
  const packet = reader.bytes.subarray(start + actionsLength, reader.end);
  const out = new ByteWriter(128);
  scratch.read(match);
  addPacket(scratch, packet, scratch.number(packetType));
  const matchSize = scratch.write(out);
  decodeActions(reader.bytes, reader.view, start, start + actionsLength, version, out);
  checkActions(out, 0, matchSize, matchSize, out.position, {
    version,
    table: 255,
    executedOnly: context.executedOnly,
  });
  const actions = out.bytes.slice(matchSize, out.position);
  if (onlyOutputs(reader.bytes, start, actionsLength)) {
    const wire = reader.bytes.slice(start, start + actionsLength);
    lastOutputs = { version, executedOnly: context.executedOnly, wire, actions };
  }
  return { type: "packet_out", bufferId, inPort: port, match, actions, packet: reader.rest() };
}

/** The last list of nothing but outputs, which means the same for every packet: controllers send the same again and
 *  again. */
let lastOutputs:
  | {
      readonly version: number;
      readonly executedOnly: boolean;
      readonly wire: Uint8Array;
      readonly actions: Uint8Array;
    }
  | undefined;

function knownOutputs(
  bytes: Uint8Array,
  start: number,
  length: number,
  version: number,
  executedOnly: boolean,
): Uint8Array | undefined {
  const last = lastOutputs;
  if (last === undefined || last.version !== version || last.executedOnly !== executedOnly) return undefined;
  if (last.wire.length !== length) return undefined;
  for (let index = 0; index < length; index++) if (bytes[start + index] !== last.wire[index]) return undefined;
  return last.actions;
}

/** Whether every action of the wire is an output, whose type is 0 in all versions. */
function onlyOutputs(bytes: Uint8Array, start: number, length: number): boolean {
  let at = start;
  while (at + 4 <= start + length) {
    if (bytes[at] !== 0 || bytes[at + 1] !== 0) return false;
    at += ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  }
  return at === start + length;
}

export function writePacketOut(out: ByteWriter, body: PacketOut, version: number): void {
  out.u32(body.bufferId);
  if (version < 6) writePort(out, body.inPort, version);
  const lengthAt = out.position;
  out.u16(0);
  if (version >= 6) {
    out.zeros(2);
    writeMatch(out, body.match.length > emptyMatchSize ? body.match : inPortMatch(body.inPort), version);
  } else if (version > 1) out.zeros(6);
  const start = out.position;
  encodeActions(body.actions, 0, body.actions.length, version, out);
  out.view.setUint16(lengthAt, out.position - start);
  out.put(body.packet);
}

export function readPacketIn(reader: ByteReader, version: number): PacketIn {
  const base = { type: "packet_in", format: "standard", cookie: 0xffffffffffffffffn, userdata: empty } as const;
  const bufferId = reader.u32();
  if (version === 1) {
    const totalLen = reader.u16();
    const port = readPort(reader, version);
    const reason = reader.u8();
    reader.skip(1);
    return { ...base, bufferId, totalLen, reason, tableId: 0, match: inPortMatch(port), packet: reader.rest() };
  }
  if (version === 2) {
    const port = readPort(reader, version);
    reader.skip(4);
    const totalLen = reader.u16();
    const reason = reader.u8();
    const tableId = reader.u8();
    return { ...base, bufferId, totalLen, reason, tableId, match: inPortMatch(port), packet: reader.rest() };
  }
  const totalLen = reader.u16();
  const reason = reader.u8();
  const tableId = reader.u8();
  const cookie = version >= 4 ? reader.u64() : base.cookie;
  const match = abiMatch(readMatch(reader, version, { loose: true, pipeline: true }));
  reader.skip(2);
  return { ...base, bufferId, totalLen, reason, tableId, cookie, match, packet: reader.rest() };
}

export function writePacketIn(out: ByteWriter, body: PacketIn, version: number): void {
  if (body.format === "nxt_packet_in2") {
    writePacketIn2(out, body, version);
    return;
  }
  out.u32(body.bufferId);
  if (version === 2 && body.format === "standard") {
    const port = matchInPort(body.match);
    // OFPT11_PACKET_IN has the port twice: as it is, and the physical one below it.
    writePort(out, port, version);
    writePort(out, port, version);
    out.u16(body.totalLen);
    out.u8(body.reason > 2 ? 1 : body.reason);
    out.u8(body.tableId);
    out.put(body.packet);
    return;
  }
  out.u16(body.totalLen);
  if (body.format === "nxt_packet_in") {
    out.u8(body.reason);
    out.u8(body.tableId);
    out.u64(body.cookie);
    const lengthAt = out.position;
    out.zeros(8);
    const length = writeNxm(out, body.match, 1);
    out.view.setUint16(lengthAt, length);
    out.zeros(2);
    out.put(body.packet);
    return;
  }
  if (version === 1) {
    writePort(out, matchInPort(body.match), version);
    // OpenFlow 1.0 has only the reasons "no match" and "action".
    out.u8(body.reason > 1 ? (body.reason === 2 ? 2 : 1) : body.reason);
    out.zeros(1);
  } else {
    out.u8(version < 5 && body.reason > 2 ? 1 : body.reason);
    out.u8(body.tableId);
    if (version >= 4) out.u64(body.cookie);
    writeMatch(out, body.match, version);
    out.zeros(2);
  }
  out.put(body.packet);
}

export function readNxtPacketIn(reader: ByteReader): PacketIn {
  const bufferId = reader.u32();
  const totalLen = reader.u16();
  const reason = reader.u8();
  const tableId = reader.u8();
  const cookie = reader.u64();
  const length = reader.u16();
  reader.skip(6);
  const match = abiMatch(readNxm(reader, length, { loose: true, pipeline: true }));
  reader.skip(2);
  return {
    type: "packet_in",
    format: "nxt_packet_in",
    bufferId,
    totalLen,
    reason,
    tableId,
    cookie,
    match,
    packet: reader.rest(),
    userdata: empty,
  };
}

const property = {
  packet: 0,
  fullLen: 1,
  bufferId: 2,
  tableId: 3,
  cookie: 4,
  reason: 5,
  metadata: 6,
  userdata: 7,
  continuation: 8,
};

/** `loose`: of a packet-in, where what is unknown is passed over; an NXT_RESUME, which looks the same, must be known
 *  whole. */
export function readNxtPacketIn2(reader: ByteReader, version: number, loose: boolean): PacketIn {
  const found = {
    bufferId: 0xffffffff,
    totalLen: 0,
    reason: 0,
    tableId: 0,
    cookie: 0xffffffffffffffffn,
    match: empty as Uint8Array,
    packet: empty as Uint8Array,
    userdata: empty as Uint8Array,
  };
  let continuation: Continuation | undefined;
  eachProperty(reader, reader.end, (type, end) => {
    switch (type) {
      case property.packet:
        found.packet = reader.copy(end - reader.position);
        break;
      case property.fullLen:
        found.totalLen = reader.u32();
        break;
      case property.bufferId:
        found.bufferId = reader.u32();
        break;
      case property.tableId:
        found.tableId = reader.u8();
        break;
      case property.cookie:
        reader.skip(4);
        found.cookie = reader.u64();
        break;
      case property.reason:
        found.reason = reader.u8();
        break;
      case property.metadata:
        scratch.clear();
        decodeOxm(scratch, reader.bytes, reader.position, end, { loose, pipeline: true });
        found.match = abiMatch(scratch);
        break;
      case property.userdata:
        found.userdata = reader.copy(end - reader.position);
        break;
      case property.continuation:
        reader.skip(4);
        continuation = readContinuation(reader, end, version, loose);
        break;
      default:
        if (!loose) throw new OpenFlowError("OFPBPC_BAD_TYPE", `a packet-in has no property ${type}`);
    }
  });
  if (found.packet.length === 0) throw new OpenFlowError("OFPBRC_BAD_LEN", "a packet-in must have a packet");
  if (found.totalLen === 0) found.totalLen = found.packet.length;
  if (found.totalLen < found.packet.length)
    throw new OpenFlowError("OFPBRC_BAD_LEN", "a packet is not as long as what is there of it");
  return { type: "packet_in", format: "nxt_packet_in2", ...found, continuation };
}

function writePacketIn2(out: ByteWriter, body: PacketIn, version: number): void {
  const origin = out.position;
  const put = (type: number, write: () => void): void => putProperty(out, origin, type, write);
  put(property.packet, () => out.put(body.packet));
  if (body.totalLen !== body.packet.length) put(property.fullLen, () => out.u32(body.totalLen));
  if (body.bufferId !== 0xffffffff) put(property.bufferId, () => out.u32(body.bufferId));
  put(property.tableId, () => out.u8(body.tableId));
  if (body.cookie !== 0xffffffffffffffffn) {
    put(property.cookie, () => {
      out.zeros(4);
      out.u64(body.cookie);
    });
  }
  put(property.reason, () => out.u8(body.reason));
  put(property.metadata, () => {
    scratch.read(body.match);
    encodeOxm(out, scratch, version >= 3 ? version : 1);
  });
  if (body.userdata.length > 0) put(property.userdata, () => out.put(body.userdata));
  const { continuation } = body;
  if (continuation === undefined) return;
  put(property.continuation, () => {
    out.zeros(4);
    writeContinuation(out, continuation, version);
  });
}

export function readFlowRemoved(reader: ByteReader, version: number, standard: boolean): FlowRemoved {
  const type = "flow_removed" as const;
  if (standard && version === 1) {
    const match = abiMatch(readMatch(reader, version));
    const cookie = reader.u64();
    const priority = reader.u16();
    const reason = reader.u8();
    reader.skip(1);
    const [durationSec, durationNsec, idleTimeout] = [reader.u32(), reader.u32(), reader.u16()];
    reader.skip(2);
    return {
      type,
      standard,
      match,
      cookie,
      priority,
      reason,
      tableId: 255,
      durationSec,
      durationNsec,
      idleTimeout,
      hardTimeout: 0,
      packetCount: reader.u64(),
      byteCount: reader.u64(),
    };
  }
  if (standard && version >= 6) {
    const head = {
      tableId: reader.u8(),
      reason: reader.u8(),
      priority: reader.u16(),
      idleTimeout: reader.u16(),
      hardTimeout: reader.u16(),
      cookie: reader.u64(),
    };
    const match = abiMatch(readMatch(reader, version));
    const stats = readOxs(reader);
    return {
      type,
      standard,
      ...head,
      match,
      durationSec: stats.durationSec,
      durationNsec: stats.durationNsec,
      packetCount: stats.packetCount,
      byteCount: stats.byteCount,
    };
  }
  const head = { cookie: reader.u64(), priority: reader.u16(), reason: reader.u8() };
  const table = reader.u8();
  const times = { durationSec: reader.u32(), durationNsec: reader.u32(), idleTimeout: reader.u16() };
  if (standard) {
    const more = { hardTimeout: reader.u16(), packetCount: reader.u64(), byteCount: reader.u64() };
    return { type, standard, ...head, tableId: table, ...times, ...more, match: abiMatch(readMatch(reader, version)) };
  }
  const length = reader.u16();
  const counts = { packetCount: reader.u64(), byteCount: reader.u64() };
  return {
    type,
    standard,
    ...head,
    tableId: table === 0 ? 255 : table - 1,
    ...times,
    hardTimeout: 0,
    ...counts,
    match: abiMatch(readNxm(reader, length)),
  };
}

export function writeFlowRemoved(out: ByteWriter, body: FlowRemoved, version: number): void {
  const reason = version < 5 && body.reason > 3 ? 2 : body.reason;
  if (body.standard && version === 1) {
    const from = out.position;
    writeMatch(out, body.match, version);
    if (out.position - from !== match10Size) throw new Error("an OpenFlow 1.0 match has 40 bytes");
    out.u64(body.cookie);
    out.u16(body.priority);
    out.u8(reason);
    out.zeros(1);
    out.u32(body.durationSec);
    out.u32(body.durationNsec);
    out.u16(body.idleTimeout);
    out.zeros(2);
    out.u64(body.packetCount);
    out.u64(body.byteCount);
    return;
  }
  if (body.standard && version >= 6) {
    out.u8(body.tableId);
    out.u8(body.reason);
    out.u16(body.priority);
    out.u16(body.idleTimeout);
    out.u16(body.hardTimeout);
    out.u64(body.cookie);
    writeMatch(out, body.match, version);
    writeOxs(out, {
      durationSec: body.durationSec,
      durationNsec: body.durationNsec,
      packetCount: body.packetCount,
      byteCount: body.byteCount,
    });
    return;
  }
  out.u64(body.cookie);
  out.u16(body.priority);
  out.u8(reason);
  out.u8(body.standard ? body.tableId : body.tableId + 1);
  out.u32(body.durationSec);
  out.u32(body.durationNsec);
  out.u16(body.idleTimeout);
  if (body.standard) {
    out.u16(body.hardTimeout);
    out.u64(body.packetCount);
    out.u64(body.byteCount);
    writeMatch(out, body.match, version);
    return;
  }
  const lengthAt = out.position;
  out.u16(0);
  out.u64(body.packetCount);
  out.u64(body.byteCount);
  out.view.setUint16(lengthAt, writeNxm(out, body.match, version));
}

/** Statistics of OpenFlow 1.5 (OXS): what is there is written. */
export interface Oxs {
  durationSec?: number;
  durationNsec?: number;
  idleSec?: number;
  flowCount?: number;
  packetCount?: bigint;
  byteCount?: bigint;
}

const oxs = { duration: 0, idle: 1, flows: 3, packets: 4, bytes: 5 };

export function writeOxs(out: ByteWriter, stats: Oxs): void {
  const start = out.position;
  out.zeros(4);
  const header = (field: number, size: number): void => {
    out.u16(0x8002);
    out.u8(field << 1);
    out.u8(size);
  };
  if (stats.durationSec !== undefined) {
    header(oxs.duration, 8);
    out.u32(stats.durationSec);
    out.u32(stats.durationNsec ?? 0);
  }
  if (stats.idleSec !== undefined) {
    header(oxs.idle, 8);
    out.u32(stats.idleSec);
    out.u32(0);
  }
  if (stats.packetCount !== undefined) {
    header(oxs.packets, 8);
    out.u64(stats.packetCount);
  }
  if (stats.byteCount !== undefined) {
    header(oxs.bytes, 8);
    out.u64(stats.byteCount);
  }
  if (stats.flowCount !== undefined) {
    header(oxs.flows, 4);
    out.u32(stats.flowCount);
  }
  out.view.setUint16(start + 2, out.position - start);
  out.align(8, start);
}

export function readOxs(reader: ByteReader): Required<Oxs> {
  const found = {
    durationSec: 0,
    durationNsec: 0,
    idleSec: 0,
    flowCount: 0,
    packetCount: 0xffffffffffffffffn,
    byteCount: 0xffffffffffffffffn,
  };
  const start = reader.position;
  reader.skip(2);
  const length = reader.u16();
  if (length < 4 || start + ((length + 7) & ~7) > reader.end)
    throw new OpenFlowError("OFPBRC_BAD_LEN", `the statistics have length ${length}`);
  while (reader.position < start + length) {
    reader.skip(2);
    const field = reader.u8() >> 1;
    const size = reader.u8();
    const at = reader.take(size);
    if (field === oxs.duration && size === 8) {
      found.durationSec = reader.view.getUint32(at);
      found.durationNsec = reader.view.getUint32(at + 4);
    } else if (field === oxs.idle && size === 8) found.idleSec = reader.view.getUint32(at);
    else if (field === oxs.flows && size === 4) found.flowCount = reader.view.getUint32(at);
    else if (field === oxs.packets && size === 8) found.packetCount = reader.view.getBigUint64(at);
    else if (field === oxs.bytes && size === 8) found.byteCount = reader.view.getBigUint64(at);
  }
  reader.position = start + ((length + 7) & ~7);
  return found;
}
