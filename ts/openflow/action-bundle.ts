import { actionLayout, memberOffset, opcodeOf } from "./abi.js";
import { beginAction, beginForm, endAction, endForm } from "./action-record.js";
import { checkDestination } from "./action-special.js";
import { OpenFlowError } from "./error.js";
import { type FieldPlan, plans } from "./key-match.js";
import { portFrom10, portTo10, readFieldHeader, writeFieldHeader } from "./oxm.js";
import type { SpecialCodec } from "./special-codec.js";

/** NXAST_BUNDLE and NXAST_BUNDLE_LOAD: a hash, and the members that it chooses among. */

const opcode = opcodeOf("bundle");
const layout = actionLayout(opcode);
const at = Object.fromEntries(
  ["algorithm", "fields", "basis", "field", "ofs", "n_bits", "n_members"].map((name) => [
    name,
    memberOffset(layout, name),
  ]),
) as Readonly<Record<"algorithm" | "fields" | "basis" | "field" | "ofs" | "n_bits" | "n_members", number>>;

const headerSize = 32;
/** NXAST_BUNDLE_LOAD. */
const loadSubtype = 13;
/** NXM header of in_port: the only type of member that there is. */
const memberType = 0x00000002;
const maxMembers = 2048;
const maxFields = 6;
const maxAlgorithm = 1;

const wrong = (sentence: string): OpenFlowError => new OpenFlowError("OFPBAC_BAD_ARGUMENT", sentence);

export const bundleCodec: SpecialCodec = {
  decode({ codec, bytes, view, start, end, out }) {
    if (end - start < headerSize) throw new OpenFlowError("OFPBAC_BAD_LEN", "a bundle action is too short");
    const count = view.getUint16(start + 20);
    const begin = beginAction(out, opcode);
    out.view.setUint16(begin + at.algorithm, view.getUint16(start + 10), true);
    out.view.setUint16(begin + at.fields, view.getUint16(start + 12), true);
    out.view.setUint16(begin + at.basis, view.getUint16(start + 14), true);
    out.view.setUint32(begin + at.n_members, count, true);
    if (view.getUint16(start + 12) > maxFields) throw wrong("the fields that a bundle hashes are unknown");
    if (count > maxMembers) throw wrong(`a bundle of ${count} members is too large`);
    if (view.getUint16(start + 10) > maxAlgorithm) throw wrong("the algorithm of a bundle is unknown");
    if (view.getUint32(start + 16) !== memberType) throw wrong("members of a bundle must be ports");
    if (view.getUint32(start + 28) !== 0) throw wrong("reserved bytes of a bundle are not zero");
    if (codec.form.number === loadSubtype) {
      const both = view.getUint16(start + 22);
      const { plan } = readFieldHeader(bytes, start + 24, start + 28);
      const nBits = (both & 63) + 1;
      if (nBits < 16) throw wrong("bundle_load needs at least 16 bits to load");
      checkDestination(plan, both >> 6, nBits);
      out.view.setUint16(begin + at.field, plan.id, true);
      out.view.setUint16(begin + at.ofs, both >> 6, true);
      out.view.setUint16(begin + at.n_bits, nBits, true);
    } else if (view.getUint16(start + 22) !== 0 || view.getUint32(start + 24) !== 0)
      throw wrong("a bundle without load has a field to load");
    if (start + headerSize + 2 * count > end)
      throw new OpenFlowError("OFPBAC_BAD_LEN", `a bundle of ${count} members is cut short`);
    for (let index = 0; index < count; index++) out.u32Le(portFrom10(view.getUint16(start + headerSize + 2 * index)));
    endAction(out, begin);
  },
  encode({ codec, record, out }) {
    const { view, start } = record;
    const nBits = view.getUint16(start + at.n_bits, true);
    const isLoad = nBits !== 0;
    if (isLoad !== (codec.form.number === loadSubtype)) return false;
    const count = view.getUint32(start + at.n_members, true);
    const begin = beginForm(out, codec.form);
    out.u16(view.getUint16(start + at.algorithm, true));
    out.u16(view.getUint16(start + at.fields, true));
    out.u16(view.getUint16(start + at.basis, true));
    out.u32(memberType);
    out.u16(count);
    out.u16(isLoad ? (view.getUint16(start + at.ofs, true) << 6) | (nBits - 1) : 0);
    if (isLoad) writeFieldHeader(out, plans[view.getUint16(start + at.field, true)] as FieldPlan, 1);
    else out.u32(0);
    out.zeros(4);
    for (let index = 0; index < count; index++)
      out.u16(portTo10(view.getUint32(start + layout.size + 4 * index, true)));
    endForm(out, begin);
    return true;
  },
};
