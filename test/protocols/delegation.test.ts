/** What repeats itself of BFD, CFM and LACP is the datapath's, which only counts: a state machine that is told counts is in
 *  the state that it would be in, had it seen each message. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type BfdState,
  bfdFrame,
  type CfmState,
  ccmSeqAt,
  composeBfdNow,
  composeCcm,
  configureBfd,
  configureCfm,
  configureLacp,
  countBfd,
  countLacp,
  isSteadyBfd,
  isSteadyLacp,
  type LacpState,
  lacpCarrierUp,
  nextCcm,
  receiveBfd,
  receiveCcm,
  receiveLacp,
  runBfd,
  runLacp,
  skipCcms,
} from "../../ts/protocols/index.js";
import { type Random, seeded } from "../differential/random.js";

const seed = Number(process.env["SLUICE_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
console.log(`# seed ${seed}; SLUICE_SEED=${seed} repeats it`);
const rounds = 100;

/** Times of messages, in order, after `from`. */
function times(random: Random, from: number): number[] {
  let now = from;
  return Array.from({ length: 1 + random.below(20) }, () => (now += random.below(120)));
}

const last = (list: readonly number[]): number => list[list.length - 1] ?? 0;

test("BFD: the last packet and a count of those before it say what all of them say", () => {
  const random = seeded(seed);
  let compared = 0;
  for (let round = 0; round < rounds; round++) {
    const around = (now: number): Parameters<typeof receiveBfd>[2] => ({
      now,
      random: () => random.below(1000) / 1000,
      rxPackets: () => 0,
    });
    const make = (name: string, disc: number): BfdState => {
      const settings = {
        name,
        minTxMs: 100 * (1 + random.below(9)),
        minRxMs: 100 * (1 + random.below(9)),
        decayMinRxMs: random.chance(0.5) ? 0 : 2000,
        mult: 1 + random.below(5),
        cpathDown: random.chance(0.2),
        forwardingIfRx: random.chance(0.5),
      };
      return configureBfd(undefined, settings, disc, around(0)).state;
    };
    const address = Uint8Array.of(169, 254, 1, 1);
    const where = {
      ethSrc: new Uint8Array(6),
      ethDst: new Uint8Array(6),
      ipSrc: address,
      ipDst: address,
      udpSrc: 49152,
    };
    const ends: [BfdState, BfdState] = [make("p0", 1), make("p1", 2)];
    // Until both are up and have agreed on times.
    for (let now = 0; now < 12_000; now += 50) {
      for (const [from, to] of [
        [0, 1],
        [1, 0],
      ] as const) {
        const step = runBfd(ends[from], around(now));
        ends[from] = step.state;
        for (const message of step.transmissions)
          ends[to] = receiveBfd(ends[to], bfdFrame(where, message), around(now)).state;
      }
    }
    const frame = bfdFrame(where, composeBfdNow(ends[1]));
    const start = receiveBfd(ends[0], frame, around(12_000)).state;
    if (!isSteadyBfd(ends[0], start)) continue;
    compared++;
    const when = times(random, 12_000);
    let seen = start;
    for (const now of when) {
      const next = receiveBfd(seen, frame, around(now)).state;
      assert.ok(isSteadyBfd(seen, next), "a steady packet stays one");
      seen = next;
    }
    const told = countBfd(receiveBfd(start, frame, around(last(when))).state, when.length - 1);
    assert.equal(told, seen);
  }
  assert.ok(compared > rounds / 2, `${compared} sessions were up`);
});

test("CFM: the number of the last message and a count of those before it say what all of them say", () => {
  const random = seeded(seed);
  for (let round = 0; round < rounds; round++) {
    const extended = random.chance(0.5);
    const around = (now: number): Parameters<typeof receiveCcm>[3] => ({ now, rxPackets: () => 0 });
    const common = { intervalMs: 100, extended, demand: random.chance(0.5), opup: true, vlan: 0, pcp: 0 };
    const make = (name: string, mpid: bigint): CfmState =>
      configureCfm(undefined, { ...common, name, mpid }, around(0));
    const other = make("p1", 2n);
    const first = random.chance(0.2) ? 0xfffffff0 + random.below(16) : random.below(1000);
    const message = (seq: number): Uint8Array => {
      const bytes = composeCcm({ ...nextCcm(other), seq }, extended);
      assert.is(new DataView(bytes.buffer, bytes.byteOffset).getUint32(ccmSeqAt), seq);
      return bytes;
    };
    const start = receiveCcm(make("p0", 1n), message(first), "", around(10)).state;
    const when = times(random, 10);
    let seen = start;
    for (const [index, now] of when.entries()) {
      const step = receiveCcm(seen, message((first + index + 1) >>> 0), "", around(now));
      assert.ok(
        step.notes.every(({ level }) => level === "dbg"),
        step.notes.map(({ text }) => text).join(),
      );
      seen = step.state;
    }
    const seq = (first + when.length) >>> 0;
    const step = receiveCcm(skipCcms(start, seq, when.length - 1), message(seq), "", around(last(when)));
    assert.ok(step.notes.every(({ level }) => level === "dbg"));
    assert.equal(step.state, seen);
  }
});

test("LACP: the last PDU and a count of those before it say what all of them say", () => {
  const random = seeded(seed);
  for (let round = 0; round < rounds; round++) {
    const links = Array.from({ length: 1 + random.below(3) }, (_, index) => ({
      name: `p${index}`,
      portId: index + 1,
      portPriority: 65535,
      key: 0,
    }));
    const make = (number: number): LacpState => {
      const settings = {
        name: `bond${number}`,
        systemId: Uint8Array.of(2, 0, 0, 0, 0, number),
        systemPriority: random.below(65536),
        active: number === 0 || random.chance(0.5),
        fast: random.chance(0.5),
        fallback: random.chance(0.5),
      };
      const state = configureLacp(undefined, settings, links, 0);
      return links.reduce((before, { name }) => lacpCarrierUp(before, name), state);
    };
    const ends: [LacpState, LacpState] = [make(0), make(1)];
    const lastPdu = new Map<string, Uint8Array>();
    for (let now = 0; now < 5000; now += 100) {
      for (const from of [0, 1] as const) {
        const step = runLacp(ends[from], now);
        ends[from] = step.state;
        const to = from === 0 ? 1 : 0;
        for (const { member, pdu } of step.transmissions) {
          ends[to] = receiveLacp(ends[to], member, pdu, now).state;
          if (from === 1) lastPdu.set(member, pdu);
        }
      }
    }
    const name = random.pick(links).name;
    const pdu = lastPdu.get(name) ?? new Uint8Array();
    const start = receiveLacp(ends[0], name, pdu, 5000).state;
    assert.ok(isSteadyLacp(ends[0], start, name));
    const when = times(random, 5000);
    let seen = start;
    for (const now of when) seen = receiveLacp(seen, name, pdu, now).state;
    const more = { rxPdus: when.length - 1, txPdus: 0, txDue: undefined };
    const told = countLacp(receiveLacp(start, name, pdu, last(when)).state, name, more);
    assert.equal(told, seen);
    const sent = countLacp(seen, name, { rxPdus: 0, txPdus: 3, txDue: 7777 }).members.find((one) => one.name === name);
    assert.is(sent?.txDue, 7777);
    assert.is(sent?.counts.txPdus, (seen.members.find((one) => one.name === name)?.counts.txPdus ?? 0) + 3);
  }
});

test.run();
