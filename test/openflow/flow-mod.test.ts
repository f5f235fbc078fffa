import { test } from "uvu";
import * as assert from "uvu/assert";
import { anyFlowModContext, flowModAt, interpretFlowMod, writeFlowMod } from "../../ts/openflow/codec-flow-mod.js";
import { ByteWriter, parseFlow } from "../../ts/openflow/index.js";

/** Changes of flows in OpenFlow 1.0: what the message says, and what the datapath is told. */

const modifyMayAdd = 32;
const cookieAt = 8 + 40;
const modify = 1;

function messageOf(text: string): Uint8Array {
  const out = new ByteWriter();
  out.zeros(8);
  writeFlowMod(out, { ...parseFlow(text, modify), standard: true }, 1);
  const bytes = Uint8Array.from(out.finish());
  bytes.set([1, 14, bytes.length >> 8, bytes.length & 0xff]);
  return bytes;
}

const cookieOf = (message: Uint8Array): bigint => new DataView(message.buffer).getBigUint64(cookieAt);

function mayAdd(message: Uint8Array): boolean {
  const out = new ByteWriter();
  interpretFlowMod(message, out, anyFlowModContext);
  const flags = new DataView(Uint8Array.from(out.finish()).buffer).getUint16(flowModAt.flow_flags!, true);
  return (flags & modifyMayAdd) !== 0;
}

test("a change without a cookie says 0, as ovs-ofctl does, and adds a flow if there is none", () => {
  const message = messageOf("in_port=1,actions=drop");
  assert.is(cookieOf(message), 0n);
  assert.ok(mayAdd(message));
  assert.is(cookieOf(messageOf("cookie=5,in_port=1,actions=drop")), 5n);
});

test("a change with a cookie of all ones adds none", () => {
  const message = messageOf("in_port=1,actions=drop");
  message.fill(0xff, cookieAt, cookieAt + 8);
  assert.not(mayAdd(message));
});

test.run();
