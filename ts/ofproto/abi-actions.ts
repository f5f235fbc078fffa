import { actionController, actionOutput, opcode } from "../openflow/generated/opcodes.js";

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

/** controller(reason=...,max_len=65535). */
export function controllerAction(reason: number): Uint8Array {
  return record(opcode.controller, actionController.size, (view) => {
    view.setUint16(actionController.maxLen, 0xffff, true);
    view.setUint8(actionController.reason, reason);
    view.setUint8(actionController.form, 1);
    view.setUint32(actionController.meterId, 0xffffffff, true);
  });
}
