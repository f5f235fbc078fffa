import { actionLayout, memberOffset, opcodeOf } from "./abi.js";
import { decap, encap } from "./action-encap.js";
import {
  beginAction,
  beginForm,
  controllerAt,
  controllerOpcode,
  endAction,
  endForm,
  type RecordAt,
} from "./action-record.js";
import { type ByteWriter, equalBytes } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import { type FieldPlan, plans } from "./key-match.js";
import { checkMasked, fieldHeader, type OxmEntry, readFieldHeader, readOxmHeader, writeFieldHeader } from "./oxm.js";
import type { SpecialCodec, SpecialDecode } from "./special-codec.js";
import { tlvIndex } from "./tlv-map.js";

/** Wire forms with a shape of their own.  A form whose name is not here is known only so far as to be refused. */

const badLength = (context: SpecialDecode): OpenFlowError =>
  new OpenFlowError(
    "OFPBAC_BAD_LEN",
    `action ${context.codec.row.name} has a length of ${context.end - context.start} bytes, which it cannot have`,
  );

function needZero(context: SpecialDecode, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    if (context.bytes[at] !== 0)
      throw new OpenFlowError("NXBRC_MUST_BE_ZERO", `reserved bytes of action ${context.codec.row.name} are not zero`);
  }
}

const at = {
  setField: offsets("set_field", ["field", "form", "ofs", "n_bits", "value_size"]),
  decTtl: offsets("dec_ttl", ["n_controllers", "form"]),
  note: offsets("note", ["note_size"]),
  clone: offsets("clone", ["actions_size"]),
  conjunction: offsets("conjunction", ["clause", "n_clauses", "id"]),
  deleteField: offsets("delete_field", ["field"]),
  check: offsets("check_pkt_larger", ["pkt_len", "field", "ofs", "n_bits"]),
};

function offsets<Name extends string>(opcode: string, names: readonly Name[]): Readonly<Record<Name, number>> {
  const layout = actionLayout(opcodeOf(opcode));
  return Object.fromEntries(names.map((name) => [name, memberOffset(layout, name)])) as Record<Name, number>;
}

const setFieldOpcode = opcodeOf("set_field");
export const setFieldAt = at.setField;
/** Where the value begins in a set_field record. */
export const setFieldValueAt = actionLayout(setFieldOpcode).size;

/** Appends a set_field record with `plan.bytes` bytes of value at `valueAt` and of mask at `maskAt` (-1: every bit of the field). */
export function putSetField(
  out: ByteWriter,
  plan: FieldPlan,
  source: Uint8Array,
  valueAt: number,
  maskAt: number,
  form = 0,
  ofs = 0,
  nBits = plan.bits,
): void {
  const begin = beginAction(out, setFieldOpcode);
  out.view.setUint16(begin + at.setField.field, plan.id, true);
  out.view.setUint8(begin + at.setField.form, form);
  out.view.setUint16(begin + at.setField.ofs, ofs, true);
  out.view.setUint16(begin + at.setField.n_bits, nBits, true);
  out.view.setUint32(begin + at.setField.value_size, plan.bytes, true);
  out.put(source, valueAt, valueAt + plan.bytes);
  out.align(8, begin);
  if (maskAt >= 0) out.put(source, maskAt, maskAt + plan.bytes);
  else out.put(fullMask(plan));
  endAction(out, begin);
}

/** Every bit of the field, as bytes of its value. */
export function fullMask(plan: FieldPlan): Uint8Array {
  return plan.name === "nw_tos" ? Uint8Array.of(0xfc) : bitMask(plan.bytes, 0, plan.bits);
}

/** Whether a mask names every bit of the field. */
export function isFullMask(plan: FieldPlan, mask: Uint8Array): boolean {
  return equalBytes(mask, fullMask(plan));
}

/** `bytes` bytes with `nBits` ones from bit `ofs` up. */
export function bitMask(bytes: number, ofs: number, nBits: number): Uint8Array {
  const mask = new Uint8Array(bytes);
  for (let bit = ofs; bit < ofs + nBits; bit++) {
    const index = bytes - 1 - (bit >> 3);
    mask[index] = (mask[index] as number) | (1 << (bit & 7));
  }
  return mask;
}

