import { decodeActions, encodeActions } from "./action-wire.js";
import { type ByteReader, ByteWriter } from "./bytes.js";
import { abiMatch, readMatch, readNxm, writeMatch, writeNxm } from "./codec-match.js";
import { readPort, writePort } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import { decodeInstructions, encodeInstructions } from "./instructions.js";
import type { FlowMonitor, FlowUpdate, FlowUpdateEvent } from "./message.js";
import { ofpp } from "./tables/ports.js";

/** Flow monitors: what a controller asks to be told about flows, and what it is told.  Three forms: Nicira's for OpenFlow
 *  1.0 to 1.2, the ONF's for 1.3, which has Nicira's numbers and 1.3's matches, and that of 1.4. */

/** OFPFMF, numbered as OpenFlow 1.4 does.  Nicira's and the ONF's have no `noAbbrev`, and `onlyOwn` means "my own changes
 *  in full" in all of them. */
export const monitorFlag = {
  initial: 1,
  add: 2,
  removed: 4,
  modify: 8,
  instructions: 16,
  noAbbrev: 32,
  onlyOwn: 64,
} as const;

/** OFPFMC. */
export const monitorCommand = { add: 0, modify: 1, delete: 2 } as const;

const nxOwn = 32;
const nxFlags = 0x3f;
const flags14 =
  monitorFlag.initial |
  monitorFlag.add |
  monitorFlag.removed |
  monitorFlag.modify |
  monitorFlag.instructions |
  monitorFlag.onlyOwn;
const eventFlags = monitorFlag.add | monitorFlag.removed | monitorFlag.modify;

function checkFlags(flags: number, known: number): void {
  if ((flags & eventFlags) === 0 || (flags & ~known) !== 0)
    throw new OpenFlowError("OFPMOFC_BAD_FLAGS", `a flow monitor cannot have flags ${flags}`, { flags });
}

function cutShort(reader: ByteReader): void {
  if (reader.left < 16) throw new OpenFlowError("OFPBRC_BAD_LEN", "a flow monitor is cut short");
}

function zeros(reader: ByteReader, count: number): void {
  for (let index = 0; index < count; index++) {
    if (reader.u8() !== 0) throw new OpenFlowError("NXBRC_MUST_BE_ZERO", "padding of a flow monitor is not zero");
  }
}

const fromNx = (flags: number): number => (flags & ~nxOwn) | ((flags & nxOwn) !== 0 ? monitorFlag.onlyOwn : 0);
const toNx = (flags: number): number =>
  (flags & (nxFlags & ~nxOwn)) | ((flags & monitorFlag.onlyOwn) !== 0 ? nxOwn : 0);

/** One monitor of a request, which may hold several. */
export function readFlowMonitor(reader: ByteReader, version: number): FlowMonitor {
  cutShort(reader);
  const id = reader.u32();
  if (version >= 5) {
    const portAt = reader.position;
    reader.skip(4);
    const outGroup = reader.u32();
    const flags = reader.u16();
    const tableId = reader.u8();
    const command = reader.u8();
    if (command !== monitorCommand.delete) checkFlags(flags, flags14);
    const after = reader.position;
    reader.position = portAt;
    const outPort = command === monitorCommand.delete ? ofpp.ANY : readPort(reader, version);
    reader.position = after;
    return { id, command, flags, outPort, outGroup, tableId, match: abiMatch(readMatch(reader, version)) };
  }
  const flags = reader.u16();
  const head = { id, command: monitorCommand.add, flags: fromNx(flags), outGroup: ofpp.ANY };
  if (version === 4) {
    reader.skip(2);
    const portAt = reader.position;
    reader.skip(4);
    const tableId = reader.u8();
    checkFlags(flags, nxFlags);
    zeros(reader, 3);
    const after = reader.position;
    reader.position = portAt;
    const outPort = readPort(reader, version);
    reader.position = after;
    return { ...head, outPort, tableId, match: abiMatch(readMatch(reader, version)) };
  }
  const outPort = readPort(reader, 1);
  const length = reader.u16();
  const tableId = reader.u8();
  checkFlags(flags, nxFlags);
  zeros(reader, 5);
  return { ...head, outPort, tableId, match: abiMatch(readNxm(reader, length)) };
}

