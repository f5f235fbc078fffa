import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  configureLacp,
  type LacpSettings,
  type LacpState,
  lacpCarrierUp,
  lacpDue,
  mayEnable,
  receiveLacp,
  runLacp,
} from "../../ts/protocols/index.js";

const test = suite("LACP");

const system = (name: string, change: Partial<LacpSettings> = {}): LacpSettings => ({
  name,
  systemId: Uint8Array.of(2, 0, 0, 0, 0, name.charCodeAt(0)),
  systemPriority: 65534,
  active: true,
  fast: true,
  fallback: false,
  ...change,
});
const links = ["p1", "p2"].map((name, index) => ({ name, portId: index + 1, portPriority: 65535, key: 0 }));

/** Both ends of two cables, seen every 100 ms. */
class Cables {
  now = 0;
  readonly ends: [LacpState, LacpState];
  cut = false;

  constructor(a: LacpSettings, b: LacpSettings) {
    const make = (settings: LacpSettings): LacpState =>
      links.reduce((state, { name }) => lacpCarrierUp(state, name), configureLacp(undefined, settings, links, 0));
    this.ends = [make(a), make(b)];
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 100) {
      for (const side of [0, 1] as const) {
        const step = runLacp(this.ends[side], this.now);
        this.ends[side] = step.state;
        const other = side === 0 ? 1 : 0;
        for (const { member, pdu } of this.cut ? [] : step.transmissions)
          this.ends[other] = receiveLacp(this.ends[other], member, pdu, this.now).state;
      }
    }
  }

  usable(side: 0 | 1): boolean[] {
    const state = this.ends[side];
    return state.members.map((member) => mayEnable(state, member));
  }
}

test("two systems find each other, one of them passive", () => {
  const cables = new Cables(system("a"), system("b", { active: false }));
  cables.run(2000);
  for (const side of [0, 1] as const) {
    assert.ok(cables.ends[side].negotiated);
    assert.equal(cables.usable(side), [true, true]);
    assert.equal(
      cables.ends[side].members.map(({ status }) => status),
      ["current", "current"],
    );
  }
});

test("two passive systems say nothing", () => {
  const cables = new Cables(system("a", { active: false }), system("b", { active: false }));
  cables.run(5000);
  assert.not(cables.ends[0].negotiated);
  assert.equal(
    cables.ends[0].members.map(({ counts }) => counts.txPdus),
    [0, 0],
  );
});

test("a silent partner is expired after three seconds, and defaulted after three more", () => {
  const cables = new Cables(system("a"), system("b"));
  cables.run(2000);
  cables.cut = true;
  const status = (): string | undefined => cables.ends[0].members[0]?.status;
  cables.run(2000);
  assert.is(status(), "current");
  cables.run(1500);
  assert.is(status(), "expired");
  assert.equal(cables.usable(0), [false, false]);
  cables.run(3500);
  assert.is(status(), "defaulted");
  assert.not(cables.ends[0].negotiated);
  assert.is(cables.ends[0].members[0]?.counts.defaulted, 1);
});

test("without a partner, fallback lets members be used", () => {
  const cables = new Cables(system("a", { fallback: true }), system("b"));
  cables.cut = true;
  cables.run(5000);
  assert.equal(cables.usable(0), [true, true]);
  assert.not(cables.ends[0].negotiated);
});

test("links to another system than the leading one are not attached", () => {
  const cables = new Cables(system("a"), system("b"));
  cables.run(2000);
  const stranger = new Cables(system("c"), system("d"));
  const [pdu] = runLacp(stranger.ends[0], 0).transmissions;
  const heard = receiveLacp(cables.ends[0], "p2", pdu?.pdu ?? new Uint8Array(), cables.now).state;
  const { state } = runLacp(heard, cables.now);
  assert.equal(
    state.members.map(({ attached }) => attached),
    [true, false],
  );
});

test("what is no PDU is counted and reported", () => {
  const { ends } = new Cables(system("a"), system("b"));
  for (const size of [0, 1, 109, 110]) {
    const step = receiveLacp(ends[0], "p1", new Uint8Array(size), 0);
    assert.is(step.state.members[0]?.counts.rxBad, 1);
    assert.is(step.notes[0]?.level, "warn");
  }
  const marker = new Uint8Array(110);
  marker[0] = 2;
  assert.is(receiveLacp(ends[0], "p1", marker, 0).state.members[0]?.counts.rxMarker, 1);
});

test("nothing is due before it is", () => {
  const cables = new Cables(system("a"), system("b"));
  cables.run(3000);
  const due = lacpDue(cables.ends[0]);
  assert.ok(due >= cables.now - 100 && due <= cables.now + 1000, String(due - cables.now));
  assert.equal(runLacp(cables.ends[0], due - 1).transmissions, []);
});

test.run();
