import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FlowPacket, IpfixExporter } from "../../ts/export/index.js";

const frame = Uint8Array.from(
  Buffer.from(
    "505400000002505400000001" + "0800" + "45080054000000004011f94dc0a80001c0a80002" + "0035d4310040" + "0000",
    "hex",
  ),
);
const packet: FlowPacket = {
  packet: frame,
  frameSize: 98,
  weight: 2,
  domainId: 7,
  pointId: 9,
  egress: false,
  input: { index: 3, name: "p1" },
  output: { index: 0, name: "" },
  tunnel: undefined,
};
const read = (bytes: Uint8Array | undefined): DataView => {
  assert.ok(bytes !== undefined);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

/** A collector of its own: the elements of a data record by number, read by the template. */
function decode(template: DataView, data: DataView): Map<number, string> {
  const out = new Map<number, string>();
  let from = 20;
  let at = 24;
  for (let left = template.getUint16(22); left > 0; left--) {
    const id = template.getUint16(at);
    let size = template.getUint16(at + 2);
    at += id >= 0x8000 ? 8 : 4;
    if (size === 65535) size = data.getUint8(from++);
    out.set(id & 0x7fff, Buffer.from(data.buffer, data.byteOffset + from, size).toString("hex"));
    from += size;
  }
  assert.is(at, template.byteLength, "a template has as many fields as it says");
  assert.is(from, data.byteLength, "a record is as long as its template says");
  return out;
}

test("without a cache each packet is a record, after its template", () => {
  const exporter = new IpfixExporter({ activeTimeoutS: 0, flowsMax: 0, virtualObsId: undefined });
  const messages = exporter.packet(packet, 1000, 5_000_000);
  assert.is(messages.length, 2);
  const [template, data] = messages.map(read) as [DataView, DataView];
  for (const message of [template, data]) {
    assert.is(message.getUint16(0), 10);
    assert.is(message.getUint16(2), message.byteLength);
    assert.is(message.getUint32(4), 5000);
    assert.is(message.getUint32(12), 7);
  }
  assert.is(template.getUint16(16), 2);
  assert.is(data.getUint16(16), template.getUint16(20), "the data's set is the template");
  const fields = decode(template, data);
  const wanted: [number, string][] = [
    [138, "00000009"],
    [56, "505400000001"],
    [80, "505400000002"],
    [256, "0800"],
    [10, "00000003"],
    [4, "11"],
    [5, "08"],
    [8, "c0a80001"],
    [12, "c0a80002"],
    [7, "0035"],
    [11, "d431"],
    [2, "0000000000000002"],
    [352, "00000000000000c4"],
    [1, "00000000000000a8"],
    [136, "04"],
  ];
  for (const [id, value] of wanted) assert.is(fields.get(id), value, `element ${id}`);
  const [next] = exporter.packet(packet, 1000, 5_000_000).map(read);
  assert.is(next?.getUint16(16), data.getUint16(16), "a template is not sent with every record");
  assert.is(next?.getUint32(8), 1, "the sequence counts records");
  assert.is(exporter.packet(packet, 601_000, 0).length, 2, "and is sent again after ten minutes");
});

test("each kind of packet fits its template", () => {
  const exporter = new IpfixExporter({ activeTimeoutS: 0, flowsMax: 0, virtualObsId: "vm-1" });
  const tunnel = { src: frame.slice(0, 4), dst: frame.slice(4, 8), protocol: 47, type: 2, key: frame.slice(0, 4) };
  const frames = [
    frame,
    frame.slice(0, 20),
    new Uint8Array(0),
    Buffer.from(
      "5054000000025054000000018100a0050800" + "45000054000000004001f94dc0a80001c0a80002" + "08000000",
      "hex",
    ),
    Buffer.from(
      `50540000000250540000000186dd6700000000103aff${"fe80".padEnd(32, "0").repeat(2)}8700000000000000`,
      "hex",
    ),
  ];
  const seen = new Set<number>();
  for (const bytes of frames) {
    for (const egress of [false, true]) {
      for (const maybe of [undefined, tunnel]) {
        const messages = exporter.packet({ ...packet, packet: bytes, egress, tunnel: maybe }, 0, 0).map(read);
        const template = messages.length === 2 ? messages[0] : undefined;
        if (template === undefined) continue;
        seen.add(template.getUint16(20));
        const fields = decode(template, messages[1] as DataView);
        assert.is(fields.get(61), egress ? "01" : "00");
        assert.is(fields.get(898), Buffer.from("vm-1").toString("hex"));
        assert.is(fields.has(892), maybe !== undefined);
      }
    }
  }
  assert.is(seen.size, 16, "four shapes, two ways, with and without a tunnel");
});

test("a cache gathers a flow until its time is up, and makes room by age", () => {
  const exporter = new IpfixExporter({ activeTimeoutS: 10, flowsMax: 2, virtualObsId: undefined });
  assert.is(exporter.packet(packet, 0, 0).length, 0);
  assert.is(exporter.packet(packet, 4000, 0).length, 0);
  assert.is(exporter.expire(9999, 0).length, 0);
  const [template, data] = exporter.expire(10_000, 0).map(read) as [DataView, DataView];
  const fields = decode(template, data);
  assert.is(fields.get(2), "0000000000000004");
  assert.is(fields.get(158), (10_000_000).toString(16).padStart(8, "0"), "began so many microseconds ago");
  assert.is(fields.get(159), (6_000_000).toString(16).padStart(8, "0"));
  assert.is(fields.get(136), "02");
  for (const pointId of [1, 2]) exporter.packet({ ...packet, pointId }, 20_000, 0);
  const [evicted] = exporter.packet({ ...packet, pointId: 3 }, 20_000, 0).map(read) as [DataView];
  assert.is(decode(template, evicted).get(136), "05", "the reason is lack of room");
  assert.is(decode(template, evicted).get(138), "00000001");
  assert.equal([exporter.currentFlows, exporter.evicted], [2, 1]);
  assert.is(exporter.expire(20_000, 0, true).length, 2, "all of them at the end");
  assert.is(exporter.currentFlows, 0);
});

test.run();
