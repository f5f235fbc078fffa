import { actionController, actionOutput, actionSetField, opcode } from "../openflow/generated/opcodes.js";
import { fieldByName, fieldId } from "../openflow/tables/fields.js";

/** The few action sequences that the switch itself needs, in the ABI's form. */

function record(code: number, size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, size, true);
  write(view);
  return bytes;
}

export function outputAction(port: number, maxLen = 0): Uint8Array {
  return record(opcode.output, actionOutput.size, (view) => {
    view.setUint32(actionOutput.maxLen, maxLen, true);
    view.setUint32(actionOutput.port, port, true);
  });
}

/** set_field:oam/oam->tun_flags: the packet is about a tunnel itself. */
export function oamAction(): Uint8Array {
  const row = fieldByName("tun_flags");
  if (row === undefined) throw new Error("there is no field tun_flags");
  const padded = 8;
  return record(opcode.setField, actionSetField.size + 2 * padded, (view) => {
    view.setUint16(actionSetField.field, fieldId(row), true);
    view.setUint32(actionSetField.valueSize, row.bytes, true);
    for (const at of [actionSetField.size, actionSetField.size + padded]) view.setUint16(at, 1);
  });
}

/** controller(reason=...,max_len=65535). */
export function controllerAction(reason: number): Uint8Array {
  return record(opcode.controller, actionController.size, (view) => {
    view.setUint16(actionController.maxLen, 0xffff, true);
    view.setUint8(actionController.reason, reason);
    view.setUint8(actionController.form, 1);
    view.setUint32(actionController.meterId, 0xffffffff, true);
  });
}
