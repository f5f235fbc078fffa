import { pad8 } from "../datapath/tables/record.js";
import { recordLayout, recordOffset } from "./abi.js";
import { checkActions } from "./action-check.js";
import { decodeActions, encodeActions } from "./action-wire.js";
import { ByteReader, ByteWriter } from "./bytes.js";
import { readMatch, readNxm, writeMatch, writeNxm } from "./codec-match.js";
import { readPort, writePort } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import { decodeInstructions, encodeInstructions } from "./instructions.js";
import type { FlowMod } from "./message.js";

/** Flow_mods: flat from the wire to the ABI's command, and as messages. */

export interface FlowModContext {
  /** Bridge that the command is for. */
  readonly bridge: number;
  /** NXT_FLOW_MOD_TABLE_ID: the command's upper byte is a table. */
  readonly tableId: boolean;
  /** Refuse actions that the pipeline does not execute; off for tools that only translate. */
  readonly executedOnly?: boolean;
}

export const anyFlowModContext: FlowModContext = { bridge: 0, tableId: true, executedOnly: false };

const layout = recordLayout("flow_mod");
/** Offsets of the ABI's flow_mod command. */
export const flowModAt = Object.fromEntries(layout.members.map((member) => [member.name, member.offset])) as Readonly<
  Record<string, number>
>;
export const flowModSize = layout.size;
const commandType = 13;
const offset = (name: string): number => recordOffset("flow_mod", name);
const to = {
  type: offset("type"),
  size: offset("size"),
  bridge: offset("bridge"),
  table: offset("table"),
  command: offset("command"),
  flags: offset("flow_flags"),
  priority: offset("priority"),
  outPort: offset("out_port"),
  outGroup: offset("out_group"),
  importance: offset("importance"),
  cookie: offset("cookie"),
  cookieMask: offset("cookie_mask"),
  newCookie: offset("new_cookie"),
  idle: offset("idle_timeout_s"),
  hard: offset("hard_timeout_s"),
  matchSize: offset("match_size"),
  actionsSize: offset("actions_size"),
};

const command = { add: 0, modify: 1, modifyStrict: 2, delete: 3, deleteStrict: 4 };
const flag = {
  sendFlowRem: 1,
  checkOverlap: 2,
  resetCounts: 4,
  noPacketCounts: 8,
  noByteCounts: 16,
  modifyMayAdd: 32,
  keepsCookie: 256,
};
const all64 = 0xffffffffffffffffn;
/** "No buffer": the packet, if any, is not in one. */
export const noBuffer = 0xffffffff;

const standardType = 14;
const experimenterType = 4;
/** Vendor and number of NXT_FLOW_MOD. */
const niciraHead = [0, 0, 0x23, 0x20, 0, 0, 0, 13] as const;

/** Whether the message in [start, end) is a flow_mod, of either form. */
export function isFlowMod(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  const type = bytes[start + 1];
  if (type !== experimenterType) return type === standardType;
  if (end - start < 8 + niciraHead.length) return false;
  for (let at = 0; at < niciraHead.length; at++) if (bytes[start + 8 + at] !== niciraHead[at]) return false;
  return true;
}

function decodeFlags(raw: number, version: number): number {
  const known = version === 1 ? 7 : version === 2 ? 3 : version === 3 ? 7 : 0x1f;
  if ((raw & ~known) !== 0)
    throw new OpenFlowError("OFPFMFC_BAD_FLAGS", `flow_mod flags ${raw} are not all known`, { flags: raw });
  if (version === 1 && (raw & 4) !== 0 && (head.idle !== 0 || head.hard !== 0))
    throw new OpenFlowError("OFPFMFC_BAD_EMERG_TIMEOUT", "emergency flows have no timeouts");
  if (version === 1 && (raw & 4) !== 0)
    throw new OpenFlowError("OFPFMFC_TABLE_FULL", "emergency flows are not supported");
  return raw;
}

interface Head {
  command: number;
  table: number;
  priority: number;
  cookie: bigint;
  cookieMask: bigint;
  newCookie: bigint;
  idle: number;
  hard: number;
  buffer: number;
  outPort: number;
  outGroup: number;
  flags: number;
  importance: number;
  modifyCookie: boolean;
}
const head: Head = {
  command: 0,
  table: 0,
  priority: 0,
  cookie: 0n,
  cookieMask: 0n,
  newCookie: 0n,
  idle: 0,
  hard: 0,
  buffer: 0,
  outPort: 0,
  outGroup: 0,
  flags: 0,
  importance: 0,
  modifyCookie: false,
};

