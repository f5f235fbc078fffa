import { type FieldType, type RecordRow, records } from "../datapath/tables/records.js";
import { datapathOpcodes, type OpcodeRow, opcodes } from "./tables/opcodes.js";

/** Where the members of ABI records lie, computed from their rows. */
export interface Member {
  readonly name: string;
  readonly type: FieldType;
  readonly offset: number;
  readonly size: number;
}

export interface Layout {
  readonly name: string;
  readonly members: readonly Member[];
  /** Size of the fixed part, a multiple of 8. */
  readonly size: number;
}

function typeSize(type: FieldType): { size: number; align: number } {
  if (type.startsWith("bytes")) return { size: Number(type.slice(5)), align: 1 };
  if (type.startsWith("u64x")) return { size: 8 * Number(type.slice(4)), align: 8 };
  const size = Number(type.slice(1)) / 8;
  return { size, align: size };
}

function place(row: RecordRow | OpcodeRow): Layout {
  const members: Member[] = [];
  let offset = 0;
  for (const [name, type] of row.fields) {
    const { size, align } = typeSize(type);
    if (offset % align !== 0) throw new Error(`${row.name}.${name} is not at its natural alignment`);
    members.push({ name, type, offset, size });
    offset += size;
  }
  if (offset % 8 !== 0) throw new Error(`the fixed part of ${row.name} is not a multiple of 8 bytes`);
  return { name: row.name, members, size: offset };
}

const recordLayouts = new Map(records.map((row) => [row.name, place(row)]));
/** By opcode number. */
export const actionLayouts: ReadonlyMap<number, Layout> = new Map(opcodes.map((row) => [row.opcode, place(row)]));
export const datapathLayouts: ReadonlyMap<number, Layout> = new Map(
  datapathOpcodes.map((row) => [row.opcode, place(row)]),
);
const opcodeNumbers = new Map(opcodes.map((row) => [row.name, row.opcode]));

export function recordLayout(name: string): Layout {
  const layout = recordLayouts.get(name);
  if (layout === undefined) throw new Error(`the ABI has no record ${name}`);
  return layout;
}

/** Byte offset of a member of a record. */
export function recordOffset(record: string, member: string): number {
  return memberOffset(recordLayout(record), member);
}

export function memberOffset(layout: Layout, member: string): number {
  const found = layout.members.find((one) => one.name === member);
  if (found === undefined) throw new Error(`${layout.name} has no member ${member}`);
  return found.offset;
}

/** Opcode number of an action's name in the opcode table. */
export function opcodeOf(name: string): number {
  const number = opcodeNumbers.get(name);
  if (number === undefined) throw new Error(`the ABI has no opcode ${name}`);
  return number;
}

export function actionLayout(opcode: number): Layout {
  const layout = actionLayouts.get(opcode);
  if (layout === undefined) throw new Error(`the ABI has no opcode ${opcode}`);
  return layout;
}

/** One action record inside a sequence. */
export interface ActionAt {
  readonly opcode: number;
  readonly start: number;
  readonly size: number;
}

/** The records of a sequence in [start, end).  Sequences are made by our own codec, so a malformed one is our fault. */
export function* eachAction(bytes: Uint8Array, start = 0, end = bytes.length): Generator<ActionAt> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = start; at < end; ) {
    const opcode = view.getUint16(at, true);
    const size = view.getUint16(at + 2, true);
    if (size < 8 || size % 8 !== 0 || at + size > end) throw new Error(`action record at ${at} has size ${size}`);
    yield { opcode, start: at, size };
    at += size;
  }
}
