/** Queueing disciplines against the bytes that Open vSwitch 3.1 sends for the same settings, as strace shows them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Discipline, disciplines, type Settings, type ShapedDevice } from "../../ts/netdev/disciplines.js";
import {
  countersOf,
  decodeTc,
  encodeAttributes,
  encodeString,
  encodeTc,
  encodeWords,
  handle,
  rootParent,
  tcAttribute,
  tcFlags,
  tcType,
} from "../../ts/netdev/tc-message.js";
import { bytesToTicks, parseTcClock, ticksToBytes } from "../../ts/netdev/tc-rate.js";

const clock = parseTcClock("000003e8 00000040 000f4240 3b9aca00\n");
const device: ShapedDevice = { mtu: 1500, speed: 1_250_000_000, clock };
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const named = (name: string): Discipline => {
  const found = disciplines.find((row) => row.name === name);
  if (found === undefined) throw new Error(`no discipline ${name}`);
  return found;
};
const details = (text: string): Map<string, string> =>
  new Map(text === "" ? [] : text.split(" ").map((word) => word.split("=") as [string, string]));

/** The message that makes the discipline on device 3, behind the header. */
function message(name: string, text: string): string {
  const row = named(name);
  const value = row.encode(row.settings(details(text), device), device);
  assert.ok(value !== undefined);
  const request = {
    type: tcType.newQdisc,
    flags: tcFlags.make,
    ifindex: 3,
    handle: handle(1, 0),
    parent: rootParent,
  };
  return hex(
    encodeTc(request, [
      { type: tcAttribute.kind, value: encodeString(row.kernelName ?? "") },
      { type: tcAttribute.options, value },
    ]).subarray(16),
  );
}

const head = "000000000300000000000100ffffffff00000000";
for (const [name, text, tail] of [
  ["linux-htb", "max-rate=1000000000", "08000100687462001c00020018000200030000000a000000010000000000000000000000"],
  ["linux-codel", "target=7000", "0a000100636f64656c0000001c00020008000100581b0000080002000028000008000300a0860100"],
  [
    "linux-fq_codel",
    "",
    "0d00010066715f636f64656c000000002c000200080001008813000008000200002800000800030040420f00080005000004000008000600ea050000",
  ],
  ["linux-sfq", "perturb=3", "080001007366710018000200dc05000003000000000000000000000000000000"],
  [
    "linux-netem",
    "latency=2000 loss=5",
    "0a0001006e6574656d0000001c000200127a0000e8030000cccccc0c000000000000000000000000",
  ],
  ["linux-hfsc", "max-rate=5000000", "0900010068667363000000000600020001000000"],
] as const) {
  test(`the message that makes ${name} is Open vSwitch's`, () => {
    assert.is(message(name, text), head + tail);
  });
}

test("a class of HTB is Open vSwitch's: rates, quantum, bursts in ticks, tables", () => {
  const { classes } = named("linux-htb");
  const qos = { maxRate: 125_000_000 };
  const of = (text: string): string =>
    hex(classes?.encode(classes.settings(details(text), qos, device) as Settings, device) as Uint8Array);
  assert.ok(
    of("max-rate=50000000 burst=1000000").startsWith(
      "300001000300000000003c00dc0500000300000000003c00105e5f0005379c4db4c40400dc0500000000000000000000040404006889090068890900",
    ),
  );
  assert.ok(
    of("priority=3 min-rate=300000000").startsWith(
      "300001000300000000003c0060343c020300000000003c00405973078b020000c300000000000000000000000300000004040400190000001900000019000000190000001900000019000000190000001a0000001e000000",
    ),
  );
});

test("rates of a class stay within those of the port, and above a frame a second", () => {
  const { classes } = named("linux-htb");
  const read = (text: string, mtu: number | undefined = 1500): Settings | undefined =>
    classes?.settings(details(text), { maxRate: 1000 * 1000 }, { ...device, mtu });
  assert.equal(read(""), { minRate: 1500, maxRate: 1_000_000, burst: 1564, priority: 0 });
  assert.equal(read("min-rate=80000000"), { minRate: 1_000_000, maxRate: 1_000_000, burst: 1564, priority: 0 });
  assert.equal(read("min-rate=16000 max-rate=8000"), { minRate: 2000, maxRate: 2000, burst: 1564, priority: 0 });
  assert.equal(read("max-rate=nonsense burst=-1"), { minRate: 1500, maxRate: 1_000_000, burst: 1564, priority: 0 });
});