/** Packet buffer that the last decoded flow_mod named: 0xffffffff for none. */
export function lastFlowModBuffer(): number {
  return head.buffer;
}

/** A flow_mod was decoded elsewhere, and named none. */
export function setNoBuffer(): void {
  head.buffer = noBuffer;
}

/** Appends the ABI's flow_mod command for the message and returns its size.  Throws OpenFlowError with what OVS answers. */
export function interpretFlowMod(bytes: Uint8Array, out: ByteWriter, context: FlowModContext): number {
  const reader = new ByteReader(bytes);
  const version = bytes[0] as number;
  const nicira = bytes[1] !== 14;
  if (bytes.length % 8 !== 0)
    throw new OpenFlowError("OFPBRC_BAD_LEN", "the flow_mod does not fill a multiple of 8 bytes");
  reader.skip(nicira ? 16 : 8);
  const begin = out.position;
  out.zeros(flowModSize);
  try {
    const matchAt = out.position;
    if (nicira) readNicira(reader, version, out, context);
    else if (version === 1) read10(reader, out, context);
    else read11(reader, version, out);
    const matchSize = out.position - matchAt;
    const actionsAt = out.position;
    if (version === 1 || (nicira && version === 1)) {
      if (reader.left % 8 !== 0)
        throw new OpenFlowError("OFPBAC_BAD_LEN", "the actions do not fill a multiple of 8 bytes");
      decodeActions(bytes, reader.view, reader.position, reader.end, version, out);
    } else decodeInstructions(bytes, reader.view, reader.position, reader.end, version, out);
    if (head.command > command.deleteStrict)
      throw new OpenFlowError("OFPFMFC_BAD_COMMAND", `flow_mod has no command ${head.command}`);
    checkActions(out, matchAt, matchSize, actionsAt, out.position, {
      version,
      table: head.table,
      executedOnly: context.executedOnly ?? true,
    });
    writeHead(out, begin, context.bridge, version, matchSize, out.position - actionsAt);
    return out.position - begin;
  } catch (error) {
    out.position = begin;
    throw error;
  }
}

function writeHead(
  out: ByteWriter,
  begin: number,
  bridge: number,
  version: number,
  matchSize: number,
  actionsSize: number,
): void {
  const { view } = out;
  const modifies = head.command === command.modify || head.command === command.modifyStrict;
  let { flags } = head;
  if (modifies && version <= 2 && head.cookieMask === 0n && head.newCookie !== all64) flags |= flag.modifyMayAdd;
  if (modifies && !head.modifyCookie) flags |= flag.keepsCookie;
  view.setUint16(begin + to.type, commandType, true);
  view.setUint32(begin + to.size, out.position - begin, true);
  view.setUint32(begin + to.bridge, bridge, true);
  view.setUint8(begin + to.table, head.command === command.add && head.table === 255 ? 0 : head.table);
  view.setUint8(begin + to.command, head.command);
  view.setUint16(begin + to.flags, flags, true);
  view.setUint32(begin + to.priority, head.priority, true);
  view.setUint32(begin + to.outPort, head.outPort, true);
  view.setUint32(begin + to.outGroup, head.outGroup, true);
  view.setUint32(begin + to.importance, head.importance, true);
  view.setBigUint64(begin + to.cookie, head.cookie, true);
  view.setBigUint64(begin + to.cookieMask, head.cookieMask, true);
  view.setBigUint64(begin + to.newCookie, head.newCookie, true);
  view.setUint16(begin + to.idle, head.idle, true);
  view.setUint16(begin + to.hard, head.hard, true);
  view.setUint32(begin + to.matchSize, matchSize, true);
  view.setUint32(begin + to.actionsSize, actionsSize, true);
}

function splitCommand(raw: number, context: FlowModContext): void {
  if (context.tableId) {
    head.command = raw & 0xff;
    head.table = raw >> 8;
  } else {
    if (raw > 0xff) throw new OpenFlowError("OFPFMFC_BAD_COMMAND", `flow_mod has no command ${raw}`);
    head.command = raw;
    head.table = 0xff;
  }
}

