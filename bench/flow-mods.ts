/** How fast do rules come over a socket, what does each cost in memory, and how fast are they read back? */
import type { OpenFlowClient } from "./openflow-client.js";
import { sleep } from "./process.js";
import type { Case, Metric, Sample } from "./question.js";
import {
  bundleAct,
  bundleControl,
  bundled,
  connectionRules,
  deleteRules,
  join,
  sourceRuleSize,
  sourceRules,
} from "./rules.js";
import type { Daemon } from "./side.js";

const rate: Metric = { name: "rate", unit: "k/s", better: "more", scale: 1e3 };

async function install(daemon: Daemon, rules: Uint8Array): Promise<number> {
  const started = performance.now();
  await daemon.client.pipeline(rules);
  await daemon.client.barrier();
  return (performance.now() - started) / 1000;
}

/** Rules that a daemon has taken before it is measured: both compile code and grow tables, and the engine of ours has
 *  compiled everything after about fifty thousand. */
const warmRules = 60_000;
/** A measurement takes so many rules at least; a short one is told by the median of several. */
const timedRules = 50_000;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

function installCase(
  id: string,
  text: string,
  count: number,
  make: (count: number) => Uint8Array,
  quick: boolean,
): Case {
  return {
    id,
    text,
    metrics: [rate],
    quick,
    missing: (side) => side.daemonMissing(),
    measure: async (side) => {
      const daemon = await side.startDaemon();
      try {
        const messages = make(count);
        const times: number[] = [];
        const warmRounds = Math.ceil(warmRules / count);
        for (let round = 0; round < warmRounds + Math.ceil(timedRules / count); round++) {
          const seconds = await install(daemon, messages);
          if (round >= warmRounds) times.push(seconds);
          await install(daemon, deleteRules());
        }
        return { rate: count / median(times) };
      } finally {
        await daemon.stop();
      }
    },
  };
}

/** What a controller meets that programs a switch which has just started. */
function firstCase(id: string, count: number): Case {
  return {
    id: `flow-mods-first-${id}`,
    text: `Flow-mods over a unix socket, pipelined, the first ${id} after the start`,
    metrics: [rate],
    quick: true,
    missing: (side) => side.daemonMissing(),
    measure: async (side) => {
      const daemon = await side.startDaemon();
      try {
        return { rate: count / (await install(daemon, sourceRules(count))) };
      } finally {
        await daemon.stop();
      }
    },
  };
}

const flowModCase = (id: string, count: number, quick: boolean): Case =>
  installCase(`flow-mods-${id}`, `Flow-mods over a unix socket, pipelined, ${id} rules`, count, sourceRules, quick);

const bundle = (count: number): Uint8Array =>
  join([bundleControl(bundleAct.open), bundled(sourceRules(count), sourceRuleSize), bundleControl(bundleAct.commit)]);

const bundleCase = (id: string, count: number, quick: boolean): Case =>
  installCase(`bundle-${id}`, `Flow-mods in one bundle over a unix socket, ${id} rules`, count, bundle, quick);

/** How long a fresh daemon is left alone before its memory is read. */
const settleMs = 1500;

function memoryCase(
  id: string,
  text: string,
  count: number,
  make: (count: number) => Uint8Array,
  quick: boolean,
): Case {
  return {
    id: `memory-${id}`,
    text: `Memory of a rule, ${text}`,
    metrics: [
      { name: "bytesPerRule", unit: "B", better: "less" },
      { name: "deletedPerSecond", unit: "k/s deleted", better: "more", scale: 1e3 },
    ],
    quick,
    missing: (side) => side.daemonMissing(),
    measure: async (side) => {
      const daemon = await side.startDaemon();
      try {
        const rules = make(count);
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        const before = daemon.resident();
        await install(daemon, rules);
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        const after = daemon.resident();
        const deleted = await install(daemon, deleteRules());
        return { bytesPerRule: (after - before) / count, deletedPerSecond: count / deleted };
      } finally {
        await daemon.stop();
      }
    },
  };
}

function dumpCase(id: string, count: number, quick: boolean): Case {
  return {
    id: `dump-${id}`,
    text: `Dump of ${id} rules`,
    metrics: [
      { name: "rate", unit: "k rules/s", better: "more", scale: 1e3 },
      { name: "grownMiB", unit: "MiB more resident", better: "less" },
    ],
    quick,
    missing: (side) => side.daemonMissing(),
    measure: async (side) => {
      const daemon = await side.startDaemon();
      try {
        await install(daemon, sourceRules(count));
        const first = await daemon.client.dumpFlows();
        if (first.flows !== count) throw new Error(`a dump of ${count} rules told of ${first.flows}`);
        const before = daemon.resident();
        const started = performance.now();
        const rounds = 5;
        for (let round = 0; round < rounds; round++) await daemon.client.dumpFlows();
        const seconds = (performance.now() - started) / 1000;
        const grownMiB = Math.max(0, daemon.resident() - before) / 2 ** 20;
        return { rate: (rounds * count) / seconds, grownMiB };
      } finally {
        await daemon.stop();
      }
    },
  };
}

