import { ByteWriter, OpenFlowError } from "../openflow/index.js";
import { type FieldPlan, plans } from "../openflow/key-match.js";
import type { MessageBody, Opaque } from "../openflow/message.js";
import { fieldHeader, writeFieldHeader } from "../openflow/oxm.js";
import { tableActions } from "../openflow/table-actions.js";
import { internalTable, visibleTables } from "./flow-mods.js";
import type { Ofproto } from "./ofproto.js";
import type { Requester } from "./requester.js";
import { maxEntries, mayName, named, nameRank, type TableSettings } from "./table-settings.js";

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

const all64 = 0xffffffffffffffffn;
/** OFPTC of OpenFlow 1.4.  Open vSwitch has eviction and vacancy events, and names neither here. */
const capabilities = 0;
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

function putEntry(
  out: ByteWriter,
  table: number,
  settings: TableSettings,
  version: number,
  fields: readonly FieldPlan[],
): void {
  const begin = out.position;
  out.u16(0);
  out.u8(table);
  out.zeros(5);
  out.text(settings.name, nameSize);
  out.u64(all64);
  out.u64(all64);
  out.u32(capabilities);
  out.u32(maxEntries(settings));
  const last = table === visibleTables - 1;
  put(out, property.instructions, () => {
    for (const kind of last ? everyInstruction : [instruction.gotoTable, ...everyInstruction]) {
      // Metering is an action in 1.5.
      if (kind !== instruction.meter || version < 6) putIds(out, kind);
    }
  });
  put(out, property.nextTables, () => {
    for (let next = table + 1; next < visibleTables; next++) out.u8(next);
  });
  for (const type of [property.writeActions, property.applyActions]) {
    put(out, type, () => {
      for (const action of tableActions) putIds(out, action);
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

/** One table of a request that changes features. */
interface WantedTable {
  readonly id: number;
  readonly name: string;
  readonly maxEntries: number;
  /** By property type: what it lists, four bytes each. */
  readonly properties: ReadonlyMap<number, ReadonlySet<string>>;
}

/** OFPTFC of OpenFlow 1.5. */
const featuresCommand = { replace: 0, modify: 1, enable: 2, disable: 3 } as const;
const entrySize = 64;
const allTables = 255;

function readProperties(bytes: Uint8Array): Map<number, ReadonlySet<string>> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const properties = new Map<number, ReadonlySet<string>>();
  for (let at = 0; at < bytes.length; ) {
    const size = at + 4 <= bytes.length ? view.getUint16(at + 2) : 0;
    const padded = (size + 7) & ~7;
    if (size < 4 || at + padded > bytes.length)
      throw new OpenFlowError("OFPBPC_BAD_LEN", "a property of table features has a length that cannot be");
    const type = view.getUint16(at);
    if (properties.has(type)) throw new OpenFlowError("OFPTFFC_BAD_FEATURES", `property ${type} comes twice`);
    const unit = (type | 1) === (property.nextTables | 1) ? 1 : 4;
    const items = new Set<string>();
    for (let item = at + 4; item + unit <= at + size; item += unit)
      items.add(Buffer.from(bytes.subarray(item, item + unit)).toString("hex"));
    properties.set(type, items);
    at += padded;
  }
  return properties;
}

/** The tables of a request, and what is to be done with them. */
function readTables(body: Uint8Array, version: number): { readonly command: number; readonly tables: WantedTable[] } {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const tables: WantedTable[] = [];
  let command: number = featuresCommand.replace;
  for (let at = 0; at < body.length; ) {
    const size = body.length - at >= entrySize ? view.getUint16(at) : 0;
    if (size < entrySize || size % 8 !== 0 || at + size > body.length)
      throw new OpenFlowError("OFPBPC_BAD_LEN", "table features have a length that cannot be");
    const id = view.getUint8(at + 2);
    const asked = version >= 6 ? view.getUint8(at + 3) : featuresCommand.replace;
    if (asked > featuresCommand.disable) throw new OpenFlowError("OFPTFFC_BAD_COMMAND", `there is no command ${asked}`);
    if (tables.length === 0) command = asked;
    if (id === allTables) throw new OpenFlowError("OFPTFFC_BAD_TABLE", "table features are of one table each");
    if (tables.some((table) => table.id === id)) throw new OpenFlowError("NXTFFC_DUP_TABLE", `table ${id} comes twice`);
    const name = body.subarray(at + 8, at + 8 + nameSize);
    const end = name.indexOf(0);
    tables.push({
      id,
      name: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)),
      maxEntries: view.getUint32(at + 60),
      properties: readProperties(body.subarray(at + entrySize, at + size)),
    });
    at += size;
  }
  return { command, tables };
}

/** Names tables as a controller wants it; nothing else of them can be changed. */
function changeTables(ofproto: Ofproto, body: Uint8Array, version: number): void {
  const { command, tables } = readTables(body, version);
  const refuse = (sentence: string): OpenFlowError => new OpenFlowError("OFPTFFC_EPERM", sentence);
  if (tables.some(({ id }) => id === internalTable)) throw refuse("table 254 belongs to the switch");
  if (command === featuresCommand.enable || command === featuresCommand.disable)
    throw refuse("tables cannot be switched on and off");
  if (command === featuresCommand.replace && tables.length !== visibleTables)
    throw refuse("the number of tables cannot be changed");
  const fields = wireFields(version);
  const out = new ByteWriter(4096);
  for (const table of tables) {
    const settings = ofproto.table(table.id);
    if (table.maxEntries !== maxEntries(settings)) throw refuse("the number of entries of a table cannot be changed");
    if (!mayName(settings, table.name, nameRank.controller)) throw refuse(`the database has named table ${table.id}`);
    out.position = 0;
    putEntry(out, table.id, settings, version, fields);
    const own = readProperties(out.bytes.subarray(entrySize, out.position));
    for (const [type, items] of table.properties) {
      const can = own.get(type) ?? own.get(type & ~1);
      if (items.size > 0 && (can === undefined || [...items].some((item) => !can.has(item))))
        throw refuse(`table ${table.id} cannot do what is asked of it`);
    }
  }
  for (const { id, name } of tables) ofproto.changeTable(id, named(ofproto.table(id), name, nameRank.controller));
}

/** Answers with what tables can do, after changing what the request's body wants changed. */
export function tableFeatures(ofproto: Ofproto, message: Opaque, requester: Requester): Iterable<MessageBody> {
  if (message.body.length !== 0) changeTables(ofproto, message.body, requester.version);
  return replies(ofproto, requester.version);
}

function* replies(ofproto: Ofproto, version: number): Generator<MessageBody> {
  const fields = wireFields(version);
  const out = new ByteWriter(64 * 1024);
  for (let table = 0; table < visibleTables; table++) {
    const before = out.position;
    putEntry(out, table, ofproto.table(table), version, fields);
    if (out.position > replySizeMax) {
      yield { type: "table_features_reply", more: true, body: out.bytes.slice(0, before) };
      out.bytes.copyWithin(0, before, out.position);
      out.position -= before;
    }
  }
  yield { type: "table_features_reply", more: false, body: out.finish() };
}