export function writeFlowMonitor(out: ByteWriter, monitor: FlowMonitor, version: number): void {
  out.u32(monitor.id);
  if (version >= 5) {
    writePort(out, monitor.outPort, version);
    out.u32(monitor.outGroup);
    out.u16(monitor.flags);
    out.u8(monitor.tableId);
    out.u8(monitor.command);
    writeMatch(out, monitor.match, version);
    return;
  }
  out.u16(toNx(monitor.flags));
  if (version === 4) {
    const lengthAt = out.position;
    out.u16(0);
    writePort(out, monitor.outPort, version);
    out.u8(monitor.tableId);
    out.zeros(3);
    const start = out.position;
    writeMatch(out, monitor.match, version);
    out.view.setUint16(lengthAt, out.view.getUint16(start + 2));
    return;
  }
  writePort(out, monitor.outPort, 1);
  const lengthAt = out.position;
  out.u16(0);
  out.u8(monitor.tableId);
  out.zeros(5);
  out.view.setUint16(lengthAt, writeNxm(out, monitor.match, version));
}

/** Numbers of events: OpenFlow 1.4's, and Nicira's. */
const events14: readonly FlowUpdateEvent[] = [
  "initial",
  "added",
  "removed",
  "modified",
  "abbreviated",
  "paused",
  "resumed",
];
const eventsNx: readonly FlowUpdateEvent[] = ["added", "removed", "modified", "abbreviated"];

export function writeFlowUpdate(out: ByteWriter, update: FlowUpdate, version: number): void {
  const start = out.position;
  out.u16(0);
  if (version >= 5) out.u16(events14.indexOf(update.event));
  else out.u16(eventsNx.indexOf(update.event === "initial" ? "added" : update.event));
  if (update.event === "abbreviated") out.u32(update.xid);
  else if (update.event === "paused" || update.event === "resumed") out.zeros(4);
  else if (version >= 5) {
    out.u8(update.tableId);
    out.u8(update.reason);
    out.u16(update.idleTimeout);
    out.u16(update.hardTimeout);
    out.u16(update.priority);
    out.zeros(4);
    out.u64(update.cookie);
    writeMatch(out, update.match, version);
    encodeInstructions(update.actions, 0, update.actions.length, version, out);
  } else {
    out.u16(update.reason);
    out.u16(update.priority);
    out.u16(update.idleTimeout);
    out.u16(update.hardTimeout);
    const lengthAt = out.position;
    out.u16(0);
    out.u8(update.tableId);
    out.zeros(1);
    out.u64(update.cookie);
    if (version === 4) {
      const matchAt = out.position;
      writeMatch(out, update.match, version);
      out.view.setUint16(lengthAt, out.view.getUint16(matchAt + 2));
      encodeInstructions(update.actions, 0, update.actions.length, version, out);
    } else {
      const length = writeNxm(out, update.match, version);
      out.view.setUint16(lengthAt, length);
      encodeActions(update.actions, 0, update.actions.length, version, out);
    }
  }
  out.view.setUint16(start, out.position - start);
}

const scratch = new ByteWriter(256);

function actionsOf(reader: ByteReader, end: number, version: number): Uint8Array {
  scratch.position = 0;
  if (version < 4) decodeActions(reader.bytes, reader.view, reader.position, end, version, scratch);
  else decodeInstructions(reader.bytes, reader.view, reader.position, end, version, scratch);
  reader.position = end;
  return scratch.finish();
}

export function readFlowUpdate(reader: ByteReader, version: number): FlowUpdate {
  const start = reader.position;
  const size = reader.left >= 8 ? reader.u16() : 0;
  if (size < 8 || size % 8 !== 0 || start + size > reader.end)
    throw new OpenFlowError("OFPBRC_BAD_LEN", `a flow update cannot have ${size} bytes`);
  const number = reader.u16();
  const event = (version >= 5 ? events14 : eventsNx)[number];
  if (event === undefined) throw new OpenFlowError("NXBRC_FM_BAD_EVENT", `there is no flow update event ${number}`);
  if (event === "abbreviated") return { event, xid: reader.u32() };
  if (event === "paused" || event === "resumed") {
    reader.skip(4);
    return { event };
  }
  if (size < 24) throw new OpenFlowError("OFPBRC_BAD_LEN", "a flow update is cut short");
  const end = start + size;
  if (version >= 5) {
    const head = {
      tableId: reader.u8(),
      reason: reader.u8(),
      idleTimeout: reader.u16(),
      hardTimeout: reader.u16(),
      priority: reader.u16(),
    };
    reader.skip(4);
    const cookie = reader.u64();
    const match = abiMatch(readMatch(reader, version));
    return { event, ...head, cookie, match, actions: actionsOf(reader, end, version) };
  }
  const head = {
    reason: reader.u16(),
    priority: reader.u16(),
    idleTimeout: reader.u16(),
    hardTimeout: reader.u16(),
  };
  const matchSize = reader.u16();
  const tableId = reader.u8();
  reader.skip(1);
  const cookie = reader.u64();
  const match = abiMatch(version === 4 ? readMatch(reader, version) : readNxm(reader, matchSize));
  return { event, tableId, ...head, cookie, match, actions: actionsOf(reader, end, version) };
}