const latencies: readonly Metric[] = [
  { name: "p50", unit: "us, p50", better: "less" },
  { name: "p99", unit: "us, p99", better: "less" },
];

/** Round trips of `ask`, `pauseMs` apart, until `isDone`. */
async function roundTrips(
  ask: () => Promise<void>,
  pauseMs: number,
  isDone: (count: number) => boolean,
): Promise<Sample> {
  const times: number[] = [];
  while (!isDone(times.length)) {
    const started = performance.now();
    await ask();
    times.push(1000 * (performance.now() - started));
    if (pauseMs > 0) await sleep(pauseMs);
  }
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(0.5 * times.length)]!, p99: times[Math.floor(0.99 * times.length)]! };
}

/** Latency of a barrier on a connection that has nothing else to do. */
const barriers: Case = {
  id: "barriers",
  text: "Barrier round trip",
  metrics: latencies,
  quick: true,
  missing: (side) => side.daemonMissing(),
  measure: async (side, options) => {
    const daemon = await side.startDaemon();
    try {
      const count = options.quick ? 5000 : 20_000;
      for (let index = 0; index < 2000; index++) await daemon.client.barrier();
      return await roundTrips(
        () => daemon.client.barrier(),
        0,
        (done) => done >= count,
      );
    } finally {
      await daemon.stop();
    }
  },
};

/** Of a load that both sides can bear: a burst of flow_mods each ten milliseconds. */
const burstRules = 400;
const burstMs = 10;

/** Sends flow_mods until it is over: as fast as the switch takes them, or in bursts. */
async function installUntil(
  client: OpenFlowClient,
  rules: Uint8Array,
  paced: boolean,
  isOver: () => boolean,
): Promise<void> {
  const size = paced ? burstRules * sourceRuleSize : rules.length;
  for (let at = 0; !isOver(); at = (at + size) % rules.length) {
    // Without barriers: the switch has always more to read.
    await client.pipeline(rules.subarray(at, at + size));
    if (paced) await sleep(burstMs);
  }
  await client.barrier();
}

/** Latency on one connection while another one installs rules. */
function loadedCase(kind: "barrier" | "echo", paced: boolean): Case {
  const what = kind === "echo" ? "Echo" : "Barrier";
  const load = paced ? `${burstRules / burstMs}k flow-mods a second come on another connection` : undefined;
  return {
    id: `${paced ? "paced" : "loaded"}-${kind}`,
    text: `${what} round trip while ${load ?? "another connection installs rules"}`,
    metrics: latencies,
    quick: true,
    missing: (side) => side.daemonMissing(),
    measure: async (side, options) => {
      const daemon = await side.startDaemon();
      const client = await daemon.openClient();
      try {
        const rules = sourceRules(20_000);
        for (let round = 0; round < warmRules / 20_000; round++) await install(daemon, rules);
        const end = performance.now() + (options.quick ? 2000 : 5000);
        const isOver = (): boolean => performance.now() > end;
        const installing = installUntil(daemon.client, rules, paced, isOver);
        // Apart, so that each stretch of time counts alike, whether the switch was quick in it or not.
        const sample = await roundTrips(() => client[kind](), 1, isOver);
        await installing;
        return sample;
      } finally {
        client.close();
        await daemon.stop();
      }
    },
  };
}

export const flowMods: readonly Case[] = [
  firstCase("10k", 10_000),
  flowModCase("10k", 10_000, true),
  flowModCase("100k", 100_000, true),
  flowModCase("1M", 1_000_000, false),
  bundleCase("10k", 10_000, true),
  bundleCase("100k", 100_000, true),
  bundleCase("1M", 1_000_000, false),
  memoryCase("100k", "100k rules", 100_000, sourceRules, true),
  memoryCase("1M", "1M rules", 1_000_000, sourceRules, false),
  memoryCase("1M-connections", "1M rules of 5-tuples", 1_000_000, connectionRules, false),
  dumpCase("100k", 100_000, true),
  dumpCase("1M", 1_000_000, false),
  barriers,
  loadedCase("barrier", false),
  loadedCase("echo", false),
  loadedCase("barrier", true),
  loadedCase("echo", true),
];
