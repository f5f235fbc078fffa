import { test } from "uvu";
import * as assert from "uvu/assert";
import { portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, drops, portStats } from "../../ts/datapath/index.js";
import { addFlow, makeBridge, output, udpFrame } from "./bridge-setup.js";

/** No limit. */
const any = { kbps: 0, burstKb: 0, pktps: 0, burstPackets: 0 };

/** A datapath whose clock stands still, with a bridge that sends what comes by port 1 out of port 2. */
function start(): Datapath {
  const datapath = new Datapath();
  makeBridge(datapath, [
    [portClass.memory, "a"],
    [portClass.memory, "b"],
  ]);
  const batch = new BatchBuilder();
  addFlow(batch, 1, output(2));
  batch.clockSet(1_000_000).commit(datapath);
  return datapath;
}

/** Frames that pass of `count`. */
function pass(datapath: Datapath, count: number): number {
  const before = portStats(datapath, 2)!.txPackets;
  const batch = new BatchBuilder();
  for (let index = 0; index < count; index++) batch.portInject(1, udpFrame(1));
  batch.commit(datapath);
  datapath.run();
  return Number(portStats(datapath, 2)!.txPackets - before);
}

test("a port that is policed to packets lets a burst and then its rate through", () => {
  const datapath = start();
  try {
    new BatchBuilder().portPolice(1, { ...any, pktps: 1000, burstPackets: 10 }).commit(datapath);
    assert.is(pass(datapath, 50), 10);
    for (let ms = 1; ms <= 20; ms++) {
      new BatchBuilder().clockSet(1_000_000 + ms).commit(datapath);
      assert.is(pass(datapath, 3), 1);
    }
    new BatchBuilder().clockSet(1_009_000).commit(datapath);
    assert.is(pass(datapath, 50), 10);
    const received = portStats(datapath, 1)!;
    assert.is(received.rxPackets, 160n);
    assert.is(received.rxDropped, 120n);
    assert.equal(
      drops(datapath).drops.map(({ dpPort, reason, packets }) => [dpPort, reason, packets]),
      [[1, "rx_policed", 120n]],
    );
  } finally {
    datapath.dispose();
  }
});

test("a port that is policed to kilobits counts the bits of its frames, and both limits hold", () => {
  const datapath = start();
  const bits = 8 * udpFrame(1).length;
  try {
    // 100 frames a second's worth of kilobits would be too little for a whole one: the bucket decides.
    new BatchBuilder().portPolice(1, { ...any, kbps: 8, burstKb: 8 }).commit(datapath);
    assert.is(pass(datapath, 50), Math.floor(8000 / bits));
    new BatchBuilder().clockSet(1_000_500).commit(datapath);
    assert.is(pass(datapath, 50), Math.floor((4000 + (8000 % bits)) / bits));
    new BatchBuilder().portPolice(1, { kbps: 8, burstKb: 8, pktps: 2, burstPackets: 2 }).commit(datapath);
    assert.is(pass(datapath, 50), 2);
  } finally {
    datapath.dispose();
  }
});

test("policing ends when no rate is asked for, and a port that is not there is refused", () => {
  const datapath = start();
  try {
    new BatchBuilder().portPolice(1, { ...any, pktps: 1, burstPackets: 1 }).commit(datapath);
    assert.is(pass(datapath, 20), 1);
    new BatchBuilder().portPolice(1, any).commit(datapath);
    assert.is(pass(datapath, 20), 20);
    assert.not.equal(new BatchBuilder().portPolice(9, any).submit(datapath)[0]?.error, 0);
  } finally {
    datapath.dispose();
  }
});

test("two workers that poll one port together let through what it may", async () => {
  const datapath = new Datapath({ workers: 2 });
  try {
    makeBridge(datapath, [
      [portClass.null, "source", { flows: "1000", n_rxq: "2" }],
      [portClass.null, "sink"],
    ]);
    const batch = addFlow(new BatchBuilder(), 1, output(2));
    batch.portPolice(1, { ...any, pktps: 50_000, burstPackets: 25_000 }).commit(datapath);
    const count = (): { readonly passed: number; readonly atMs: number } => ({
      passed: Number(portStats(datapath, 2)!.txPackets),
      atMs: performance.now(),
    });
    // What is in the bucket at first has passed.
    const end = Date.now() + 20_000;
    while (count().passed < 25_000 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
    const before = count();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const after = count();
    const rate = (after.passed - before.passed) / ((after.atMs - before.atMs) / 1000);
    // The machine may stop a thread between two looks; the exact rates are the meters' own tests.
    assert.ok(rate > 25_000 && rate < 60_000, `${rate} packets a second passed`);
  } finally {
    datapath.dispose();
  }
});

test.run();