export interface SetField {
  readonly plan: FieldPlan;
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
  readonly form: number;
  readonly ofs: number;
  readonly nBits: number;
}

/** What a record's form says of a load, and of a set_field with a mask. */
const loadForm = 1;

/** Field, value and mask of a set_field record. */
export function readSetField(record: RecordAt): SetField {
  const { bytes, view, start } = record;
  const plan = plans[view.getUint16(start + at.setField.field, true)];
  if (plan === undefined) throw new Error("a set_field record names a field that is not in the field table");
  const size = view.getUint32(start + at.setField.value_size, true);
  const valueAt = start + setFieldValueAt;
  const maskAt = valueAt + ((size + 7) & ~7);
  return {
    plan,
    value: bytes.subarray(valueAt, valueAt + size),
    mask: bytes.subarray(maskAt, maskAt + size),
    form: view.getUint8(start + at.setField.form),
    ofs: view.getUint16(start + at.setField.ofs, true),
    nBits: view.getUint16(start + at.setField.n_bits, true),
  };
}

/** Runs of ones in a mask, lowest first. */
export function maskRuns(mask: Uint8Array): { ofs: number; nBits: number }[] {
  const runs: { ofs: number; nBits: number }[] = [];
  const total = 8 * mask.length;
  const bit = (index: number): boolean => (((mask[mask.length - 1 - (index >> 3)] as number) >> (index & 7)) & 1) === 1;
  for (let from = 0; from < total; ) {
    if (!bit(from)) {
      from += 1;
      continue;
    }
    let to = from;
    while (to < total && bit(to)) to += 1;
    runs.push({ ofs: from, nBits: to - from });
    from = to;
  }
  return runs;
}

/** Bits [ofs, ofs + nBits) of a value as a number. */
export function bitsOf(value: Uint8Array, ofs: number, nBits: number): bigint {
  let number = 0n;
  for (const byte of value) number = (number << 8n) | BigInt(byte);
  return (number >> BigInt(ofs)) & ((1n << BigInt(nBits)) - 1n);
}

/** `value` shifted left by `ofs`, in `bytes` bytes. */
export function placeBits(value: bigint, ofs: number, bytes: number): Uint8Array {
  const placed = new Uint8Array(bytes);
  let rest = value << BigInt(ofs);
  for (let index = bytes - 1; index >= 0; index--, rest >>= 8n) placed[index] = Number(rest & 0xffn);
  return placed;
}

/** The value of a Geneve option may be shorter than such a field can be: its last bytes count. */
function decodeTlvValue({ bytes, out }: SpecialDecode, entry: OxmEntry, plan: FieldPlan): void {
  const size = entry.hasMask ? entry.size >> 1 : entry.size;
  if (size > plan.bytes) throw new OpenFlowError("OFPBAC_BAD_SET_LEN", `${plan.name} cannot have ${size} bytes`);
  const both = new Uint8Array(2 * plan.bytes);
  both.set(bytes.subarray(entry.valueAt, entry.valueAt + size), plan.bytes - size);
  if (entry.hasMask) both.set(bytes.subarray(entry.valueAt + size, entry.valueAt + 2 * size), 2 * plan.bytes - size);
  putSetField(out, plan, both, 0, entry.hasMask ? plan.bytes : -1);
}

/** Writes the header and the value of a set_field, an option's as short as it can be.  A load says which bits it sets,
 *  even if they are all that there are, where the field does not fill its bytes. */
function putOxmValue(out: ByteWriter, version: number, { plan, value, mask, form }: SetField): void {
  const exact = isFullMask(plan, mask) && (form !== loadForm || plan.bits === 8 * plan.bytes);
  let skip = 0;
  if (tlvIndex(plan) >= 0) {
    while (skip < plan.bytes && value[skip] === 0 && (exact || mask[skip] === 0)) skip += 1;
    if (skip === plan.bytes) skip -= 1;
  }
  writeFieldHeader(out, plan, version, !exact, plan.bytes - skip);
  out.put(value, skip, plan.bytes);
  if (!exact) out.put(mask, skip, plan.bytes);
}

