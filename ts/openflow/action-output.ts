import { actionLayouts, memberOffset, opcodeOf } from "./abi.js";
import { ofpp } from "./tables/ports.js";

/** Where a sequence of action records sends packets, as filters by port and group ask it. */

const opcode = {
  output: opcodeOf("output"),
  enqueue: opcodeOf("enqueue"),
  controller: opcodeOf("controller"),
  group: opcodeOf("group"),
  writeActions: opcodeOf("write_actions"),
  clone: opcodeOf("clone"),
};

function member(of: number, name: string): number {
  const layout = actionLayouts.get(of);
  if (layout === undefined) throw new Error(`action ${of} has no layout`);
  return memberOffset(layout, name);
}

const outputPort = member(opcode.output, "port");
const enqueuePort = member(opcode.enqueue, "port");
const groupId = member(opcode.group, "group");
/** Actions that contain actions: where these begin. */
const nestedAt = new Map([opcode.writeActions, opcode.clone].map((of) => [of, actionLayouts.get(of)?.size ?? 0]));

/** Whether some action is one that `test` says yes to, nested ones included. */
function someAction(actions: Uint8Array, test: (code: number, view: DataView, at: number) => boolean): boolean {
  const view = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  for (let at = 0; at + 4 <= actions.length; ) {
    const code = view.getUint16(at, true);
    const size = view.getUint16(at + 2, true);
    if (size < 4 || at + size > actions.length) return false;
    if (test(code, view, at)) return true;
    const nested = nestedAt.get(code);
    if (nested !== undefined && someAction(actions.subarray(at + nested, at + size), test)) return true;
    at += size;
  }
  return false;
}

/** Whether the actions output to the port; any port is OFPP_ANY. */
export function outputsTo(actions: Uint8Array, port: number): boolean {
  if (port === ofpp.ANY) return true;
  return someAction(actions, (code, view, at) => {
    if (code === opcode.output) return view.getUint32(at + outputPort, true) === port;
    if (code === opcode.enqueue) return view.getUint32(at + enqueuePort, true) === port;
    return code === opcode.controller && port === ofpp.CONTROLLER;
  });
}

/** Whether the actions hand packets to the group; any group is OFPG_ANY. */
export function usesGroup(actions: Uint8Array, group: number): boolean {
  const any = 0xffffffff;
  if (group === any) return true;
  return someAction(actions, (code, view, at) => code === opcode.group && view.getUint32(at + groupId, true) === group);
}
