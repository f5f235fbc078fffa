import { eachAction, opcodeOf } from "./abi.js";
import { decodeActions, decodeForm, encodeAction, instructionForms } from "./action-wire.js";
import type { ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";

/** Instructions of OpenFlow 1.1 and later.  In the ABI they stand among the actions, in the order in which they run:
 *  meter, the actions of apply_actions, clear_actions, write_actions, write_metadata, goto_table. */

const applyActions = 4;
/** Instruction numbers in the order in which they run. */
const runOrder = [6, applyActions, 5, 3, 2, 1];
const instructionOpcodes = new Map([
  [opcodeOf("clear_actions"), 5],
  [opcodeOf("write_actions"), 3],
  [opcodeOf("write_metadata"), 2],
  [opcodeOf("goto_table"), 1],
]);
const meterOpcode = opcodeOf("meter");

const starts = new Int32Array(8);
const ends = new Int32Array(8);

/** Reads the instructions in [start, end) and appends their records and those of the applied actions. */
export function decodeInstructions(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  version: number,
  out: ByteWriter,
): void {
  if ((end - start) % 8 !== 0)
    throw new OpenFlowError("OFPBIC_BAD_LEN", "the instructions do not fill a multiple of 8 bytes");
  starts.fill(-1);
  for (let at = start; at < end; ) {
    const type = view.getUint16(at);
    const size = view.getUint16(at + 2);
    if (size < 8 || size % 8 !== 0 || at + size > end)
      throw new OpenFlowError("OFPBIC_BAD_LEN", `the instruction at byte ${at - start} has length ${size}`);
    if (type === 0xffff) throw new OpenFlowError("OFPBIC_BAD_EXPERIMENTER", "no experimenter's instruction is known");
    if (type !== applyActions && instructionForms[version]?.[type] === undefined) {
      throw new OpenFlowError("OFPBIC_UNKNOWN_INST", `instruction ${type} is unknown`, { type });
    }
    const codec = instructionForms[version]?.[type];
    if (codec !== undefined && codec.size >= 0 && codec.size !== size) {
      throw new OpenFlowError("OFPBIC_BAD_LEN", `instruction ${codec.row.name} has length ${size}`);
    }
    if (starts[type] !== -1) throw new OpenFlowError("OFPBIC_DUP_INST", `instruction ${type} occurs twice`);
    starts[type] = at;
    ends[type] = at + size;
    at += size;
  }
  const from = Int32Array.from(starts);
  const to = Int32Array.from(ends);
  for (const type of runOrder) {
    const at = from[type] as number;
    if (at === -1) continue;
    if (type === applyActions) decodeActions(bytes, view, at + 8, to[type] as number, version, out);
    else {
      const codec = instructionForms[version]?.[type];
      if (codec !== undefined) decodeForm(codec, bytes, view, at, to[type] as number, version, out);
    }
  }
}

/** Appends the records as instructions of `version`, the actions gathered in one apply_actions. */
export function encodeInstructions(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
  out: ByteWriter,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let applied = -1;
  const close = (): void => {
    if (applied >= 0) out.view.setUint16(applied + 2, out.position - applied);
    applied = -1;
  };
  for (const { opcode, start: at, size } of eachAction(bytes, start, end)) {
    const isInstruction = instructionOpcodes.has(opcode) || (opcode === meterOpcode && version < 6 && at === start);
    if (isInstruction) close();
    else if (applied < 0) {
      applied = out.position;
      out.u16(applyActions);
      out.zeros(6);
    }
    encodeAction({ bytes, view, start: at, size }, version, out);
  }
  close();
}
