import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseAffinity } from "../../ts/pmd/affinity.js";
import { judge, reasonNotToBalance, variance } from "../../ts/pmd/balance.js";
import {
  type Core,
  coresOfMask,
  defaultCores,
  madeUpTopology,
  parseCpuList,
  topologyLines,
} from "../../ts/pmd/cores.js";
import { type PlacementRules, place, type Rxq } from "../../ts/pmd/placement.js";
import { seededRandom } from "./random.js";

/** Which thread polls which queue. */

const cores = (...nodes: number[]): Core[] => nodes.map((numa, core) => ({ core, numa }));
const rules = (algorithm: PlacementRules["algorithm"], isolate = true): PlacementRules => ({ algorithm, isolate });

function queues(costs: readonly number[], more: Partial<Rxq> = {}): Rxq[] {
  return costs.map((cost, queue) => ({
    port: "p0",
    dpPort: 1,
    queue,
    numa: 0,
    pinned: undefined,
    cycles: BigInt(cost),
    ...more,
  }));
}

/** `0,2 1,3`: queues of each core. */
const shape = (there: readonly Core[], wanted: readonly Rxq[], how: PlacementRules): string =>
  place(there, wanted, how)
    .loads.map((load) => load.queues.map(({ queue }) => queue).join(","))
    .join(" ");

test("round robin goes around, cycles goes up and down, group fills up evenly", () => {
  const eight = queues([0, 0, 0, 0, 0, 0, 0, 0]);
  assert.is(shape(cores(0, 0), eight, rules("roundrobin")), "0,2,4,6 1,3,5,7");
  assert.is(shape(cores(0, 0), eight, rules("cycles")), "0,3,4,7 1,2,5,6");
  assert.is(shape(cores(0, 0), eight, rules("group")), "0,2,4,6 1,3,5,7");
});

test("cycles and group take the busiest queue first; round robin does not look", () => {
  const busy = queues([10, 70, 20, 60]);
  assert.is(shape(cores(0, 0), busy, rules("cycles")), "1,0 3,2");
  assert.is(shape(cores(0, 0), busy, rules("group")), "1,0 3,2");
  assert.is(shape(cores(0, 0), queues([90, 10, 10, 10]), rules("group")), "0 1,2,3");
  assert.is(shape(cores(0, 0), busy, rules("roundrobin")), "0,2 1,3");
});

test("a pinned queue is where it is pinned, and alone unless threads are not isolated", () => {
  const pinned = queues([0, 0, 0, 0]).map((rxq) => (rxq.queue === 2 ? { ...rxq, pinned: 0 } : rxq));
  assert.is(shape(cores(0, 0), pinned, rules("group")), "2 0,1,3");
  assert.is(shape(cores(0, 0), pinned, rules("group", false)), "2,1 0,3");
  const nowhere = queues([0], { pinned: 7 });
  const placed = place(cores(0), nowhere, rules("cycles"));
  assert.is(placed.loads[0]?.queues.length, 1);
  assert.match(placed.lines[0]?.text ?? "", /^Core {2}7 cannot be pinned with port 'p0' rx queue 0\. /);
  assert.is(placed.lines[0]?.severity, "warn");
});

test("with isolated threads only, a queue is not polled, and that is told", () => {
  const all = [...queues([0], { pinned: 0 }), ...queues([0, 0], { port: "p1", dpPort: 2 })];
  const { loads, lines } = place(cores(0), all, rules("cycles"));
  assert.is(loads[0]?.queues.length, 1);
  assert.is(lines.filter(({ text }) => text.startsWith("No non-isolated pmd on any numa")).length, 2);
});

test("a queue goes to its own node, and to others in turn when that has no thread for it", () => {
  const there = cores(1, 2, 1, 2);
  assert.is(shape(there, queues([0, 0, 0, 0], { numa: 2 }), rules("roundrobin")), " 0,2  1,3");
  const { loads, lines } = place(there, queues([0, 0, 0, 0]), rules("group"));
  assert.ok(loads.every((load) => load.queues.length === 1));
  assert.is(lines.filter(({ text }) => text.startsWith("There's no available (non-isolated) pmd thread")).length, 4);
});