test("what is not said is what the device can, or the discipline's own", () => {
  assert.equal(named("linux-htb").settings(details(""), device), { maxRate: 1_250_000_000 });
  assert.equal(named("linux-hfsc").settings(details("max-rate=8000"), device), { maxRate: 1000 });
  assert.equal(named("linux-sfq").settings(details(""), device), { quantum: 1500, perturb: 10 });
  assert.equal(named("linux-netem").settings(details(""), device), { latency: 0, limit: 1000, loss: 0 });
});

test("a loss of more than all is refused", () => {
  const netem = named("linux-netem");
  assert.is(netem.encode(netem.settings(details("loss=101"), device), device), undefined);
  assert.is.not(netem.encode(netem.settings(details("loss=100"), device), device), undefined);
});

test("classes are read as they were written, also at rates beyond 32 bits", () => {
  for (const name of ["linux-htb", "linux-hfsc"]) {
    const { classes } = named(name);
    assert.ok(classes !== undefined);
    if (classes === undefined) continue;
    for (const most of [125_000_000, ...(name === "linux-htb" ? [12_500_000_000] : [])]) {
      const settings = classes.settings(details("min-rate=400000000"), { maxRate: most }, device) as Settings;
      const { burst: _, ...read } = classes.decode(classes.encode(settings, device), device) as Settings;
      const { burst: __, ...wrote } = settings;
      assert.equal(read, wrote);
    }
  }
});

test("curves of HFSC that we would not make are not taken for ours", () => {
  const { classes } = named("linux-hfsc");
  const curves = (realTime: readonly number[], linkShare: readonly number[], upperLimit: readonly number[]) =>
    classes?.decode(
      encodeAttributes([
        { type: 1, value: encodeWords(...realTime) },
        { type: 2, value: encodeWords(...linkShare) },
        { type: 3, value: encodeWords(...upperLimit) },
      ]),
      device,
    );
  assert.equal(curves([0, 0, 5], [0, 0, 5], [0, 0, 9]), { minRate: 5, maxRate: 9 });
  assert.is(curves([1, 0, 5], [0, 0, 5], [0, 0, 9]), undefined);
  assert.is(curves([0, 0, 4], [0, 0, 5], [0, 0, 9]), undefined);
  assert.is(curves([0, 0, 5], [0, 0, 5], [0, 0, 4]), undefined);
  assert.is(classes?.decode(new Uint8Array(7), device), undefined);
});

test("ticks and bytes are of the kernel's clock, and without one as coarse as can be", () => {
  assert.equal(clock, { ticksPerSecond: 15_625_000, bufferHz: 1_000_000_000 });
  assert.equal(parseTcClock(undefined), { ticksPerSecond: 1, bufferHz: 100 });
  assert.equal(parseTcClock("nonsense"), { ticksPerSecond: 1, bufferHz: 100 });
  assert.is(bytesToTicks(clock, 125_000, 1500), 187_500);
  assert.is(bytesToTicks(clock, 0, 1500), 0);
  assert.is(ticksToBytes(clock, 125_000, 187_500), 1500);
});

test("answers that are cut short, or are of something else, are left out", () => {
  const whole = encodeTc({ type: tcType.newClass, flags: 0, ifindex: 7, handle: handle(1, 2) }, [
    { type: tcAttribute.kind, value: encodeString("htb") },
  ]);
  assert.is(decodeTc(whole).length, 1);
  for (let size = 0; size < whole.length; size++) assert.is(decodeTc(whole.subarray(0, size)).length, 0);
  const other = whole.slice();
  other[4] = 16;
  assert.is(decodeTc(other).length, 0);
  const lying = whole.slice();
  lying[36] = 200;
  const [found] = decodeTc(lying);
  assert.is(found?.attributes.size, 0);
  assert.is(countersOf(found as NonNullable<typeof found>), undefined);
});

test.run();
