import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type BfdMessage,
  bfdDiagnostic,
  bfdFlag,
  bfdOfFrame,
  composeBfd,
  parseBfd,
} from "../../ts/protocols/bfd-packet.js";
import {
  type BfdSettings,
  type BfdState,
  type BfdStep,
  bfdDue,
  bfdForwards,
  bfdFrame,
  bfdStatus,
  configureBfd,
  formatBfd,
  hearBfdTraffic,
  overrideBfd,
  receiveBfd,
  runBfd,
} from "../../ts/protocols/index.js";

const test = suite("BFD");

const settings: BfdSettings = {
  name: "p0",
  minTxMs: 100,
  minRxMs: 100,
  decayMinRxMs: 0,
  mult: 3,
  cpathDown: false,
  forwardingIfRx: false,
};
const ethSrc = Uint8Array.of(2, 0, 0, 0, 0, 1);
const addresses = {
  ethSrc,
  ethDst: Uint8Array.of(0, 0x23, 0x20, 0, 0, 1),
  ipSrc: Uint8Array.of(169, 254, 1, 1),
  ipDst: Uint8Array.of(169, 254, 1, 0),
  udpSrc: 49152,
};

/** One end of a link in virtual time. */
class End {
  state: BfdState;
  isCut = false;
  readonly notes: string[] = [];
  rxPackets = 0;
  now = 0;
  constructor(
    name: string,
    disc: number,
    readonly random: () => number,
    change: Partial<BfdSettings> = {},
  ) {
    this.state = this.take(configureBfd(undefined, { ...settings, name, ...change }, disc, this.around())).state;
  }
  around(): { now: number; random: () => number; rxPackets: () => number } {
    return { now: this.now, random: this.random, rxPackets: () => this.rxPackets };
  }
  take(step: BfdStep): BfdStep {
    this.state = step.state;
    this.notes.push(...step.notes.map(({ text }) => text));
    return step;
  }
  configure(change: Partial<BfdSettings>): void {
    this.take(configureBfd(this.state, { ...this.state.settings, ...change }, 0, this.around()));
  }
  receive(message: Uint8Array): void {
    this.rxPackets += 1;
    this.take(receiveBfd(this.state, bfdFrame(addresses, message), this.around()));
  }
}

/** Lets a link live until `until`, a millisecond at a time. */
function live(ends: readonly [End, End], until: number): void {
  while (ends[0].now < until) {
    for (const end of ends) end.now += 1;
    for (const [from, to] of [ends, [ends[1], ends[0]] as const]) {
      while (bfdDue(from.state) <= from.now) {
        for (const message of from.take(runBfd(from.state, from.around())).transmissions)
          if (!from.isCut) to.receive(message);
      }
    }
  }
}

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const pair = (a: Partial<BfdSettings> = {}, b: Partial<BfdSettings> = {}): [End, End] => [
  new End("p0", 0x1001, random(7), a),
  new End("p1", 0x2002, random(8), b),
];

test("two ends come up, and agree on the slower of what each sends and the other takes", () => {
  const ends = pair({ minTxMs: 100, minRxMs: 300 }, { minTxMs: 200, minRxMs: 400 });
  live(ends, 5000);
  assert.is(ends[0].state.state, "up");
  assert.is(ends[1].state.state, "up");
  assert.match(formatBfd(ends[0].state, 5000), "TX Interval: Approx 400ms");
  assert.match(formatBfd(ends[0].state, 5000), "RX Interval: Approx 300ms");
  assert.match(formatBfd(ends[1].state, 5000), "TX Interval: Approx 300ms");
  assert.is(bfdForwards(ends[0].state), true);
  assert.is(ends[0].state.flaps, 1);
});