function decodeOxmValue(context: SpecialDecode, from: number, masked: boolean): void {
  const { bytes, end, out } = context;
  if (from + 4 + (bytes[from + 3] ?? 0) > end)
    throw new OpenFlowError("OFPBAC_BAD_SET_LEN", "the value of set_field runs beyond its end");
  const entry = readOxmHeader(bytes, from, end);
  if (entry.hasMask) checkMasked(bytes, entry.valueAt, entry.size >> 1);
  const { plan } = entry;
  if (plan === undefined) throw new OpenFlowError("OFPBAC_BAD_SET_LEN", "set_field names no known field");
  if (tlvIndex(plan) >= 0) {
    decodeTlvValue(context, entry, plan);
    return;
  }
  if (entry.size !== plan.bytes * (entry.hasMask ? 2 : 1))
    throw new OpenFlowError("OFPBAC_BAD_SET_LEN", `set_field of ${plan.name} has the wrong length`);
  if (entry.hasMask && !masked)
    throw new OpenFlowError(
      "OFPBAC_BAD_SET_MASK",
      `set_field of ${plan.name} has a mask, which this version does not allow`,
    );
  // OpenFlow says so of OXM_OF_IN_PORT, which load and move may write all the same.
  if (!plan.writable || plan.name === "in_port_oxm") {
    throw new OpenFlowError("OFPBAC_BAD_SET_ARGUMENT", `${plan.name} is read-only`);
  }
  const maskAt = entry.hasMask ? entry.valueAt + plan.bytes : -1;
  checkSetValue(plan, bytes, entry.valueAt);
  for (let pad = entry.next; pad < end; pad++) {
    if (bytes[pad] !== 0) throw new OpenFlowError("OFPBAC_BAD_SET_ARGUMENT", "padding of set_field is not zero");
  }
  // A mask of all bits is not the same as none where the field does not fill its bytes.
  const isLoad =
    entry.hasMask && plan.bits < 8 * plan.bytes && isFullMask(plan, bytes.subarray(maskAt, maskAt + plan.bytes));
  putSetField(out, plan, bytes, entry.valueAt, maskAt, isLoad ? loadForm : 0);
}

/** Refuses a value that the field's bits cannot hold, or that it may not have. */
export function checkSetValue(plan: FieldPlan, bytes: Uint8Array, valueAt: number): void {
  if (plan.bytes > 4) return;
  let value = 0;
  for (let index = 0; index < plan.bytes; index++) value = value * 256 + (bytes[valueAt + index] as number);
  const wrong =
    value >= 2 ** plan.bits ||
    (plan.name === "vlan_vid" && (value & 0x1000) === 0) ||
    (plan.name === "nw_tos" && (value & 3) !== 0) ||
    (plan.name === "in_port_oxm" && value >= 0xff00 && value < 0xfffffff7);
  if (wrong)
    throw new OpenFlowError("OFPBAC_BAD_SET_ARGUMENT", `${plan.name} cannot be set to ${value}`, {
      field: plan.name,
      value,
    });
}

const setField: SpecialCodec = {
  decode(context) {
    if (context.end - context.start < 8) throw badLength(context);
    decodeOxmValue(context, context.start + 4, context.version >= 6);
  },
  encode({ codec, record, version, out }) {
    const set = readSetField(record);
    const { plan } = set;
    const exact = isFullMask(plan, set.mask);
    if (version < 6 && (set.form === loadForm || !exact || set.nBits !== plan.bits)) return false;
    const header = fieldHeader(plan.id, version);
    if (header === undefined) return false;
    const begin = beginForm(out, codec.form);
    putOxmValue(out, version, set);
    endForm(out, begin);
    return true;
  },
};

