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
  dropped: false,
  input: { index: 3, type: 6, name: "p1", description: "first" },
  output: { index: 0, type: 0, name: "", description: "" },
  tunnel: undefined,
};
const uncached = { activeTimeoutS: 0, flowsMax: 0, virtualObsId: undefined, exporterId: 1, notSent: () => 0 };
const read = (bytes: Uint8Array | undefined): DataView => {
  assert.ok(bytes !== undefined);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

const setOf = (message: DataView): number => message.getUint16(16);

/** A collector of its own. */
class Collector {
  /** Elements and their sizes by template. */
  readonly #templates = new Map<number, [id: number, size: number][]>();

  get size(): number {
    return this.#templates.size;
  }

  /** Takes messages, and returns those with records of flows. */
  take(messages: readonly Uint8Array[]): DataView[] {
    const views = messages.map(read);
    for (const view of views) {
      assert.is(view.getUint16(0), 10);
      assert.is(view.getUint16(2), view.byteLength);
      assert.is(view.getUint16(18), view.byteLength - 16);
      if (setOf(view) === 2) this.#learn(view);
    }
    return views.filter((view) => setOf(view) >= 256 && setOf(view) !== 462);
  }

  #learn(message: DataView): void {
    let at = 20;
    while (at < message.byteLength) {
      const fields: [number, number][] = [];
      const id = message.getUint16(at);
      const n = message.getUint16(at + 2);
      at += 4;
      for (let left = n; left > 0; left--) {
        fields.push([message.getUint16(at) & 0x7fff, message.getUint16(at + 2)]);
        at += message.getUint16(at) >= 0x8000 ? 8 : 4;
      }
      this.#templates.set(id, fields);
    }
    assert.is(at, message.byteLength, "templates have as many fields as they say");
  }

  /** The elements of a data record by number. */
  decode(data: DataView | undefined): Map<number, string> {
    assert.ok(data !== undefined);
    const out = new Map<number, string>();
    let from = 20;
    for (const [id, told] of this.#templates.get(setOf(data)) ?? []) {
      const size = told === 65535 ? data.getUint8(from++) : told;
      out.set(id, Buffer.from(data.buffer, data.byteOffset + from, size).toString("hex"));
      from += size;
    }
    assert.is(from, data.byteLength, "a record is as long as its template says");
    return out;
  }
}

test("without a cache each packet is a record, after all templates and how the exporter fares", () => {
  const exporter = new IpfixExporter({ ...uncached, exporterId: 4, notSent: () => 3 });
  const collector = new Collector();
  const messages = exporter.packet(packet, 1000, 5_000_000);
  const [data] = collector.take(messages) as [DataView];
  assert.is(collector.size, 88, "two ways, with and without tags and tunnels, of eleven protocols");
  const views = messages.map(read);
  assert.equal([...new Set(views.map(setOf))], [2, 3, 462, setOf(data)]);
  for (const view of views) {
    assert.is(view.getUint32(4), 5000);
    assert.is(view.getUint32(12), [3, 462].includes(setOf(view)) ? 0 : 7, "what is of the exporter is of no domain");
    assert.ok(view.byteLength < 1024 + 300);
  }
  const fares = views.find((view) => setOf(view) === 462);
  assert.equal([fares?.getUint32(20), fares?.getBigUint64(24)], [4, 3n]);
  const fields = collector.decode(data);
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
    [136, "02"],
    [83, Buffer.from("first").toString("hex")],
    [133, "0000000000000000"],
    [86, "0000000000000002"],
    [354, "0000000000000002"],
  ];
  for (const [id, value] of wanted) assert.is(fields.get(id), value, `element ${id}`);
  const next = exporter.packet(packet, 1000, 5_000_000);
  assert.is(next.length, 1, "templates are not sent with every record");
  assert.is(read(next[0]).getUint32(8), 3, "the sequence counts records, the exporter's own too");
  assert.is(exporter.packet(packet, 600_999, 0).length, 1);
  assert.is(exporter.packet(packet, 601_000, 0).length, messages.length, "and are sent again after ten minutes");
});