test("an end that hears nothing for three intervals is down, and says so to the other", () => {
  const ends = pair();
  live(ends, 5000);
  ends[0].isCut = true;
  live(ends, 5190);
  assert.is(ends[1].state.state, "up");
  live(ends, 5310);
  assert.is(ends[1].state.state, "down");
  assert.is(ends[1].state.diagnostic, bfdDiagnostic.expired);
  live(ends, 5500);
  assert.is(ends[0].state.state, "down");
  assert.is(ends[0].state.diagnostic, bfdDiagnostic.remoteDown);
  assert.is(ends[0].state.flaps, 2);
  assert.ok(ends[0].notes.some((note) => note.startsWith('p0: BFD state change: up->down "No Diagnostic"->"Neighbor')));
});

test("packets are sent between three quarters of the interval and all of it; never as late with a multiplier of 1", () => {
  for (const [mult, most] of [
    [3, 100],
    [1, 90],
  ] as const) {
    const ends = pair({ mult }, { mult });
    live(ends, 6000);
    assert.is(ends[0].state.state, "up", `multiplier ${mult}`);
    let last = ends[0].state.lastTx;
    for (let ms = 6001; ms < 16_000; ms++) {
      live(ends, ms);
      const { lastTx } = ends[0].state;
      if (lastTx === last) continue;
      assert.ok(lastTx - last >= 75 && lastTx - last <= most, `${lastTx - last} ms with multiplier ${mult}`);
      last = lastTx;
    }
  }
});

test("new times are polled for, and hold once the other end has answered", () => {
  const ends = pair();
  live(ends, 5000);
  ends[0].configure({ minTxMs: 50, minRxMs: 200 });
  assert.is(ends[0].state.isPolling, true);
  assert.is(ends[0].state.minTxMs, 50, "faster sending may begin at once");
  live(ends, 5010);
  assert.is(ends[0].state.isPolling, false);
  assert.is(ends[0].state.minRxMs, 200);
  assert.is(ends[1].state.remote.minRxMs, 200);
  assert.ok(ends[0].notes.some((note) => note.startsWith("p0: Poll sequence terminated.")));
  live(ends, 8000);
  assert.is(ends[1].state.state, "up");
});

test("a concatenated path that is down takes forwarding from the other end, not the session", () => {
  const ends = pair();
  live(ends, 5000);
  ends[0].configure({ cpathDown: true });
  live(ends, 5300);
  assert.is(ends[1].state.state, "up");
  assert.is(bfdForwards(ends[1].state), false);
  assert.is(bfdForwards(ends[0].state), true);
  assert.is(bfdStatus(ends[1].state).get("remote_diagnostic"), "Concatenated Path Down");
});

test("without other traffic an end asks for fewer packets, and for as many as before when there is some", () => {
  const ends = pair({ decayMinRxMs: 1000 });
  live(ends, 9000);
  assert.is(ends[0].state.minRxMs, 1000);
  assert.is(ends[1].state.remote.minRxMs, 1000);
  for (let ms = 9001; ms < 14_000; ms++) {
    if (ms % 10 === 0) ends[0].rxPackets += 1;
    live(ends, ms);
  }
  assert.is(ends[0].state.minRxMs, 100);
  assert.is(ends[0].state.state, "up");
});

test("the look for other traffic is due at its time, whenever control packets are", () => {
  let state = configureBfd(undefined, { ...settings, decayMinRxMs: 3000 }, 1, {
    now: 0,
    random: () => 0.5,
    rxPackets: () => 0,
  }).state;
  state = { ...state, state: "up", nextTx: 5000, detectTime: 9000 };
  assert.is(bfdDue(state), 3000);
  assert.is(bfdDue({ ...state, state: "init" }), 5000, "a session that is not up does not look");
  assert.is(bfdDue({ ...state, settings }), 5000, "nor one that was not asked to");
});

test("with forwarding_if_rx any traffic counts, as long as some of BFD came within a hundred intervals", () => {
  const ends = pair({ forwardingIfRx: true });
  live(ends, 5000);
  ends[1].isCut = true;
  for (let ms = 5001; ms < 14_000; ms++) {
    live(ends, ms);
    if (ms % 100 === 0) ends[0].take(hearBfdTraffic(ends[0].state, ends[0].around()));
  }
  assert.is(ends[0].state.state, "down");
  assert.is(bfdForwards(ends[0].state), true);
  for (let ms = 14_000; ms < 16_000; ms++) {
    live(ends, ms);
    if (ms % 100 === 0) ends[0].take(hearBfdTraffic(ends[0].state, ends[0].around()));
  }
  assert.is(bfdForwards(ends[0].state), false);
});

