import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type BondLink,
  type BondSettings,
  type BondState,
  bondPolicy,
  bucketOf,
  configureBond,
  type LacpStatus,
  runBond,
} from "../../ts/protocols/index.js";

const test = suite("bonds");

const settings = (change: Partial<BondSettings> = {}): BondSettings => ({
  name: "bond0",
  mode: "active-backup",
  updelayMs: 0,
  downdelayMs: 0,
  basis: 0,
  primary: undefined,
  fallback: false,
  allMembersActive: false,
  rebalanceMs: 10_000,
  lbOutput: false,
  ...change,
});
const link = (name: string, up = true): BondLink => ({
  name,
  mac: `02:00:00:00:00:0${name.slice(1)}`,
  carrier: up,
  mayEnable: up,
});
const start = (change: Partial<BondSettings>, links: readonly BondLink[], lacp: LacpStatus = "off"): BondState =>
  runBond(configureBond(undefined, settings(change), links, lacp, undefined, 0).state, links, lacp, 0).state;

test("an active member that fails gives way to another, and only a primary takes over again", () => {
  for (const primary of [undefined, "p1"]) {
    let state = start({ primary }, [link("p1"), link("p2")]);
    assert.is(state.active, "p1");
    const failed = runBond(state, [link("p1", false), link("p2")], "off", 10);
    state = failed.state;
    assert.is(state.active, "p2");
    assert.ok(failed.teach);
    assert.ok(failed.notes.includes("bond bond0: active member is now p2"));
    state = runBond(state, [link("p1"), link("p2")], "off", 20).state;
    assert.is(state.active, primary ?? "p2");
  }
});

test("a link must stay up for updelay, unless no other is up", () => {
  let state = start({ updelayMs: 1000 }, [link("p1"), link("p2", false)]);
  const both = [link("p1"), link("p2")];
  const enabled = (): boolean[] => state.members.map((member) => member.enabled);
  state = runBond(state, both, "off", 0).state;
  assert.equal(enabled(), [true, false]);
  state = runBond(state, both, "off", 999).state;
  assert.equal(enabled(), [true, false]);
  state = runBond(state, both, "off", 1000).state;
  assert.equal(enabled(), [true, true]);
  state = start({ updelayMs: 1000 }, [link("p1", false)]);
  const alone = runBond(state, [link("p1")], "off", 5);
  assert.ok(alone.notes.some((note) => note.includes("skipping remaining 1000 ms updelay")));
  assert.is(alone.state.active, "p1");
});

test("buckets are spread over enabled members and stay where they can", () => {
  const links = [link("p1"), link("p2"), link("p3")];
  const before = start({ mode: "balance-slb" }, links);
  assert.is(new Set(before.buckets).size, 3);
  const after = runBond(before, [link("p1"), link("p2", false), link("p3")], "off", 1).state;
  assert.not(after.buckets.includes("p2"));
  before.buckets.forEach((member, bucket) => {
    if (member !== "p2") assert.is(after.buckets[bucket], member);
  });
});

test("members of a bond that comes up share its buckets, whichever of them is first", () => {
  const down = [link("p1", false), link("p2", false)];
  const first = runBond(start({ mode: "balance-slb" }, down), [link("p1"), link("p2", false)], "off", 100).state;
  assert.equal([...new Set(first.buckets)], ["p1"]);
  const both = [link("p1"), link("p2")];
  assert.is(new Set(runBond(first, both, "off", 200).state.buckets).size, 2);
  // One that comes much later has what is moved to it.
  const late = runBond(first, both, "off", 1200).state;
  assert.equal([...new Set(late.buckets)], ["p1"]);
  assert.is(late.rebalanceAt, 1200);
});

test("who sends and who lets in follows from mode and LACP", () => {
  const links = [link("p1"), link("p2")];
  const policy = (change: Partial<BondSettings>, lacp: LacpStatus): string => {
    const { output, input } = bondPolicy(start(change, links, lacp));
    return `${output} ${input}`;
  };
  assert.is(policy({}, "off"), "active active");
  assert.is(policy({ mode: "balance-slb" }, "off"), "hashMac unmoved");
  assert.is(policy({ mode: "balance-tcp" }, "off"), "none none");
  assert.is(policy({ mode: "balance-tcp" }, "negotiated"), "hashL4 enabled");
  assert.is(policy({ mode: "balance-tcp" }, "configured"), "none none");
  assert.is(policy({ mode: "balance-tcp", fallback: true }, "configured"), "active active");
});

test("an address and a VLAN fall in one of 256 buckets", () => {
  const buckets = new Set(
    Array.from({ length: 2000 }, (_, index) => bucketOf(Uint8Array.of(2, 0, 0, 0, index >> 8, index), 7, 0)),
  );
  assert.is(buckets.size, 256);
});

test.run();
