import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ccmOfFrame, composeCcm, parseCcm } from "../../ts/protocols/cfm-packet.js";
import {
  type CfmSettings,
  type CfmState,
  ccmFrame,
  cfmDue,
  cfmFaultNames,
  cfmFaults,
  cfmInterval,
  cfmLinkWorks,
  configureCfm,
  formatCfm,
  isValidCfm,
  overrideCfm,
  receiveCcm,
  runCfm,
} from "../../ts/protocols/index.js";

const test = suite("CFM");

const settings: CfmSettings = {
  name: "p0",
  mpid: 1n,
  intervalMs: 100,
  extended: false,
  demand: false,
  opup: true,
  vlan: 0,
  pcp: 0,
};
const source = "02:00:00:00:00:01";

/** One end of a link in virtual time. */
class End {
  state: CfmState;
  isCut = false;
  now = 0;
  rxPackets = 0;
  readonly notes: string[] = [];
  constructor(change: Partial<CfmSettings>) {
    this.state = configureCfm(undefined, { ...settings, ...change }, this.around());
  }
  around(): { now: number; rxPackets: () => number } {
    return { now: this.now, rxPackets: () => this.rxPackets };
  }
  receive(message: Uint8Array): void {
    this.rxPackets += 1;
    const step = receiveCcm(this.state, message, source, this.around());
    this.state = step.state;
    this.notes.push(...step.notes.filter(({ level }) => level !== "dbg").map(({ text }) => text));
  }
}

/** Lets links between all ends live until `until`, ten milliseconds at a time. */
function live(ends: readonly End[], until: number): void {
  for (let now = (ends[0]?.now ?? 0) + 10; now <= until; now += 10) {
    for (const end of ends) end.now = now;
    for (const from of ends) {
      if (cfmDue(from.state) > now) continue;
      const step = runCfm(from.state, from.around());
      from.state = step.state;
      from.notes.push(...step.notes.filter(({ level }) => level !== "dbg").map(({ text }) => text));
      for (const message of step.transmissions)
        for (const to of ends) if (to !== from && !from.isCut) to.receive(message);
    }
  }
}

const faults = ({ state }: End): string => cfmFaultNames(cfmFaults(state)).join(" ");
const pair = (change: Partial<CfmSettings> = {}): [End, End] => [
  new End({ ...change, name: "p0", mpid: 1n }),
  new End({ ...change, name: "p1", mpid: 2n }),
];

test("two ends hear each other and know who they are", () => {
  const ends = pair();
  live(ends, 5000);
  assert.is(faults(ends[0]), "");
  assert.equal(ends[0].state.heard, [2n]);
  assert.equal(ends[1].state.heard, [1n]);
  assert.is(ends[0].state.health, 100);
  assert.is(ends[0].state.flaps, 0);
  assert.equal(ends[0].notes, []);
});

test("an end that hears nobody for three and a half intervals has a fault, and tells the other, which has one too", () => {
  const ends = pair();
  live(ends, 5000);
  ends[0].isCut = true;
  live(ends, 6200);
  assert.is(faults(ends[1]), "recv");
  assert.is(faults(ends[0]), "rdi");
  assert.is(ends[1].state.flaps, 1);
  assert.ok(ends[1].notes.includes("p1: CFM faults changed from [] to [recv]."));
  assert.match(formatCfm(ends[1].state, 6200), "---- p1 ----\nMPID 2:\n  fault: recv\n");
  ends[0].isCut = false;
  live(ends, 8000);
  assert.is(faults(ends[0]), "");
  assert.is(faults(ends[1]), "");
  assert.is(ends[1].state.flaps, 2);
});

test("in extended mode an end that is not operational takes the link down without a fault", () => {
  const ends = pair({ extended: true, intervalMs: 250 });
  live(ends, 3000);
  assert.is(cfmLinkWorks(ends[0].state), true);
  ends[1].state = configureCfm(ends[1].state, { ...ends[1].state.settings, opup: false }, ends[1].around());
  live(ends, 6000);
  assert.is(faults(ends[0]), "");
  assert.is(cfmLinkWorks(ends[0].state), false);
  assert.is(cfmLinkWorks(ends[1].state), true);
});

