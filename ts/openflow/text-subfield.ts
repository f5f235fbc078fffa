import { FlowSyntaxError } from "./error.js";
import { type FieldPlan, plans } from "./key-match.js";
import { type FieldRow, fieldByName, fieldId, fields, headerName } from "./tables/fields.js";

/** Some bits of a field as ovs-ofctl writes them. */

const headerNames = new Map<string, FieldRow>();
for (const row of fields) for (const header of row.oxm) headerNames.set(headerName(row, header), row);

export interface Subfield {
  readonly row: FieldRow;
  readonly plan: FieldPlan;
  readonly ofs: number;
  readonly nBits: number;
}

/** `NXM_NX_REG0[0..7]`, `reg0[]`, `reg0[3]`. */
export function parseSubfield(text: string): Subfield {
  const found = /^([A-Za-z_0-9]+)(?:\[(?:(\d+)(?:\.\.(\d+))?)?\])?$/.exec(text.trim());
  const name = found?.[1] ?? text;
  const row = headerNames.get(name) ?? fieldByName(name);
  if (found === null) throw new FlowSyntaxError(`${text}: missing [ looking for field name`);
  if (row === undefined) throw new FlowSyntaxError(`${text}: unknown field \`${name}'`);
  const plan = plans[fieldId(row)] as FieldPlan;
  if (found[2] === undefined) return { row, plan, ofs: 0, nBits: row.bits };
  const ofs = Number(found[2]);
  const end = found[3] === undefined ? ofs : Number(found[3]);
  if (ofs > end) throw new FlowSyntaxError(`${text}: starting bit ${ofs} is after ending bit ${end}`);
  if (end >= row.bits)
    throw new FlowSyntaxError(`${text}: bit ${end} is out of range for ${row.bits}-bit field ${row.name}`);
  return { row, plan, ofs, nBits: end - ofs + 1 };
}

export function formatSubfield(id: number, ofs: number, nBits: number): string {
  const row = fields[id];
  if (row === undefined) return "<unknown>";
  const first = row.oxm[0];
  const name = first === undefined ? row.name : headerName(row, first);
  if (ofs === 0 && nBits === row.bits) return `${name}[]`;
  return nBits === 1 ? `${name}[${ofs}]` : `${name}[${ofs}..${ofs + nBits - 1}]`;
}
