import { test } from "uvu";
import * as assert from "uvu/assert";
import { addressBytes, outputCode, parseTarget, SflowAgent } from "../../ts/export/index.js";

const address = Uint8Array.of(127, 0, 0, 1);
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const plain = { frameSize: 60, header: Uint8Array.of(1, 2, 3, 4, 5), input: 3, output: 7, inTci: 0x6005, outTci: 0 };

test("a flow sample is the bytes that version 5 says", () => {
  const agent = new SflowAgent({ address, subId: 2, sampling: 10, startedMs: 1000 });
  assert.is(agent.flow(plain, 1500), undefined);
  const expected = [
    "00000005 00000001 7f000001 00000002 00000001 000001f4 00000001", // version, agent, sub id, sequence, uptime, samples
    "00000001 00000058 00000001 020003ea 0000000a 0000000a 00000000 00000003 00000007 00000002",
    "000003e9 00000010 00000005 00000003 00000000 00000000", // extended switch
    "00000001 00000018 00000001 00000040 00000004 00000005 01020304 05000000", // raw header
  ];
  assert.is(hex(agent.flush(1500)), expected.join("").replaceAll(" ", ""));
  assert.is(agent.flush(1500), undefined, "nothing is sent when nothing waits");
});

test("pools and sequences count on, and each source of counters has its own sequence", () => {
  const agent = new SflowAgent({ address, subId: 0, sampling: 400, startedMs: 0 });
  agent.flow(plain, 0);
  agent.flow(plain, 0);
  const second = Buffer.from(agent.flush(0) as Uint8Array).subarray(28 + 8 + 0x58);
  assert.is(second.readUInt32BE(8), 2);
  assert.is(second.readUInt32BE(20), 800, "the pool grows by the sampling rate");
  const port = {
    ifindex: 5,
    name: "p1",
    datapathId: 1n,
    ofpPort: 1,
    speedBps: 100_000_000n,
    direction: 0,
    adminUp: true,
    operUp: false,
    counters: new Map([["rx_packets", 2 ** 32 + 3]]),
  };
  agent.port(port, 0);
  agent.port({ ...port, ifindex: 6 }, 0);
  agent.port(port, 0);
  const bytes = Buffer.from(agent.flush(0) as Uint8Array);
  const sequences: number[] = [];
  for (let at = 28; at < bytes.length; at += 8 + bytes.readUInt32BE(at + 4)) sequences.push(bytes.readUInt32BE(at + 8));
  assert.equal(sequences, [1, 1, 2]);
});

test("a datagram is sent before it is larger than 1400 bytes", () => {
  const agent = new SflowAgent({ address, subId: 0, sampling: 1, startedMs: 0 });
  const sample = { ...plain, header: new Uint8Array(128) };
  const full: Uint8Array[] = [];
  for (let count = 0; count < 100; count++) {
    const datagram = agent.flow(sample, 0);
    if (datagram !== undefined) full.push(datagram);
  }
  assert.ok(full.length >= 12);
  assert.ok(full.every((datagram) => datagram.length <= 1400 && datagram.length > 1000));
});

test("labels and tunnels have records of their own", () => {
  const agent = new SflowAgent({ address, subId: 0, sampling: 1, startedMs: 0 });
  const tunnel = { protocol: 47, src: Uint8Array.of(1, 1, 1, 1), dst: Uint8Array.of(2, 2, 2, 2), tos: 4, vni: 456 };
  agent.flow({ ...plain, labels: [0x315820, 0xb740], tunnelOut: tunnel, tunnelIn: { ...tunnel, vni: 0 } }, 0);
  const text = hex(agent.flush(0));
  assert.ok(text.includes("000003ee0000001800000001000000000000000000000002003158200000b740"), "MPLS");
  assert.ok(text.includes("00000405000000040000" + "01c8"), "VNI");
  assert.ok(text.includes("000003ff00000020000000000000002f0101010102020202000000000000000000000000" + "00000004"));
  assert.ok(text.includes("00000400"), "a tunnel that it came by");
});

test("where a packet goes is one interface, none or a number of them", () => {
  assert.is(outputCode(1, 9), 9);
  assert.is(outputCode(0, 0), 0x40000100);
  assert.is(outputCode(2, 9), 0x80000002);
  assert.is(outputCode(1, 0), 0x80000001, "one whose index is not known");
});

test("targets and addresses are read, and nonsense is not", () => {
  assert.equal(parseTarget("127.0.0.1:99", 6343), { host: "127.0.0.1", port: 99 });
  assert.equal(parseTarget("[::1]", 6343), { host: "::1", port: 6343 });
  for (const bad of ["xyzzy", "1.2.3.4.5:6", "1.2.3.400:6", "127.0.0.1:0", "127.0.0.1:70000", ""])
    assert.is(parseTarget(bad, 6343), undefined, bad);
  assert.is(parseTarget("127.0.0.1", undefined), undefined);
  assert.is(hex(addressBytes("fe80::1:2")), "fe800000000000000000000000010002");
  assert.is(hex(addressBytes("::")), "0".repeat(32));
  for (const bad of ["lo", "1.2.3", ":::", "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::"])
    assert.is(addressBytes(bad), undefined, bad);
});

test.run();
