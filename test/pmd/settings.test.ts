import { test } from "uvu";
import * as assert from "uvu/assert";
import { histogram } from "../../ts/datapath/generated/records.js";
import { histogramWalls, queueFillWalls } from "../../ts/pmd/histogram.js";
import {
  beginHistory,
  costOf,
  intervalsMax,
  passInterval,
  type Reading,
  remember,
  restartHistory,
} from "../../ts/pmd/intervals.js";
import { shownSeconds } from "../../ts/pmd/rxq-text.js";
import { type PmdSettings, readSettings, settingsLines } from "../../ts/pmd/settings.js";

/** What the database says of threads, and what is measured of them over time. */

const read = (config: Record<string, string>): PmdSettings => readSettings(new Map(Object.entries(config))).settings;

test("what cannot be is the default", () => {
  const plain = read({});
  assert.is(plain.algorithm, "cycles");
  assert.is(read({ "pmd-rxq-assign": "best" }).algorithm, "cycles");
  assert.is(readSettings(new Map([["pmd-rxq-assign", "best"]])).warnings.length, 1);
  assert.is(read({ "pmd-rxq-isolate": "false" }).isolate, true);
  assert.is(read({ "pmd-rxq-isolate": "false", "pmd-rxq-assign": "group" }).isolate, false);
  for (const text of ["-1", "101", "x", ""]) {
    assert.is(read({ "pmd-auto-lb-load-threshold": text }).loadPercent, 95, text);
    assert.is(read({ "pmd-auto-lb-improvement-threshold": text }).improvementPercent, 25, text);
  }
  for (const [text, minutes] of [
    ["0", 1],
    ["-1", 1],
    ["20000", 20000],
    ["20001", 1],
  ] as const)
    assert.is(read({ "pmd-auto-lb-rebal-interval": text }).balanceMinutes, minutes, text);
  assert.is(read({ "pmd-maxsleep": "10001" }).maxSleepUs, 10_000);
  assert.is(read({ "pmd-maxsleep": "often" }).maxSleepUs, 0);
});

test("only what changed is logged, but the first time how threads pause in any case", () => {
  const plain = read({});
  assert.equal(settingsLines(plain, plain), []);
  assert.equal(settingsLines(undefined, plain).slice(-3), [
    "PMD auto load balance is disabled.",
    "PMD max sleep request is 0 usecs.",
    "PMD load based sleeps are disabled.",
  ]);
  assert.equal(settingsLines(plain, read({ "pmd-auto-lb": "true" })), [
    "PMD auto load balance is enabled, interval 1 mins, pmd load threshold 95%, improvement threshold 25%.",
  ]);
  assert.equal(settingsLines(plain, read({ "pmd-maxsleep": "50", "pmd-perf-metrics": "true" })), [
    "PMD performance metrics collection enabled",
    "PMD max sleep request is 50 usecs.",
    "PMD load based sleeps are enabled.",
  ]);
});

const reading = (nowMs: number, busy: number, idle: number, queue = busy): Reading => ({
  nowMs,
  nowCycles: BigInt(busy + idle),
  busyCycles: BigInt(busy),
  idleCycles: BigInt(idle),
  sleepCycles: 0n,
  queues: new Map([["1:0", BigInt(queue)]]),
});

test("an interval ends after five seconds, and then it is known what it cost", () => {
  const begun = beginHistory(reading(1000, 0, 0));
  assert.is(passInterval(begun, reading(5999, 10, 10), 95), undefined);
  const passed = passInterval(begun, reading(6000, 950, 50, 900), 95);
  assert.is(passed?.history.intervalCycles, 1000n);
  assert.is(passed?.queues.get("1:0"), 900n);
  assert.equal(passed?.history.busy, [950n]);
  assert.is(passed?.history.overloaded, 1);
  assert.is(passInterval(begun, reading(6000, 949, 51), 95)?.history.overloaded, 0);
  assert.is(passInterval(begun, reading(6000, 0, 0), 0)?.history.overloaded, 1);
  const again = restartHistory(passed?.history ?? begun, reading(7000, 1000, 1000));
  assert.is(again.intervalCycles, 0n);
  assert.equal(again.busy, [950n]);
});

test("twelve intervals are remembered", () => {
  let costs: readonly bigint[] = [];
  for (let cost = 1n; cost <= 20n; cost++) costs = remember(costs, cost);
  assert.is(costs.length, intervalsMax);
  assert.is(costOf(costs, 2), 39n);
  assert.is(costOf(costs), (9n + 20n) * 6n);
});

test("seconds are shown in whole intervals, at most a minute", () => {
  for (const [asked, shown] of [
    [undefined, 60],
    [0, 60],
    [1, 5],
    [5, 5],
    [6, 10],
    [56, 60],
    [61, 60],
  ] as const)
    assert.is(shownSeconds(asked), shown);
});

test("walls rise, and begin and end where Open vSwitch's do", () => {
  for (const [kind, first, last] of [
    [histogram.cycles, 500n, 24_000_000n],
    [histogram.packets, 0n, 1000n],
    [histogram.cyclesPerPacket, 100n, 30_000n],
    [histogram.packetsPerBatch, 0n, 32n],
    [histogram.misses, 0n, 30n],
    [histogram.cyclesPerMiss, 1000n, 1_000_000n],
  ] as const) {
    const walls = histogramWalls(kind);
    assert.is(walls.length, 32);
    // A logarithm may come out a hair below.
    assert.ok((walls[0] ?? 0n) >= first - 1n && (walls[0] ?? 0n) <= first);
    assert.is(walls[30], last);
    assert.ok(walls.every((wall, index) => index === 0 || wall > (walls[index - 1] ?? 0n)));
  }
  assert.is(queueFillWalls[30], 512n);
});

test.run();