const regLoad: SpecialCodec = {
  decode(context) {
    const { bytes, view, start, end, out } = context;
    if (end - start !== 24) throw badLength(context);
    const both = view.getUint16(start + 10);
    const ofs = both >> 6;
    const nBits = (both & 63) + 1;
    const { plan, next } = readFieldHeader(bytes, start + 12, end, "OFPBAC_BAD_SET_TYPE");
    if (next !== start + 16) throw badLength(context);
    checkDestination(plan, ofs, nBits);
    const value = view.getBigUint64(start + 16);
    if (nBits < 64 && value >> BigInt(nBits) !== 0n)
      throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", `load of ${value} does not fit ${nBits} bits`);
    const source = new Uint8Array(2 * plan.bytes);
    source.set(placeBits(value, ofs, plan.bytes));
    source.set(bitMask(plan.bytes, ofs, nBits), plan.bytes);
    putSetField(out, plan, source, 0, plan.bytes, 1, ofs, nBits);
  },
  encode({ codec, record, out }) {
    const { plan, value, mask } = readSetField(record);
    const header = fieldHeader(plan.id, 1);
    if (header === undefined || header.vendor !== 0) return false;
    for (const run of maskRuns(mask)) {
      for (let ofs = run.ofs; ofs < run.ofs + run.nBits; ofs += 64) {
        const nBits = Math.min(64, run.ofs + run.nBits - ofs);
        const begin = beginForm(out, codec.form);
        out.u16((ofs << 6) | (nBits - 1));
        writeFieldHeader(out, plan, 1);
        out.u64(bitsOf(value, ofs, nBits));
        endForm(out, begin);
      }
    }
    return true;
  },
};

const regLoad2: SpecialCodec = {
  decode(context) {
    // The field takes the place of the header's padding.
    if (context.end - context.start < 16) throw badLength(context);
    decodeOxmValue(context, context.start + 10, true);
  },
  encode({ codec, record, out }) {
    const begin = beginForm(out, codec.form);
    putOxmValue(out, 1, readSetField(record));
    endForm(out, begin);
    return true;
  },
};

/** Refuses to write to bits that the field does not have, or may not be written. */
export function checkDestination(plan: FieldPlan, ofs: number, nBits: number): void {
  checkSource(plan, ofs, nBits);
  if (!plan.writable) throw new OpenFlowError("OFPBAC_BAD_SET_ARGUMENT", `${plan.name} is read-only`);
}

export function checkSource(plan: FieldPlan, ofs: number, nBits: number): void {
  if (nBits === 0 || ofs + nBits > plan.bits) {
    throw new OpenFlowError(
      "OFPBAC_BAD_SET_LEN",
      `${plan.name} has ${plan.bits} bits, not bits ${ofs} to ${ofs + nBits - 1}`,
    );
  }
}

const decTtlIds: SpecialCodec = {
  decode(context) {
    const { view, start, end, out, codec } = context;
    if (end - start < 16) throw badLength(context);
    const count = view.getUint16(start + 10);
    needZero(context, start + 12, start + 16);
    if (count === 0 || start + 16 + 2 * count > end) throw badLength(context);
    const begin = beginAction(out, codec.opcode);
    out.view.setUint16(begin + at.decTtl.n_controllers, count, true);
    out.view.setUint16(begin + at.decTtl.form, 1, true);
    for (let index = 0; index < count; index++) out.u16Le(view.getUint16(start + 16 + 2 * index));
    endAction(out, begin);
  },
  encode({ codec, record, out }) {
    const { view, start } = record;
    const count = view.getUint16(start + at.decTtl.n_controllers, true);
    const begin = beginForm(out, codec.form);
    out.u16(count);
    out.zeros(4);
    for (let index = 0; index < count; index++) out.u16(view.getUint16(start + 8 + 2 * index, true));
    endForm(out, begin);
    return true;
  },
};

const note: SpecialCodec = {
  decode({ bytes, start, end, out, codec }) {
    const begin = beginAction(out, codec.opcode);
    out.view.setUint32(begin + at.note.note_size, end - start - 10, true);
    out.put(bytes, start + 10, end);
    endAction(out, begin);
  },
  encode({ codec, record, out }) {
    const size = record.view.getUint32(record.start + at.note.note_size, true);
    const begin = beginForm(out, codec.form);
    out.put(record.bytes, record.start + 8, record.start + 8 + size);
    endForm(out, begin);
    return true;
  },
};

