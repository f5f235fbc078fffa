import { ByteWriter, OpenFlowError } from "../openflow/index.js";
import { type FieldPlan, plans } from "../openflow/key-match.js";
import type { MessageBody, Opaque } from "../openflow/message.js";
import { fieldHeader, writeFieldHeader } from "../openflow/oxm.js";
import { visibleTables } from "./flow-mods.js";

/** What tables can do, as OFPMP_TABLE_FEATURES tells it.  All tables can do the same, except that a table leads only to
 *  later ones.  The answer is some hundred kilobytes, and is made as it is sent. */

/** OFPTFPT. */
const property = {
  instructions: 0,
  nextTables: 2,
  writeActions: 4,
  applyActions: 6,
  match: 8,
  wildcards: 10,
  writeSetField: 12,
  applySetField: 14,
} as const;
/** OFPIT. */
const instruction = {
  gotoTable: 1,
  writeMetadata: 2,
  writeActions: 3,
  applyActions: 4,
  clearActions: 5,
  meter: 6,
} as const;
const everyInstruction = [
  instruction.writeMetadata,
  instruction.writeActions,
  instruction.applyActions,
  instruction.clearActions,
  instruction.meter,
];
/** OFPAT: output, push_vlan, pop_vlan, set_queue, set_nw_ttl, dec_nw_ttl, set_field. */
const actionTypes = [0, 17, 18, 21, 23, 24, 25];

const all64 = 0xffffffffffffffffn;
const maxEntries = 1_000_000;
const nameSize = 32;
const replySizeMax = 60_000;

/** Fields that this version can name; the names of OpenFlow 1.0 and of single views of them come without. */
function wireFields(version: number): readonly FieldPlan[] {
  return plans.filter((plan) => fieldHeader(plan.id, version) !== undefined);
}

/** Appends a property; what `write` puts in follows its header, and padding to 8 bytes follows that. */
function put(out: ByteWriter, type: number, write: () => void): void {
  const begin = out.position;
  out.u16(type);
  out.u16(0);
  write();
  out.view.setUint16(begin + 2, out.position - begin);
  out.align(8, begin);
}

function putEntry(out: ByteWriter, table: number, version: number, fields: readonly FieldPlan[]): void {
  const begin = out.position;
  out.u16(0);
  out.u8(table);
  out.zeros(5);
  out.zeros(nameSize);
  out.u64(all64);
  out.u64(all64);
  out.u32(0);
  out.u32(maxEntries);
  const last = table === visibleTables - 1;
  put(out, property.instructions, () => {
    for (const kind of last ? everyInstruction : [instruction.gotoTable, ...everyInstruction]) putIds(out, kind);
  });
  put(out, property.nextTables, () => {
    for (let next = table + 1; next < visibleTables; next++) out.u8(next);
  });
  for (const type of [property.writeActions, property.applyActions]) {
    put(out, type, () => {
      for (const action of actionTypes) putIds(out, action);
    });
  }
  put(out, property.match, () => {
    for (const field of fields) writeFieldHeader(out, field, version, field.maskable);
  });
  put(out, property.wildcards, () => {
    for (const field of fields) writeFieldHeader(out, field, version);
  });
  const writable = fields.filter((field) => field.writable);
  for (const type of [property.writeSetField, property.applySetField]) {
    put(out, type, () => {
      for (const field of writable) writeFieldHeader(out, field, version);
    });
  }
  out.view.setUint16(begin, out.position - begin);
}

function putIds(out: ByteWriter, type: number): void {
  const headerSize = 4;
  out.u16(type);
  out.u16(headerSize);
}

/** The answer to a request without a body.  One with a body would change tables, which cannot be changed. */
export function tableFeatures(message: Opaque, version: number): Iterable<MessageBody> {
  if (message.body.length !== 0) throw new OpenFlowError("OFPTFFC_EPERM", "table features cannot be changed");
  return replies(version);
}

function* replies(version: number): Generator<MessageBody> {
  const fields = wireFields(version);
  const out = new ByteWriter(64 * 1024);
  for (let table = 0; table < visibleTables; table++) {
    const before = out.position;
    putEntry(out, table, version, fields);
    if (out.position > replySizeMax) {
      yield { type: "table_features_reply", more: true, body: out.bytes.slice(0, before) };
      out.bytes.copyWithin(0, before, out.position);
      out.position -= before;
    }
  }
  yield { type: "table_features_reply", more: false, body: out.finish() };
}
