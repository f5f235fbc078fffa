import { test } from "uvu";
import * as assert from "uvu/assert";
import { portClass, shapeKind } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, drops, portStats, shapeStats } from "../../ts/datapath/index.js";
import { actionSetQueue, opcode } from "../../ts/openflow/generated/opcodes.js";
import { addFlow, makeBridge, output, udpFrame } from "./bridge-setup.js";

/** What a port sends is limited by bytes without Ethernet headers. */

const size = BigInt(udpFrame(1).length - 14);
const rates = (cir: bigint, cbs: bigint, eir = 0n, ebs = 0n) => ({ cir, cbs, eir, ebs });

/** By this queue, out of port 2. */
function byQueue(queue: number): Uint8Array {
  const bytes = new Uint8Array(actionSetQueue.size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, opcode.setQueue, true);
  view.setUint16(2, actionSetQueue.size, true);
  view.setUint32(actionSetQueue.queue, queue, true);
  return Uint8Array.of(...bytes, ...output(2));
}

/** A datapath whose clock stands still, with a bridge that sends what comes by port 1 out of port 2. */
function withDatapath(body: (datapath: Datapath) => void): void {
  const datapath = new Datapath();
  try {
    makeBridge(datapath, [
      [portClass.memory, "a"],
      [portClass.memory, "b"],
    ]);
    addFlow(new BatchBuilder(), 1, output(2)).clockSet(1_000_000).commit(datapath);
    body(datapath);
  } finally {
    datapath.dispose();
  }
}

const passMs = (datapath: Datapath, ms: number): void => {
  new BatchBuilder().clockSet(1_000_000 + ms).commit(datapath);
};

/** Frames that pass of `count`, sent by a queue if one is named. */
function pass(datapath: Datapath, count: number, queue?: number): number {
  if (queue !== undefined) addFlow(new BatchBuilder(), 1, byQueue(queue)).commit(datapath);
  const before = portStats(datapath, 2)!.txPackets;
  const batch = new BatchBuilder();
  for (let index = 0; index < count; index++) batch.portInject(1, udpFrame(1));
  batch.commit(datapath);
  datapath.run();
  return Number(portStats(datapath, 2)!.txPackets - before);
}

test("a port of committed bytes lets its bucket and then its rate through, to the byte", () => {
  withDatapath((datapath) => {
    const shape = { kind: shapeKind.committed, ...rates(1000n * size, 10n * size + size - 1n) };
    new BatchBuilder().portShape(2, shape).commit(datapath);
    assert.is(pass(datapath, 50), 10);
    // All but one byte of a frame is left over, so a millisecond's bytes make one frame each time.
    let passed = 0;
    for (let ms = 1; ms <= 1000; ms++) {
      passMs(datapath, ms);
      passed += pass(datapath, 3);
    }
    assert.is(passed, 1000);
    passMs(datapath, 100_000_000);
    assert.is(pass(datapath, 50), 10);
    assert.equal(
      drops(datapath).drops.map(({ dpPort, reason, packets }) => [dpPort, reason, packets]),
      [[2, "tx_policed", 2080n]],
    );
    new BatchBuilder().portShape(2, { kind: shapeKind.none, ...rates(0n, 0n) }).commit(datapath);
    assert.is(pass(datapath, 50), 50);
  });
});

test("rates and buckets as great as can be overflow nothing", () => {
  withDatapath((datapath) => {
    const most = 2n ** 64n - 1n;
    new BatchBuilder().portShape(2, { kind: shapeKind.committed, ...rates(most, most) }).commit(datapath);
    assert.is(pass(datapath, 50), 50);
    passMs(datapath, 2 ** 40);
    assert.is(pass(datapath, 50), 50);
    new BatchBuilder().portShape(2, { kind: shapeKind.committed, ...rates(most, size) }).commit(datapath);
    assert.is(pass(datapath, 50), 1);
    passMs(datapath, 2 ** 40 + 1);
    assert.is(pass(datapath, 50), 1);
  });
});

test("queues color packets, and what is yellow or beyond has the port's excess, or nothing", () => {
  withDatapath((datapath) => {
    const batch = new BatchBuilder();
    batch.portShape(2, { kind: shapeKind.queues, ...rates(1000n * size, 10n * size, 1000n * size, 5n * size) });
    batch.commit(datapath);
    assert.is(pass(datapath, 20), 0, "there is no queue 0");
    batch.shapeQueue(2, 0, rates(1000n * size, 4n * size, 1000n * size, 3n * size));
    batch.shapeQueue(2, 7, rates(0n, 0n, 1000n * size, 8n * size)).commit(datapath);
    // Four green, three yellow; the others are red whatever the port has left.
    assert.is(pass(datapath, 20, 0), 7);
    // All of queue 7 is yellow, and the port has excess for two.
    assert.is(pass(datapath, 20, 7), 2);
    // One millisecond: a frame in each bucket.  A queue that is not there is queue 0.
    passMs(datapath, 1);
    assert.is(pass(datapath, 20, 9), 2);
    const found = shapeStats(datapath, 2).map((row) => [row.queue, row.nPackets, row.nErrors, row.nBytes]);
    assert.equal(found, [
      [0, 9n, 31n, 9n * size],
      [7, 8n, 12n, 8n * size],
    ]);
    // New rates fill the buckets, and what was counted stays; the queue is gone when it is taken away.
    batch
      .shapeQueue(2, 7, rates(0n, 0n, 1n, 1n))
      .shapeQueue(2, 0, undefined)
      .commit(datapath);
    assert.equal(
      shapeStats(datapath, 2).map((row) => [row.queue, row.nErrors]),
      [[7, 12n]],
    );
    assert.is(batch.shapeQueue(2, 0, undefined).submit(datapath)[0]?.systemError, 2);
  });
});

test("what is not there cannot be shaped", () => {
  withDatapath((datapath) => {
    const refused = (batch: BatchBuilder): boolean => batch.submit(datapath)[0]?.error !== 0;
    assert.ok(refused(new BatchBuilder().portShape(9, { kind: shapeKind.committed, ...rates(1n, 1n) })));
    assert.ok(refused(new BatchBuilder().portShape(2, { kind: 77, ...rates(1n, 1n) })));
    assert.ok(refused(new BatchBuilder().shapeQueue(2, 1, rates(1n, 1n))));
    assert.equal(shapeStats(datapath, 2), []);
    assert.equal(shapeStats(datapath, 9), []);
  });
});

test("two workers that send by one port let through what it may", async () => {
  const datapath = new Datapath({ workers: 2 });
  try {
    makeBridge(datapath, [
      [portClass.null, "source", { flows: "1000", n_rxq: "2" }],
      [portClass.null, "sink"],
    ]);
    addFlow(new BatchBuilder(), 1, output(2)).commit(datapath);
    const bytes = (): number => Number(portStats(datapath, 2)!.txBytes - 14n * portStats(datapath, 2)!.txPackets);
    new BatchBuilder().portShape(2, { kind: shapeKind.committed, ...rates(10_000_000n, 1_000_000n) }).commit(datapath);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = { bytes: bytes(), atMs: performance.now() };
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const rate = (bytes() - before.bytes) / ((performance.now() - before.atMs) / 1000);
    // The machine may stop a thread between two looks; how exact rates are is seen where the clock stands still.
    assert.ok(rate > 5_000_000 && rate < 11_100_000, `${rate} bytes a second passed of 10,000,000`);
  } finally {
    datapath.dispose();
  }
});

test.run();