test("on demand other packets stand for messages, as long as one comes within a hundred intervals", () => {
  const ends = pair({ extended: true, demand: true, intervalMs: 100 });
  live(ends, 5000);
  ends[1].isCut = true;
  const chatter = (until: number): void => {
    for (let now = ends[0].now + 100; now <= until; now += 100) {
      ends[0].rxPackets += 1;
      live(ends, now);
    }
  };
  chatter(14_000);
  assert.is(faults(ends[0]), "");
  chatter(20_000);
  assert.is(faults(ends[0]), "recv");
});

test("its own number, gaps and other intervals are warned of", () => {
  const ends = [new End({ mpid: 7n }), new End({ mpid: 7n, intervalMs: 10 })] as const;
  live(ends, 3500);
  assert.match(faults(ends[0]), "loopback");
  assert.ok(ends[0].notes.includes("p0: received CCM with local MPID 7"));
  assert.ok(ends[0].notes.includes("p0: received a CCM with an unexpected interval (2) from RMP 7"));
  const one = new End({});
  const ccm = { mpid: 9n, interval: 3, intervalMs: 0, rdi: false, opdown: false };
  one.receive(composeCcm({ ...ccm, seq: 5 }, false));
  one.receive(composeCcm({ ...ccm, seq: 8 }, false));
  const text = "detected sequence numbers which indicate possible connectivity problems (previous 5) (current 8)";
  assert.is(one.notes.at(-1), `p0: (mpid 9) ${text}`);
});

test("messages for others, of other kinds and without end change nothing but what is said", () => {
  const end = new End({});
  const good = composeCcm({ seq: 1, mpid: 9n, interval: 3, intervalMs: 0, rdi: false, opdown: false }, false);
  for (let size = 0; size < 74; size++) end.receive(good.subarray(0, size));
  assert.is(end.notes.at(-1), "p0: Received an unparseable 802.1ag CCM heartbeat.");
  const other = good.slice();
  other[1] = 3;
  end.receive(other);
  assert.is(end.notes.at(-1), "p0: Received an unsupported 802.1ag message. (opcode 3)");
  assert.equal(end.state.remotes, []);
  const stranger = good.slice();
  stranger[12] = 0x78;
  end.receive(stranger);
  assert.is(end.notes.at(-1), `p0: Received unexpected remote MAID from MAC ${source}`);
  live([end], 400);
  assert.is(faults(end), "recv maid");
});

test("an administrator's word holds in place of what was heard", () => {
  const ends = pair();
  live(ends, 5000);
  const faulty = overrideCfm(ends[0].state, true);
  assert.is(cfmLinkWorks(faulty), false);
  assert.match(formatCfm(faulty, 5000), "MPID 1: fault_override\n  fault: override\n");
  assert.is(cfmLinkWorks(overrideCfm(faulty, undefined)), true);
});

test("intervals and numbers are those of 802.1ag, and any in extended mode", () => {
  assert.equal(cfmInterval(1, false), [1, 3]);
  assert.equal(cfmInterval(99, false), [2, 10]);
  assert.equal(cfmInterval(100, false), [3, 100]);
  assert.equal(cfmInterval(700_000, false), [7, 600_000]);
  assert.equal(cfmInterval(300, true), [0, 300]);
  assert.equal(cfmInterval(1000, true), [4, 1000]);
  assert.equal(cfmInterval(70_000, true), [0, 65_535]);
  assert.is(isValidCfm({ ...settings, mpid: 8192n }), false);
  assert.is(isValidCfm({ ...settings, mpid: 8192n, extended: true }), true);
  assert.is(isValidCfm({ ...settings, mpid: 0n }), false);
});

test("messages survive composing and parsing; frames say where the message is behind tags", () => {
  for (const extended of [false, true]) {
    const ccm = {
      seq: 0xfffffffe,
      mpid: extended ? 0x1122334455667788n : 8191n,
      interval: extended ? 0 : 3,
      intervalMs: extended ? 300 : 0,
      rdi: true,
      opdown: extended,
    };
    const bytes = composeCcm(ccm, extended);
    assert.equal(parseCcm(bytes, extended), ccm);
    for (const tci of [0, 0xe005])
      assert.equal(ccmOfFrame(ccmFrame(new Uint8Array(6), bytes, extended, tci)), bytes, `tag ${tci}`);
  }
});

test.run();