function read10(reader: ByteReader, out: ByteWriter, context: FlowModContext): void {
  if (reader.left < 64) throw new OpenFlowError("OFPBRC_BAD_LEN", "the flow_mod is cut short");
  const exact = (reader.view.getUint32(reader.position) & 0x3fffff) === 0;
  const match = readMatch(reader, 1);
  match.write(out);
  head.cookie = 0n;
  head.cookieMask = 0n;
  head.newCookie = reader.u64();
  head.modifyCookie = head.newCookie !== all64;
  const raw = reader.u16();
  head.idle = reader.u16();
  head.hard = reader.u16();
  const priority = reader.u16();
  // A match of OpenFlow 1.0 without wildcards has the highest priority, whatever the message says.
  head.priority = exact ? 0xffff : priority;
  head.buffer = reader.u32();
  head.outPort = readPort(reader, 1);
  head.flags = decodeFlags(reader.u16(), 1);
  head.outGroup = 0xffffffff;
  head.importance = 0;
  splitCommand(raw, context);
}

function readNicira(reader: ByteReader, version: number, out: ByteWriter, context: FlowModContext): void {
  if (reader.left < 32) throw new OpenFlowError("OFPBRC_BAD_LEN", "the flow_mod is cut short");
  head.newCookie = reader.u64();
  const raw = reader.u16();
  head.idle = reader.u16();
  head.hard = reader.u16();
  head.priority = reader.u16();
  head.buffer = reader.u32();
  head.outPort = readPort(reader, 1);
  const flags = reader.u16();
  const length = reader.u16();
  reader.skip(6);
  const cookie = { cookie: 0n, cookieMask: 0n };
  const match = readNxm(reader, length, { cookie });
  match.write(out);
  if ((raw & 0xff) === command.add && cookie.cookieMask !== 0n) {
    throw new OpenFlowError("NXBRC_NXM_INVALID", "a flow that is added may not match on a cookie");
  }
  head.cookie = cookie.cookie;
  head.cookieMask = cookie.cookieMask;
  head.modifyCookie = head.newCookie !== all64;
  head.flags = decodeFlags(flags, version);
  head.outGroup = 0xffffffff;
  head.importance = 0;
  splitCommand(raw, context);
}

function read11(reader: ByteReader, version: number, out: ByteWriter): void {
  if (reader.left < 40) throw new OpenFlowError("OFPBRC_BAD_LEN", "the flow_mod is cut short");
  const cookie = reader.u64();
  const cookieMask = reader.u64();
  head.table = reader.u8();
  head.command = reader.u8();
  head.idle = reader.u16();
  head.hard = reader.u16();
  head.priority = reader.u16();
  head.buffer = reader.u32();
  const portAt = reader.take(4);
  const outGroup = reader.u32();
  const flags = reader.u16();
  const importance = reader.u16();
  readMatch(reader, version).write(out);
  const adds =
    head.command === command.add ||
    (version === 2 && (head.command === command.modify || head.command === command.modifyStrict) && cookieMask === 0n);
  head.cookie = adds ? 0n : cookie;
  head.cookieMask = adds ? 0n : cookieMask;
  head.newCookie = adds ? cookie : all64;
  head.modifyCookie = false;
  const deletes = head.command === command.delete || head.command === command.deleteStrict;
  if (head.table === 0xff && !deletes)
    throw new OpenFlowError("OFPFMFC_BAD_TABLE_ID", "only a delete may name all tables");
  head.importance = version >= 5 && head.command === command.add ? importance : 0;
  head.outPort = readPort(new ByteReader(reader.bytes, portAt), version);
  head.outGroup = deletes ? outGroup : 0xffffffff;
  head.flags = decodeFlags(flags, version);
}

const scratch = new ByteWriter(1024);

/** The flow_mod as a message. */
export function readFlowMod(bytes: Uint8Array, context: FlowModContext = anyFlowModContext): FlowMod {
  scratch.position = 0;
  interpretFlowMod(bytes, scratch, context);
  return { ...flowModOfRecord(scratch.bytes, 0), standard: bytes[1] === 14, bufferId: head.buffer };
}

