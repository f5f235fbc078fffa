import { actionLayout, actionLayouts, type Layout, memberOffset, opcodeOf } from "./abi.js";
import type { ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import type { WireForm } from "./tables/actions.js";
import { niciraVendor, onfVendor } from "./tables/errors.js";

/** Beginning and ending of action records, and of actions on the wire. */

/** Begins a record of `opcode` with its members zero; returns where it begins. */
export function beginAction(out: ByteWriter, opcode: number): number {
  const layout = actionLayouts.get(opcode) as Layout;
  const begin = out.position;
  out.zeros(layout.size);
  out.view.setUint16(begin, opcode, true);
  out.view.setUint16(begin + 2, layout.size, true);
  return begin;
}

/** Pads the record that began at `begin` to 8 bytes and writes its size. */
export function endAction(out: ByteWriter, begin: number): void {
  out.align(8, begin);
  const size = out.position - begin;
  if (size > 0xffff) throw new OpenFlowError("OFPBAC_BAD_LEN", "an action is too long to be kept");
  out.view.setUint16(begin + 2, size, true);
}

/** An action record being written to the wire. */
export interface RecordAt {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  readonly size: number;
}

/** Begins an action on the wire; `endForm` fills in the length. */
export function beginForm(out: ByteWriter, form: WireForm): number {
  const begin = out.position;
  out.u16(form.space === "nicira" || form.space === "onf" ? 0xffff : form.number);
  out.u16(0);
  if (form.space === "nicira" || form.space === "onf") {
    out.u32(form.space === "nicira" ? niciraVendor : onfVendor);
    out.u16(form.number);
  }
  return begin;
}

export function endForm(out: ByteWriter, begin: number): void {
  out.align(8, begin);
  out.view.setUint16(begin + 2, out.position - begin);
}

export const controllerOpcode = opcodeOf("controller");
const controllerLayout = actionLayout(controllerOpcode);
export const controllerAt = {
  maxLen: memberOffset(controllerLayout, "max_len"),
  id: memberOffset(controllerLayout, "controller_id"),
  reason: memberOffset(controllerLayout, "reason"),
  pause: memberOffset(controllerLayout, "pause"),
  form: memberOffset(controllerLayout, "form"),
  userdataSize: memberOffset(controllerLayout, "userdata_size"),
  meter: memberOffset(controllerLayout, "meter_id"),
};