test("whatever there is, each queue is polled once if any thread may, and pinned ones where they want", () => {
  const random = seededRandom(20_261);
  const upTo = (limit: number): number => Math.floor(random() * limit);
  for (let round = 0; round < 500; round++) {
    const there = Array.from({ length: 1 + upTo(6) }, (_, core) => ({ core, numa: upTo(3) }));
    const wanted = Array.from({ length: upTo(12) }, (_, queue) => ({
      port: `p${upTo(3)}`,
      dpPort: 1 + upTo(3),
      queue,
      numa: upTo(4),
      pinned: random() < 0.3 ? upTo(8) : undefined,
      cycles: BigInt(upTo(1000)),
    }));
    const how = rules((["cycles", "roundrobin", "group"] as const)[upTo(3)] ?? "cycles", random() < 0.5);
    const { loads, lines } = place(there, wanted, how);
    const placed = loads.flatMap((load) => load.queues);
    const unpolled = lines.filter(({ text }) => text.endsWith("This rx queue will not be polled.")).length;
    assert.is(placed.length + unpolled, wanted.length);
    assert.is(new Set(placed).size, placed.length);
    if (loads.some(({ isolated }) => !isolated)) assert.is(unpolled, 0);
    for (const load of loads) {
      assert.is(
        load.cycles,
        load.queues.reduce((sum, rxq) => sum + rxq.cycles, 0n),
      );
      for (const rxq of load.queues) {
        if (there.some(({ core }) => core === rxq.pinned)) assert.is(load.core, rxq.pinned);
        else assert.not.ok(load.isolated);
        const own = loads.some((other) => other.numa === rxq.numa && !other.isolated);
        if (rxq.pinned === undefined && own) assert.is(load.numa, rxq.numa);
      }
    }
    if (how.algorithm === "group" && wanted.every(({ pinned, numa }) => pinned === undefined && numa === 0)) {
      const busiest = wanted.reduce((most, { cycles }) => (cycles > most ? cycles : most), 0n);
      const loadsOfNode = loads.filter(({ numa }) => numa === 0).map(({ cycles }) => cycles);
      if (loadsOfNode.length > 0 && wanted.every(({ cycles }) => cycles > 0n)) {
        const sorted = loadsOfNode.sort((a, b) => (a < b ? -1 : 1));
        assert.ok((sorted.at(-1) ?? 0n) - (sorted[0] ?? 0n) <= busiest);
      }
    }
  }
});

test("a mask chooses cores that there are; what is no digit counts as 0 and is told", () => {
  const four = madeUpTopology([0, 0, 0, 0]);
  const chosen = (mask: string): string =>
    coresOfMask(mask, four)
      .cores.map(({ core }) => core)
      .join();
  assert.is(chosen("3"), "0,1");
  assert.is(chosen("0xC"), "2,3");
  assert.is(chosen("0X1fe"), "1,2,3");
  assert.is(chosen(""), "");
  const odd = coresOfMask("g1-2", four);
  assert.equal(odd.warnings, ["Invalid cpu mask: -", "Invalid cpu mask: g"]);
  assert.is(odd.cores.map(({ core }) => core).join(), "1");
});

test("without a mask there is a thread for each node, on its first core that may be used", () => {
  assert.equal(defaultCores(madeUpTopology([1, 0, 1, 0])), [
    { core: 1, numa: 0 },
    { core: 0, numa: 1 },
  ]);
  const narrow = { ...madeUpTopology([0, 0, 0]), allowed: new Set([2]) };
  assert.equal(defaultCores(narrow), [{ core: 2, numa: 0 }]);
  assert.equal(parseCpuList("0-2,5,8-9\n"), [0, 1, 2, 5, 8, 9]);
  assert.equal(topologyLines(madeUpTopology([0, 8, 0])), [
    "Discovered 2 CPU cores on NUMA node 0",
    "Discovered 1 CPU cores on NUMA node 8",
    "Discovered 2 NUMA nodes and 3 CPU cores",
  ]);
});

test("affinity is a list of queues and cores, or nothing that could be followed", () => {
  assert.equal(
    [...(parseAffinity("0:3,1:0x7 2:010") ?? [])],
    [
      [0, 3],
      [1, 7],
      [2, 8],
    ],
  );
  assert.equal([...(parseAffinity("") ?? ["no"])], []);
  for (const text of ["0", "0:", "a:1", "0:-1", "0:1,x"]) assert.is(parseAffinity(text), undefined, text);
});

test("balance has nothing to do for round robin, for one thread, and for threads with a queue each", () => {
  const thread = (core: number, costs: readonly number[], isolated = false) => ({
    core,
    numa: 0,
    isolated,
    totalCycles: 1200n,
    queues: queues(costs),
  });
  const cycles = rules("cycles");
  assert.match(reasonNotToBalance([thread(0, [1, 2]), thread(1, [1])], rules("roundrobin")) ?? "", /roundrobin/);
  assert.match(reasonNotToBalance([thread(0, [1, 2, 3])], cycles) ?? "", /not enough/);
  assert.match(reasonNotToBalance([thread(0, [1]), thread(1, [1])], cycles) ?? "", /not enough/);
  assert.match(reasonNotToBalance([thread(0, [1, 2]), thread(1, [1], true)], cycles) ?? "", /not enough/);
  assert.is(reasonNotToBalance([thread(0, [1, 2]), thread(1, [])], cycles), undefined);
});

test("balance is worth while if loads would differ less by at least what is asked for", () => {
  const all = queues([500, 500, 100, 100]);
  const split = (first: readonly number[]) =>
    [0, 1].map((core) => ({
      core,
      numa: 0,
      isolated: false,
      totalCycles: 1200n,
      queues: all.filter(({ queue }) => first.includes(queue) === (core === 0)),
    }));
  const bad = judge(split([0, 1]), all, rules("cycles"), 25);
  assert.ok(bad.worthwhile);
  assert.ok(bad.lines.includes("Numa node 0. Current variance 1122 Estimated variance 0. Variance improvement 100%."));
  const good = judge(split([0, 2]), all, rules("cycles"), 25);
  assert.not.ok(good.worthwhile);
  assert.is(variance([]), 0n);
  assert.is(variance([10n, 20n]), 25n);
});

test.run();