/** The ABI's flow_mod command at `at` as a message. */
export function flowModOfRecord(bytes: Uint8Array, at: number): FlowMod {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const matchSize = view.getUint32(at + to.matchSize, true);
  const actionsAt = at + flowModSize + pad8(matchSize);
  const flags = view.getUint16(at + to.flags, true);
  return {
    type: "flow_mod",
    standard: true,
    command: view.getUint8(at + to.command),
    tableId: view.getUint8(at + to.table),
    priority: view.getUint32(at + to.priority, true),
    cookie: view.getBigUint64(at + to.cookie, true),
    cookieMask: view.getBigUint64(at + to.cookieMask, true),
    newCookie: view.getBigUint64(at + to.newCookie, true),
    modifyCookie: (flags & flag.keepsCookie) === 0,
    idleTimeout: view.getUint16(at + to.idle, true),
    hardTimeout: view.getUint16(at + to.hard, true),
    bufferId: noBuffer,
    outPort: view.getUint32(at + to.outPort, true),
    outGroup: view.getUint32(at + to.outGroup, true),
    importance: view.getUint32(at + to.importance, true),
    flags: flags & 0x1f,
    match: bytes.slice(at + flowModSize, at + flowModSize + matchSize),
    actions: bytes.slice(actionsAt, actionsAt + view.getUint32(at + to.actionsSize, true)),
  };
}

/** Appends the ABI's flow_mod command for the message; `version` decides whether a modify may add. */
export function recordOfFlowMod(out: ByteWriter, flow: FlowMod, bridge: number, version: number): void {
  Object.assign(head, {
    command: flow.command,
    table: flow.tableId,
    priority: flow.priority,
    cookie: flow.cookie,
    cookieMask: flow.cookieMask,
    newCookie: flow.newCookie,
    idle: flow.idleTimeout,
    hard: flow.hardTimeout,
    buffer: flow.bufferId,
    outPort: flow.outPort,
    outGroup: flow.outGroup,
    flags: flow.flags & 0x1f,
    importance: flow.importance,
    modifyCookie: flow.modifyCookie,
  });
  const begin = out.position;
  out.zeros(flowModSize);
  out.put(flow.match);
  out.align(8, begin);
  out.put(flow.actions);
  writeHead(out, begin, bridge, version, flow.match.length, flow.actions.length);
}

/** Appends the body of a flow_mod message, after its (experimenter's) header. */
export function writeFlowMod(out: ByteWriter, flow: FlowMod, version: number): void {
  const adds = flow.command === command.add;
  // With a cookie of all ones a change that finds no flow adds none; OpenFlow 1.0's is to add one, as ovs-ofctl sends it.
  const cookie10 = flow.newCookie === all64 && flow.cookieMask === 0n ? 0n : flow.newCookie;
  if (!flow.standard) {
    out.u64(cookie10);
    out.u16(flow.command | (flow.tableId << 8));
    out.u16(flow.idleTimeout);
    out.u16(flow.hardTimeout);
    out.u16(flow.priority);
    out.u32(flow.bufferId);
    writePort(out, flow.outPort, 1);
    out.u16(flow.flags & (version === 1 ? 3 : 0x1f));
    const lengthAt = out.position;
    out.u16(0);
    out.zeros(6);
    const cookie = { cookie: flow.cookie, cookieMask: flow.cookieMask };
    const length = writeNxm(out, flow.match, version, adds ? undefined : cookie);
    out.view.setUint16(lengthAt, length);
    if (version === 1) encodeActions(flow.actions, 0, flow.actions.length, version, out);
    else encodeInstructions(flow.actions, 0, flow.actions.length, version, out);
    return;
  }
  if (version === 1) {
    writeMatch(out, flow.match, version);
    out.u64(cookie10);
    out.u16(flow.command | (flow.tableId << 8));
    out.u16(flow.idleTimeout);
    out.u16(flow.hardTimeout);
    out.u16(flow.priority);
    out.u32(flow.bufferId);
    writePort(out, flow.outPort, 1);
    out.u16(flow.flags & 3);
    encodeActions(flow.actions, 0, flow.actions.length, version, out);
    return;
  }
  out.u64(adds ? flow.newCookie : flow.cookie);
  out.u64(adds ? 0n : flow.cookieMask);
  out.u8(flow.tableId);
  out.u8(flow.command);
  out.u16(flow.idleTimeout);
  out.u16(flow.hardTimeout);
  out.u16(flow.priority);
  out.u32(flow.bufferId);
  out.u32(flow.outPort);
  out.u32(flow.outGroup);
  out.u16(flow.flags & (version === 2 ? 3 : version === 3 ? 7 : 0x1f));
  out.u16(version >= 5 ? flow.importance : 0);
  writeMatch(out, flow.match, version);
  encodeInstructions(flow.actions, 0, flow.actions.length, version, out);
}
