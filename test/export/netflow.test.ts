import { test } from "uvu";
import * as assert from "uvu/assert";
import { Netflow, type NetflowFlow } from "../../ts/export/index.js";

const options = { engineType: 2, engineId: 0x81, addIdToInterface: false };
const tcp: NetflowFlow = {
  ipSrc: 0x0a000001,
  ipDst: 0xc0a80102,
  input: 1,
  output: 0xffff,
  nPackets: 3n,
  nBytes: 180n,
  firstMs: 1000n,
  lastMs: 2500n,
  tpSrc: 1234,
  tpDst: 80,
  tcpFlags: 0x112,
  ipTos: 0xb9,
  ipProto: 6,
};
const never = (): void => assert.unreachable("a counter that can be is not impossible");
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const send = (netflow: Netflow, flows: readonly NetflowFlow[]): Buffer[] =>
  netflow.datagrams(flows, 3000n, 1_700_000_000_250, never).map((datagram) => Buffer.from(datagram));

test("a datagram is the bytes that version 5 says", () => {
  const [datagram, ...more] = send(new Netflow(options), [tcp]);
  assert.is(more.length, 0);
  const expected = [
    "0005 0001 00000bb8 6553f100 0ee6b280 00000000 02 81 0000",
    "0a000001 c0a80102 00000000 0001 ffff 00000003 000000b4 000003e8 000009c4",
    "04d2 0050 00 12 06 b8 0000 0000 00 00 0000",
  ];
  assert.is(hex(datagram), expected.join("").replaceAll(" ", ""));
});

test("of ICMP, type and code are the destination port", () => {
  const [datagram] = send(new Netflow(options), [{ ...tcp, ipProto: 1, tpSrc: 3, tpDst: 1, tcpFlags: 0 }]);
  assert.is(hex(datagram?.subarray(24 + 32, 24 + 36)), "00000301");
});

test("a datagram has 30 records at most, and its sequence number is that of its last", () => {
  const netflow = new Netflow(options);
  const sent = [...send(netflow, Array(61).fill(tcp)), ...send(netflow, [tcp])];
  assert.equal(
    sent.map((datagram) => [datagram.length, datagram.readUInt16BE(2), datagram.readUInt32BE(16)]),
    [
      [24 + 30 * 48, 30, 29],
      [24 + 30 * 48, 30, 59],
      [24 + 48, 1, 60],
      [24 + 48, 1, 61],
    ],
  );
  assert.equal(send(netflow, []), []);
});

test("the engine's id goes into interface numbers, where that is asked for, and sequences go on when options change", () => {
  const netflow = new Netflow(options);
  send(netflow, [tcp]);
  netflow.configure({ engineType: 7, engineId: 0x81, addIdToInterface: true });
  const [datagram] = send(netflow, [{ ...tcp, input: 0x203 }]);
  assert.is(datagram?.readUInt32BE(16), 1);
  assert.is(datagram?.readUInt8(20), 7);
  assert.is(datagram?.readUInt16BE(24 + 12), (1 << 9) | 3);
  assert.is(datagram?.readUInt16BE(24 + 14), (1 << 9) | 0x1ff);
});

test("counters of more than 32 bits become several records that add up", () => {
  const nBytes = 3n * 0xffff_ffffn + 7n;
  const [datagram] = send(new Netflow(options), [{ ...tcp, nPackets: 1_000_001n, nBytes }]);
  const count = datagram?.readUInt16BE(2) ?? 0;
  assert.is(count, 4);
  let packets = 0;
  let bytes = 0n;
  for (let at = 24; at < 24 + 48 * count; at += 48) {
    packets += datagram?.readUInt32BE(at + 16) ?? 0;
    bytes += BigInt(datagram?.readUInt32BE(at + 20) ?? 0);
  }
  assert.is(packets, 1_000_001);
  assert.is(bytes, nBytes);
});

test("counters that cannot be make no records, and are told", () => {
  const told: bigint[] = [];
  const flows = [tcp, { ...tcp, nBytes: 2n ** 64n - 1n }, { ...tcp, nBytes: 0n }];
  const sent = new Netflow(options).datagrams(flows, 0n, 0, ({ nBytes }) => told.push(nBytes));
  assert.equal(told, [2n ** 64n - 1n]);
  assert.equal(
    sent.map((datagram) => datagram.length),
    [24 + 48],
  );
});

test.run();