test("an administrator's word holds in place of the session's, and flaps are not counted meanwhile", () => {
  const ends = pair();
  live(ends, 5000);
  ends[0].state = overrideBfd(ends[0].state, false);
  assert.is(bfdForwards(ends[0].state), false);
  assert.is(bfdStatus(ends[0].state).get("forwarding"), "false");
  live(ends, 6000);
  assert.is(ends[0].state.flaps, 1);
  ends[0].state = overrideBfd(ends[0].state, undefined);
  assert.is(bfdForwards(ends[0].state), true);
});

test("packets that cannot be are refused with a warning and change nothing but what was counted", () => {
  const ends = pair();
  live(ends, 5000);
  const [end] = ends;
  const good: BfdMessage = {
    version: 1,
    diagnostic: 0,
    state: "down",
    flags: 0,
    mult: 3,
    length: 24,
    myDisc: 0x2002,
    yourDisc: 0x1001,
    minTxUs: 100_000,
    minRxUs: 100_000,
    minRxEchoUs: 0,
  };
  const cases: readonly (readonly [Partial<BfdMessage>, string])[] = [
    [{ version: 0 }, "Incorrect version"],
    [{ flags: bfdFlag.auth }, "Authenticated control message with authentication disabled"],
    [{ length: 23 }, "Unexpected length"],
    [{ mult: 0 }, "Zero multiplier"],
    [{ flags: bfdFlag.multipoint }, "Unsupported multipoint flag"],
    [{ myDisc: 0 }, "NULL my_disc"],
    [{ yourDisc: 5 }, "Incorrect your_disc"],
    [{ yourDisc: 0, state: "up" }, "Null your_disc"],
  ];
  for (const [change, complaint] of cases) {
    end.notes.length = 0;
    const before = { ...end.state, decay: undefined };
    end.receive(composeBfd({ ...good, ...change }));
    assert.equal({ ...end.state, decay: undefined }, before, complaint);
    assert.ok(end.notes.at(-1)?.startsWith(`p0: ${complaint}.\n  vers:`), `${end.notes.at(-1)}`);
  }
  const frame = bfdFrame(addresses, composeBfd(good));
  const isUnchanged = (bytes: Uint8Array): boolean => receiveBfd(end.state, bytes, end.around()).state.state === "up";
  for (let size = 0; size < frame.length; size++) assert.ok(isUnchanged(frame.subarray(0, size)), `${size} bytes`);
  const far = frame.slice();
  far[22] = 254;
  assert.ok(isUnchanged(far), "a packet that was routed");
  end.receive(composeBfd(good));
  assert.is(end.state.state, "down", "the same packet without a fault counts");
});

test("messages survive composing and parsing; frames say where the message is behind tags", () => {
  const draw = random(5880);
  for (let round = 0; round < 500; round++) {
    const word = (): number => Math.floor(draw() * 2 ** 32);
    const message: BfdMessage = {
      version: word() & 7,
      diagnostic: word() & 31,
      state: (["admin_down", "down", "init", "up"] as const)[word() & 3] ?? "down",
      flags: word() & 63,
      mult: word() & 255,
      length: word() & 255,
      myDisc: word(),
      yourDisc: word(),
      minTxUs: word(),
      minRxUs: word(),
      minRxEchoUs: word(),
    };
    const bytes = composeBfd(message);
    assert.equal(parseBfd(bytes), message);
    const frame = bfdFrame(addresses, bytes);
    const tagged = Uint8Array.from([...frame.subarray(0, 12), 0x81, 0, 0, 5, ...frame.subarray(12)]);
    for (const each of [frame, tagged]) assert.equal(bfdOfFrame(each), { ttl: 255, payload: bytes });
  }
});

test.run();
