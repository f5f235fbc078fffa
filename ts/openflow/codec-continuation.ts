import { actionLayout, eachAction, memberOffset, opcodeOf } from "./abi.js";
import { beginAction, endAction } from "./action-record.js";
import { decodeActions, encodeActions } from "./action-wire.js";
import { type ByteReader, ByteWriter, empty } from "./bytes.js";
import { eachProperty } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import type { Continuation } from "./message.js";

/** What a paused packet goes on with, as properties of a packet-in and of the NXT_RESUME that answers it.  Controllers
 *  are to send it back as it came; what it is made of is the switch's own business, but `ovs-ofctl monitor` prints it,
 *  so all that Open vSwitch has is as it has it. */

const property = {
  bridge: 0x8000,
  stack: 0x8001,
  mirrors: 0x8002,
  isTracked: 0x8003,
  table: 0x8004,
  cookie: 0x8005,
  actions: 0x8006,
  actionSet: 0x8007,
  dpPort: 0x8008,
  /** Ours: instructions that no list of actions can hold, as ABI records. */
  instructions: 0x80f0,
} as const;

const unroll = opcodeOf("unroll_xlate");
const unrollLayout = actionLayout(unroll);
const unrollTable = memberOffset(unrollLayout, "table");
const unrollCookie = memberOffset(unrollLayout, "cookie");
const instructions: ReadonlySet<number> = new Set(["clear_actions", "write_actions"].map(opcodeOf));
const valueSizeMax = 128;

/** Appends a property: `write` puts what follows its header. */
export function putProperty(out: ByteWriter, origin: number, type: number, write: () => void): void {
  const start = out.position;
  out.u16(type);
  out.u16(0);
  write();
  out.view.setUint16(start + 2, out.position - start);
  out.align(8, origin);
}

/** Appends what is inside the property of the packet-in. */
export function writeContinuation(out: ByteWriter, body: Continuation, version: number): void {
  const origin = out.position;
  const put = (type: number, write: () => void): void => putProperty(out, origin, type, write);
  const putActions = (type: number, actions: Uint8Array, from: number, to: number): void => {
    if (from === to) return;
    put(type, () => {
      out.zeros(4);
      encodeActions(actions, from, to, version, out);
    });
  };
  put(property.bridge, () => out.put(body.bridge));
  for (const value of body.stack) put(property.stack, () => out.put(value));
  if (body.mirrors !== 0) put(property.mirrors, () => out.u32(body.mirrors));
  if (body.isTracked) put(property.isTracked, () => undefined);

  const view = new DataView(body.actions.buffer, body.actions.byteOffset, body.actions.byteLength);
  let [table, cookie, from] = [0, 0n, 0];
  for (const { start, size } of eachAction(body.actions)) {
    const opcode = view.getUint16(start, true);
    if (opcode !== unroll && !instructions.has(opcode)) continue;
    putActions(property.actions, body.actions, from, start);
    from = start + size;
    if (opcode !== unroll) {
      put(property.instructions, () => {
        out.zeros(4);
        out.put(body.actions, start, start + size);
      });
      continue;
    }
    const next = {
      table: view.getUint32(start + unrollTable, true),
      cookie: view.getBigUint64(start + unrollCookie, true),
    };
    if (next.table !== table) put(property.table, () => out.u8(next.table));
    if (next.cookie !== cookie) {
      put(property.cookie, () => {
        out.zeros(4);
        out.u64(next.cookie);
      });
    }
    ({ table, cookie } = next);
  }
  putActions(property.actions, body.actions, from, body.actions.length);
  putActions(property.actionSet, body.actionSet, 0, body.actionSet.length);
  if (body.dpPort !== 0) put(property.dpPort, () => out.u32(body.dpPort));
}

/** Reads what is inside the property, up to `end`.  `loose`: what is unknown is passed over. */
export function readContinuation(reader: ByteReader, end: number, version: number, loose: boolean): Continuation {
  const found = { bridge: new Uint8Array(16), mirrors: 0, isTracked: false, dpPort: 0 };
  const stack: Uint8Array[] = [];
  const actions = new ByteWriter(128);
  const actionSet = new ByteWriter(128);
  let [table, cookie] = [0, 0n];
  const list = (to: number): number => {
    if (to - reader.position < 4) throw badLength("actions");
    return reader.position + 4;
  };
  eachProperty(reader, end, (type, to) => {
    const size = to - reader.position;
    switch (type) {
      case property.bridge:
        if (size !== 16) throw badLength("bridge");
        found.bridge = new Uint8Array(reader.copy(16));
        break;
      case property.stack:
        if (size > valueSizeMax) throw badLength("stack");
        // A value without bytes is pushed as one that has a byte of zero: popped, they are the same.
        stack.push(size === 0 ? new Uint8Array(1) : reader.copy(size));
        break;
      case property.mirrors:
        if (size !== 4) throw badLength("mirrors");
        found.mirrors = reader.u32();
        break;
      case property.isTracked:
        found.isTracked = true;
        break;
      case property.table:
        if (size < 1) throw badLength("table");
        table = reader.u8();
        break;
      case property.cookie:
        if (size !== 12) throw badLength("cookie");
        reader.skip(4);
        cookie = reader.u64();
        break;
      case property.actions: {
        const begin = beginAction(actions, unroll);
        actions.view.setUint32(begin + unrollTable, table, true);
        actions.view.setBigUint64(begin + unrollCookie, cookie, true);
        endAction(actions, begin);
        decodeActions(reader.bytes, reader.view, list(to), to, version, actions);
        break;
      }
      case property.instructions:
        reader.skip(list(to) - reader.position);
        actions.put(reader.copy(to - reader.position));
        break;
      case property.actionSet:
        decodeActions(reader.bytes, reader.view, list(to), to, version, actionSet);
        break;
      case property.dpPort:
        if (size !== 4) throw badLength("datapath port");
        found.dpPort = reader.u32();
        break;
      default:
        if (!loose) throw new OpenFlowError("OFPBPC_BAD_TYPE", `a continuation has no property 0x${type.toString(16)}`);
    }
  });
  return { ...found, stack, actions: actions.finish(), actionSet: actionSet.finish() };
}

/** A continuation of a message that has none: it belongs to no bridge. */
export const noContinuation: Continuation = {
  bridge: new Uint8Array(16),
  stack: [],
  mirrors: 0,
  isTracked: false,
  actions: empty,
  actionSet: empty,
  dpPort: 0,
};

function badLength(name: string): OpenFlowError {
  return new OpenFlowError("OFPBPC_BAD_LEN", `the ${name} of a continuation has the wrong length`);
}