function nested(headerSize: number): SpecialCodec {
  return {
    decode({ bytes, view, start, end, version, out, codec, decodeActions }) {
      const begin = beginAction(out, codec.opcode);
      const from = out.position;
      decodeActions(bytes, view, start + headerSize, end, version, out);
      out.view.setUint32(begin + at.clone.actions_size, out.position - from, true);
      endAction(out, begin);
    },
    encode({ codec, record, version, out, encodeActions }) {
      const size = record.view.getUint32(record.start + at.clone.actions_size, true);
      // An empty write_actions has no effect, and is not written.
      if (size === 0 && codec.form.space === "instruction") return true;
      const begin = beginForm(out, codec.form);
      out.zeros(headerSize - (codec.form.space === "nicira" ? 10 : 4));
      encodeActions(record.bytes, record.start + 8, record.start + 8 + size, version, out);
      endForm(out, begin);
      return true;
    },
  };
}

const conjunction: SpecialCodec = {
  decode(context) {
    const { bytes, view, start, end, out, codec } = context;
    if (end - start !== 16) throw badLength(context);
    const clause = bytes[start + 10] as number;
    const count = bytes[start + 11] as number;
    if (count < 2 || count > 64 || clause >= count)
      throw new OpenFlowError("NXBAC_BAD_CONJUNCTION", `a conjunction of ${count} clauses has no clause ${clause}`);
    const begin = beginAction(out, codec.opcode);
    out.view.setUint16(begin + at.conjunction.clause, clause, true);
    out.view.setUint16(begin + at.conjunction.n_clauses, count, true);
    out.view.setUint32(begin + at.conjunction.id, view.getUint32(start + 12), true);
  },
  encode({ codec, record, out }) {
    const { view, start } = record;
    const begin = beginForm(out, codec.form);
    out.u8(view.getUint16(start + at.conjunction.clause, true));
    out.u8(view.getUint16(start + at.conjunction.n_clauses, true));
    out.u32(view.getUint32(start + at.conjunction.id, true));
    endForm(out, begin);
    return true;
  },
};

/** Properties of NXAST_CONTROLLER2. */
const property = { maxLen: 0, controllerId: 1, reason: 2, userdata: 3, pause: 4, meter: 5 };

/** Properties of one number of 16 or 32 bits have 8 bytes, the number first; the reason has 5. */
const controller2: SpecialCodec = {
  decode(context) {
    const { bytes, view, start, end, out } = context;
    needZero(context, start + 10, start + 16);
    const begin = beginAction(out, controllerOpcode);
    out.view.setUint8(begin + controllerAt.form, 2);
    out.view.setUint8(begin + controllerAt.reason, 1);
    out.view.setUint16(begin + controllerAt.maxLen, 0xffff, true);
    out.view.setUint32(begin + controllerAt.meter, 0xffffffff, true);
    for (let from = start + 16; from < end; ) {
      if (end - from < 4) throw new OpenFlowError("OFPBPC_BAD_LEN", "a property of controller is cut short");
      const type = view.getUint16(from);
      const size = view.getUint16(from + 2);
      if (size < 4 || from + size > end)
        throw new OpenFlowError("OFPBPC_BAD_LEN", `a property of controller has length ${size}`);
      const want = (wanted: number): void => {
        if (size !== wanted)
          throw new OpenFlowError("OFPBPC_BAD_LEN", `property ${type} of controller has length ${size}`);
      };
      switch (type) {
        case property.maxLen:
          want(8);
          out.view.setUint16(begin + controllerAt.maxLen, view.getUint16(from + 4), true);
          break;
        case property.controllerId:
          want(8);
          out.view.setUint16(begin + controllerAt.id, view.getUint16(from + 4), true);
          break;
        case property.reason:
          want(5);
          out.view.setUint8(begin + controllerAt.reason, bytes[from + 4] as number);
          break;
        case property.userdata:
          out.position = begin + actionLayout(controllerOpcode).size;
          out.view.setUint32(begin + controllerAt.userdataSize, size - 4, true);
          out.put(bytes, from + 4, from + size);
          break;
        case property.pause:
          want(4);
          out.view.setUint8(begin + controllerAt.pause, 1);
          break;
        case property.meter:
          want(8);
          out.view.setUint32(begin + controllerAt.meter, view.getUint32(from + 4), true);
          break;
        default:
          throw new OpenFlowError("OFPBPC_BAD_TYPE", `controller has no property ${type}`);
      }
      from += (size + 7) & ~7;
    }
    endAction(out, begin);
  },
  encode({ codec, record, out }) {
    const { bytes, view, start } = record;
    const begin = beginForm(out, codec.form);
    out.zeros(6);
    const put = (type: number, write: () => void): void => {
      const from = out.position;
      out.u16(type);
      out.u16(0);
      write();
      out.view.setUint16(from + 2, out.position - from);
      out.align(8, begin);
    };
    const maxLen = view.getUint16(start + controllerAt.maxLen, true);
    if (maxLen !== 0xffff) put(property.maxLen, () => out.u32(maxLen * 0x10000));
    const id = view.getUint16(start + controllerAt.id, true);
    if (id !== 0) put(property.controllerId, () => out.u32(id * 0x10000));
    const reason = view.getUint8(start + controllerAt.reason);
    if (reason !== 1) put(property.reason, () => out.u8(reason));
    const userdata = view.getUint32(start + controllerAt.userdataSize, true);
    const from = start + actionLayout(controllerOpcode).size;
    if (userdata > 0) put(property.userdata, () => out.put(bytes, from, from + userdata));
    if (view.getUint8(start + controllerAt.pause) !== 0) put(property.pause, () => undefined);
    const meter = view.getUint32(start + controllerAt.meter, true);
    if (meter !== 0xffffffff) put(property.meter, () => out.u32(meter));
    endForm(out, begin);
    return true;
  },
};