test("records tell what the exporter has seen in all: by destination, by TCP's flags, and what went nowhere", () => {
  const exporter = new IpfixExporter(uncached);
  const collector = new Collector();
  const tcp = Uint8Array.from(Buffer.from(frame));
  tcp[23] = 6;
  const withFlags = Uint8Array.from([...tcp.slice(0, 42), 0, 0, 0, 0, 0x50, 0x12, ...new Uint8Array(6)]);
  const to = (first: number): Uint8Array => Uint8Array.from(withFlags, (byte, i) => (i < 6 ? first : byte));
  collector.take(exporter.packet({ ...packet, packet: to(0xff) }, 0, 0));
  collector.take(exporter.packet({ ...packet, packet: to(0x01), egress: true }, 0, 0));
  const [data] = collector.take(exporter.packet({ ...packet, packet: withFlags, dropped: true }, 0, 0));
  const fields = collector.decode(data);
  const number = (id: number): number => Number.parseInt(fields.get(id) ?? "", 16);
  assert.equal([356, 355, 354, 357, 358, 174].map(number), [2, 0, 2, 0, 0, 2], "broadcast, multicast, unicast");
  assert.equal([133, 135, 2, 86].map(number), [2, 2, 2, 6], "dropped and all, of the flow and in all");
  assert.equal([132, 134, 85, 175].map(number), [168, 168, 504, 168], "octets behind the Ethernet header");
  assert.equal([222, 218, 219, 220, 221, 223].map(number), [6, 6, 0, 0, 0, 0], "SYN and ACK");
});

test("each kind of packet fits its template", () => {
  const exporter = new IpfixExporter({ ...uncached, virtualObsId: "vm-1" });
  const collector = new Collector();
  const [src, dst, key] = [frame.slice(0, 4), frame.slice(4, 8), frame.slice(0, 4)];
  const tunnel = { src, dst, protocol: 47, srcPort: 0, dstPort: 0, type: 2, key };
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
        const messages = exporter.packet({ ...packet, packet: bytes, egress, tunnel: maybe }, 0, 0);
        const [data] = collector.take(messages);
        seen.add(setOf(data as DataView));
        const fields = collector.decode(data);
        assert.is(fields.get(61), egress ? "01" : "00");
        assert.is(fields.get(898), Buffer.from("vm-1").toString("hex"));
        assert.is(fields.has(892), maybe !== undefined);
      }
    }
  }
  assert.is(seen.size, 16, "four shapes, two ways, with and without a tunnel");
});

test("a cache gathers a flow until its time is up, and makes room by age", () => {
  const exporter = new IpfixExporter({ ...uncached, activeTimeoutS: 10, flowsMax: 2 });
  const collector = new Collector();
  assert.is(exporter.packet(packet, 0, 500).length, 0);
  assert.is(exporter.packet(packet, 4000, 4500).length, 0);
  assert.is(exporter.expire(9999, 10_499).length, 0);
  const [data] = collector.take(exporter.expire(10_000, 10_500));
  const fields = collector.decode(data);
  const hex = (value: number): string => value.toString(16).padStart(8, "0");
  assert.is(fields.get(2), "0000000000000004");
  assert.is(fields.get(158), hex(10_500_000), "began so many microseconds before the second that the export is of");
  assert.is(fields.get(159), hex(6_500_000));
  assert.is(fields.get(136), "02");
  for (const pointId of [1, 2]) exporter.packet({ ...packet, pointId }, 20_000, 0);
  const [evicted] = collector.take(exporter.packet({ ...packet, pointId: 3 }, 20_000, 0));
  assert.is(collector.decode(evicted).get(136), "05", "the reason is lack of room");
  assert.is(collector.decode(evicted).get(138), "00000001");
  assert.equal([exporter.currentFlows, exporter.evicted], [2, 1]);
  assert.is(collector.take(exporter.expire(20_000, 0, true)).length, 2, "all of them at the end");
  assert.is(exporter.currentFlows, 0);
});

test.run();
