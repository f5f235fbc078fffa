/** Port statistics of OpenFlow 1.4 and later: what Open vSwitch tells beyond the standard, there and back. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { rfc2819Counters } from "../../ts/openflow/codec-port.js";
import { decodeMessage, encodeMessage, OpenFlowError, type PortStats } from "../../ts/openflow/index.js";
import { portCounters, times } from "./message-samples.js";

const unknown = 0xffffffffffffffffn;
const base: PortStats = { port: 3, ...portCounters, ...times };
const sized = rfc2819Counters.map((_, index) => (index % 5 === 4 ? unknown : BigInt(index + 1)));
const custom = ["rx_custom_packets_1", "tx_q0_bytes", "a", "b"].map((name, index) => [name, BigInt(index)] as const);
const all: readonly PortStats[] = [
  base,
  { ...base, rfc2819: sized },
  { ...base, custom },
  { ...base, rfc2819: sized, custom },
];

for (const version of [5, 6] as const) {
  test(`OpenFlow 1.${version - 1}: what is written is read, whole, and the next port after it`, () => {
    const message = { type: "port_stats_reply", more: false, ports: all } as const;
    const decoded = decodeMessage(encodeMessage(version, 1, { ...message }));
    assert.is(decoded.type, "port_stats_reply");
    if (decoded.type === "port_stats_reply") assert.equal(decoded.ports, all);
  });
}

test("before OpenFlow 1.4 a message has no room for them", () => {
  const wire = encodeMessage(4, 1, { type: "port_stats_reply", more: false, ports: all });
  const decoded = decodeMessage(wire);
  if (decoded.type === "port_stats_reply") assert.equal(decoded.ports, [base, base, base, base]);
});

test("a property that is cut short is refused, one of another experimenter is passed over", () => {
  const wire = encodeMessage(5, 1, { type: "port_stats_reply", more: false, ports: [all[3]!] });
  // The header of 16 bytes, the port's 80, its property of Ethernet of 40.
  const at = 16 + 80 + 40;
  const view = new DataView(wire.buffer, wire.byteOffset);
  assert.is(view.getUint16(at), 0xffff);
  view.setUint16(at + 2, 176);
  assert.throws(
    () => decodeMessage(wire),
    (error: unknown) => error instanceof OpenFlowError && error.code === "OFPBPC_BAD_LEN",
  );
  view.setUint16(at + 2, 184);
  view.setUint16(at + 184 + 14, 99);
  assert.throws(
    () => decodeMessage(wire),
    (error: unknown) => error instanceof OpenFlowError && error.code === "OFPBPC_BAD_LEN",
  );
  view.setUint32(at + 4, 7);
  view.setUint32(at + 184 + 4, 7);
  const decoded = decodeMessage(wire);
  if (decoded.type === "port_stats_reply") assert.equal(decoded.ports, [base]);
});

test.run();