const checkPktLarger: SpecialCodec = {
  decode(context) {
    const { bytes, view, start, end, out, codec } = context;
    const begin = beginAction(out, codec.opcode);
    if (end - start < 18) throw badLength(context);
    const { plan, next } = readFieldHeader(bytes, start + 14, end);
    const ofs = view.getUint16(start + 12);
    needZero(context, next, end);
    checkDestination(plan, ofs, 1);
    out.view.setUint16(begin + at.check.pkt_len, view.getUint16(start + 10), true);
    out.view.setUint16(begin + at.check.field, plan.id, true);
    out.view.setUint16(begin + at.check.ofs, ofs, true);
    out.view.setUint16(begin + at.check.n_bits, 1, true);
  },
  encode({ codec, record, out }) {
    const { view, start } = record;
    const plan = plans[view.getUint16(start + at.check.field, true)] as FieldPlan;
    const begin = beginForm(out, codec.form);
    out.u16(view.getUint16(start + at.check.pkt_len, true));
    out.u16(view.getUint16(start + at.check.ofs, true));
    writeFieldHeader(out, plan, 1);
    endForm(out, begin);
    return true;
  },
};

/** Whatever the field's header takes. */
const deleteFieldSize = 24;

const deleteField: SpecialCodec = {
  decode(context) {
    const { bytes, start, end, out, codec } = context;
    if (end - start !== deleteFieldSize) throw badLength(context);
    const begin = beginAction(out, codec.opcode);
    const { plan, next } = readFieldHeader(bytes, start + 10, end, "OFPBAC_BAD_SET_TYPE");
    needZero(context, next, end);
    if (tlvIndex(plan) < 0) throw new OpenFlowError("OFPBAC_BAD_SET_ARGUMENT", `${plan.name} cannot be deleted`);
    out.view.setUint16(begin + at.deleteField.field, plan.id, true);
  },
  encode({ codec, record, out }) {
    const plan = plans[record.view.getUint16(record.start + at.deleteField.field, true)] as FieldPlan;
    const begin = beginForm(out, codec.form);
    const from = out.position;
    writeFieldHeader(out, plan, 1);
    out.zeros(deleteFieldSize - 10 - (out.position - from));
    endForm(out, begin);
    return true;
  },
};

export const specialCodecs: Readonly<Record<string, SpecialCodec>> = {
  set_field: setField,
  reg_load: regLoad,
  reg_load2: regLoad2,
  dec_ttl_ids: decTtlIds,
  note,
  clone: nested(16),
  write_actions: nested(8),
  conjunction,
  controller2,
  check_pkt_larger: checkPktLarger,
  encap,
  decap,
  delete_field: deleteField,
};
