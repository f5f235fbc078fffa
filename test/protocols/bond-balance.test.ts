import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  accountLoads,
  type BondLink,
  type BondSettings,
  type BondState,
  configureBond,
  formatBond,
  isBalanced,
  rebalance,
  runBond,
} from "../../ts/protocols/index.js";

const test = suite("bonds: balance");

const settings: BondSettings = {
  name: "bond0",
  mode: "balance-slb",
  updelayMs: 0,
  downdelayMs: 0,
  basis: 0,
  primary: undefined,
  fallback: false,
  allMembersActive: false,
  rebalanceMs: 10_000,
  lbOutput: false,
};
const links = (n: number): BondLink[] =>
  Array.from({ length: n }, (_, i) => ({ name: `p${i}`, mac: `02:00:00:00:00:0${i}`, carrier: true, mayEnable: true }));
const start = (n: number, change: Partial<BondSettings> = {}): BondState => {
  const configured = configureBond(undefined, { ...settings, ...change }, links(n), "off", undefined, 0);
  return runBond(configured.state, links(n), "off", 0).state;
};

/** Loads by bucket, and nothing else by any other. */
function loaded(state: BondState, placed: ReadonlyMap<number, readonly [member: string, bytes: number]>): BondState {
  const counted = Array.from({ length: 256 }, (_, bucket) => placed.get(bucket)?.[1] ?? 0);
  const buckets = state.buckets.map((member, bucket) => placed.get(bucket)?.[0] ?? member);
  return accountLoads({ ...state, buckets }, counted);
}

const carried = (state: BondState, name: string): number =>
  state.loads.reduce((sum, bytes, bucket) => (state.buckets[bucket] === name ? sum + bytes : sum), 0);

test("a bucket's load is what went by it since the last time, and half of it is forgotten at each rebalancing", () => {
  let state = accountLoads(start(2), Array(256).fill(1000));
  state = accountLoads(state, Array(256).fill(1500));
  assert.is(state.loads[7], 1500);
  state = rebalance(state, 10_000).state;
  assert.is(state.loads[7], 750);
  assert.is(state.rebalanceAt, 20_000);
  // A counter that went back began anew.
  assert.is(accountLoads(state, Array(256).fill(10)).loads[7], 760);
});

test("the heaviest buckets go first, as long as the two members come nearer to each other", () => {
  const placed = new Map<number, readonly [string, number]>([
    [1, ["p0", 4_000_000]],
    [2, ["p0", 3_000_000]],
    [3, ["p0", 2_000_000]],
    [4, ["p0", 1_000_000]],
  ]);
  const { state, notes, details } = rebalance(loaded(start(2), placed), 10_000);
  assert.equal(details, ["bond bond0: p0 9765kB (h1: 3906kB + h2: 2929kB + h3: 1953kB + h4: 976kB), p1 0kB"]);
  assert.equal(notes, [
    "bond bond0: shift 3906kB of load (with hash 1) from p0 to p1 (now carrying 5859kB and 3906kB load, respectively)",
    "bond bond0: shift 976kB of load (with hash 4) from p0 to p1 (now carrying 4882kB and 4882kB load, respectively)",
  ]);
  assert.equal(
    [1, 2, 3, 4].map((bucket) => state.buckets[bucket]),
    ["p1", "p0", "p0", "p1"],
  );
});

test("what would not help is not moved", () => {
  const unmoved = (n: number, placed: [number, readonly [string, number]][]): void => {
    const before = loaded(start(n), new Map(placed));
    const { state, notes } = rebalance(before, 10_000);
    assert.equal(notes, []);
    assert.equal(state.buckets, before.buckets);
  };
  // One flow alone; less than a megabit; a difference of less than a thirtieth.
  unmoved(2, [[1, ["p0", 9_000_000]]]);
  unmoved(2, [
    [1, ["p0", 50_000]],
    [2, ["p0", 40_000]],
  ]);
  unmoved(2, [
    [1, ["p0", 50_000_000]],
    [2, ["p0", 1_000_000]],
    [3, ["p1", 50_000_000]],
  ]);
});

test("whatever the loads, moving never makes the busiest member busier, nor moves what is idle", () => {
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 200; round++) {
    const n = 2 + random(4);
    const placed = new Map<number, readonly [string, number]>();
    for (let i = 0; i < 1 + random(60); i++) placed.set(random(256), [`p${random(n)}`, random(10_000_000)]);
    const before = loaded(start(n), placed);
    const names = before.members.map(({ name }) => name);
    const { state } = rebalance(before, 10_000);
    const after = { ...state, loads: before.loads };
    const busiest = (one: BondState): number => Math.max(...names.map((name) => carried(one, name)));
    assert.ok(busiest(after) <= busiest(before), `round ${round}`);
    before.buckets.forEach((member, bucket) => {
      if ((before.loads[bucket] ?? 0) === 0) assert.is(state.buckets[bucket], member);
    });
  }
});

test("settings that change what is hashed begin the measuring anew; others do not", () => {
  const before = loaded(start(2), new Map([[1, ["p0", 4_000_000] as const]]));
  const configure = (change: Partial<BondSettings>): BondState =>
    configureBond(before, { ...settings, ...change }, links(2), "off", undefined, 3000).state;
  assert.is(configure({ updelayMs: 5 }).loads[1], 4_000_000);
  assert.is(configure({ updelayMs: 5 }).rebalanceAt, 10_000);
  assert.equal(configure({ basis: 5 }).loads, []);
  assert.is(configure({ rebalanceMs: 1000 }).rebalanceAt, 4000);
  assert.not(isBalanced(configure({ rebalanceMs: 0 })));
  assert.not(isBalanced(configure({ mode: "active-backup" })));
});

test("bond/show tells loads and when they are evened out", () => {
  const state = loaded(start(2), new Map([[9, ["p1", 4_000_000] as const]]));
  const text = formatBond(state, 3, 4000);
  assert.match(text, "next rebalance: 6000 ms\n");
  assert.match(text, "member p1: enabled\n  may_enable: true\n  hash 9: 3906 kB load\n");
  assert.match(text, "bond may use recirculation: no, Recirc-ID : -1\n");
  const tcp = { ...state, settings: { ...settings, mode: "balance-tcp" as const, lbOutput: true } };
  assert.match(formatBond(tcp, 3, 0), "bond may use recirculation: yes, Recirc-ID : 3\n");
  assert.match(formatBond(tcp, 3, 0), "lb_output action: enabled, bond-id: 3\n");
});

test.run();
