import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  error,
  flowFlag,
  flowQuerySize,
  flowReportSize,
  portClass,
  portDrop,
  query,
  readFlowInfo,
  readTraceStep,
  removedReason,
  traceKind,
  writeFlowQuery,
} from "../../ts/datapath/generated/records.js";
import {
  BatchBuilder,
  counters,
  Datapath,
  type DatapathError,
  type DatapathEvents,
  datapathStats,
  dumpRecords,
  flowChanges,
  link,
  links,
  megaflows,
  memory,
  portStats,
  queryRecord,
  syncStats,
  trace,
  workerStats,
} from "../../ts/datapath/index.js";
import { addFlow, anyPort, makeBridge, matchAll, output, toController, udpFrame } from "./bridge-setup.js";

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** A datapath with two memory ports on a bridge, and a list of what happened. */
function twoPorts(): {
  datapath: Datapath;
  frames: DatapathEvents["portFrame"][];
  packetIns: DatapathEvents["packetIn"][];
} {
  const datapath = new Datapath();
  const frames: DatapathEvents["portFrame"][] = [];
  const packetIns: DatapathEvents["packetIn"][] = [];
  datapath.on("portFrame", (frame) => frames.push(frame));
  datapath.on("packetIn", (packetIn) => packetIns.push(packetIn));
  makeBridge(datapath, [
    [portClass.memory, "a"],
    [portClass.memory, "b"],
  ]);
  return { datapath, frames, packetIns };
}

const flowQuery = (): Uint8Array<ArrayBuffer> =>
  queryRecord(
    flowQuerySize,
    (view, size) =>
      writeFlowQuery(view, 0, {
        type: query.flowDump,
        flags: 0,
        size,
        cursor: 0n,
        bridge: 1,
        table: 255,
        strict: 0,
        includeHidden: 0,
        outPort: anyPort,
        outGroup: anyPort,
        cookie: 0n,
        cookieMask: 0n,
        priority: 0,
        matchSize: matchAll.length,
      }),
    matchAll,
  );

test("a frame injected into one memory port comes out at the other", () => {
  const { datapath, frames } = twoPorts();
  addFlow(new BatchBuilder(), 1, output(2)).portInject(1, udpFrame(1)).commit(datapath);
  assert.is(datapath.run(), 1);
  assert.is(frames.length, 1);
  assert.is(frames[0]?.dpPort, 2);
  assert.equal(frames[0]?.packet, udpFrame(1));
  datapath.dispose();
});

test("dumps tell flows with their counters, and megaflows", () => {
  const { datapath } = twoPorts();
  const batch = new BatchBuilder();
  for (let priority = 1; priority <= 1000; priority++)
    addFlow(batch, priority, output(2), { cookie: BigInt(priority) });
  batch.commit(datapath);
  for (let host = 1; host <= 20; host++) batch.portInject(1, udpFrame(host));
  batch.commit(datapath);
  datapath.run();
  syncStats(datapath);
  const flows = [...dumpRecords(datapath, flowQuery(), 4096)].map((record) => readFlowInfo(viewOf(record), 0));
  assert.is(flows.length, 1000);
  assert.is(new Set(flows.map((flow) => flow.cookie)).size, 1000);
  assert.equal(
    flows.filter((flow) => flow.nPackets > 0n).map((flow) => [flow.priority, flow.nPackets, flow.nBytes]),
    [[1000, 20n, 1200n]],
  );
  const cached = [...megaflows(datapath)];
  assert.is(cached.length, 1);
  // The packet that it was made for did not find it.
  assert.is(cached[0]?.nPackets, 19n);
  const stats = datapathStats(datapath);
  assert.equal([stats.nFlows, stats.nMissed, stats.nMasks], [1n, 1n, 1]);
  assert.is(memory(datapath).nRules, 1000n);
  assert.is([...workerStats(datapath)][0]?.nPackets, 20n);
  datapath.dispose();
});

test("a packet for controllers is an event with its bytes", () => {
  const { datapath, packetIns } = twoPorts();
  addFlow(new BatchBuilder(), 5, toController(20), { cookie: 0xabcn }).portInject(2, udpFrame(9)).commit(datapath);
  datapath.run();
  assert.is(packetIns.length, 1);
  const [packetIn] = packetIns;
  assert.equal(
    [packetIn?.bridge, packetIn?.inPort, packetIn?.cookie, packetIn?.totalSize, packetIn?.packet.length],
    [1, 2, 0xabcn, 60, 60],
  );
  assert.equal(packetIn?.packet, udpFrame(9));
  datapath.dispose();
});

test("a packet-out is executed", () => {
  const { datapath, frames } = twoPorts();
  new BatchBuilder().packetOut(1, 0xfffffffd, matchAll, output(1), udpFrame(3)).commit(datapath);
  datapath.drainEvents();
  assert.equal(
    frames.map(({ dpPort, packet }) => [dpPort, packet.length]),
    [[1, 60]],
  );
  datapath.dispose();
});

test("a trace tells its steps", () => {
  const { datapath } = twoPorts();
  addFlow(new BatchBuilder(), 7, output(2), { cookie: 1n }).commit(datapath);
  const steps = trace(datapath, { bridge: 1, inPort: 1, traceFlags: 0, match: matchAll, packet: udpFrame(1) });
  const kinds = (steps ?? []).map((step) => readTraceStep(viewOf(step), 0).kind);
  assert.is(kinds[0], traceKind.bridge);
  assert.ok(
    kinds.includes(traceKind.rule) && kinds.includes(traceKind.megaflow) && kinds.includes(traceKind.datapathActions),
  );
  assert.is(trace(datapath, { bridge: 9, inPort: 1, traceFlags: 0, match: matchAll }), undefined);
  datapath.dispose();
});

test("expiry follows a frozen clock, and removed rules are never lost", () => {
  const { datapath } = twoPorts();
  let told = 0;
  datapath.on("flowsChanged", () => told++);
  const now = datapath.now();
  const batch = new BatchBuilder().clockSet(now);
  for (let priority = 1; priority <= 500; priority++)
    addFlow(batch, priority, output(2), { idle: 10, flags: flowFlag.sendFlowRem });
  batch.commit(datapath);
  batch.clockSet(now + 10_001).commit(datapath);
  datapath.run();
  assert.ok(told >= 1);
  const removed = [...flowChanges(datapath)].map((record) => readFlowInfo(viewOf(record), flowReportSize));
  assert.is(removed.length, 500);
  assert.ok(removed.every((flow) => flow.reason === removedReason.idleTimeout));
  assert.is([...flowChanges(datapath)].length, 0);
  datapath.dispose();
});

test("the first failed command is named, and undoes the others", () => {
  const { datapath } = twoPorts();
  const batch = addFlow(new BatchBuilder(), 1, output(2)).bridgeDel(77);
  assert.throws(
    () => batch.commit(datapath),
    (failure: DatapathError) =>
      failure.code === "DATAPATH_COMMAND" && /Command 1 of the batch failed: noSuchBridge/.test(failure.message),
  );
  assert.is([...dumpRecords(datapath, flowQuery())].length, 0);
  const results = addFlow(batch, 1, output(2)).bridgeDel(77).submit(datapath, { independent: true });
  assert.equal(
    results.map((result) => result.error),
    [0, error.noSuchBridge],
  );
  assert.is([...dumpRecords(datapath, flowQuery())].length, 1);
  datapath.dispose();
});

test("devices that cannot be had say why", () => {
  const datapath = new Datapath();
  const batch = new BatchBuilder();
  const [missing] = batch.portOpen(1, portClass.packet, "slp-missing").submit(datapath);
  assert.equal([missing?.error, missing?.systemError], [error.device, 19]);
  const [unknown] = batch.portOpen(1, 99, "x").submit(datapath);
  assert.is(unknown?.error, error.notSupported);
  const [nameless] = batch.portOpen(1, portClass.memory, "").submit(datapath);
  assert.is(nameless?.error, error.badArgument);
  const [bad] = batch.portOpen(1, portClass.memory, "m", { n_rxq: "many" }).submit(datapath);
  assert.is(bad?.error, error.badArgument);
  assert.is(portStats(datapath, 1), undefined);
  datapath.dispose();
});

test("ports count what they drop, with the reason", () => {
  const { datapath } = twoPorts();
  addFlow(new BatchBuilder(), 1, output(2)).portSet(2, { mtu: 100 }).commit(datapath);
  const long = new Uint8Array(200);
  long.set(udpFrame(1));
  new BatchBuilder().portInject(1, long).portInject(1, udpFrame(1)).commit(datapath);
  datapath.run();
  const stats = portStats(datapath, 2);
  assert.equal([stats?.txPackets, stats?.txDropped, stats?.mtu], [1n, 1n, 100]);
  const drop = [...counters(datapath)].find((counter) => counter.id === 0x20000 + portDrop.txTooLong);
  assert.equal([drop?.dpPort, drop?.value], [2, 1n]);
  datapath.dispose();
});

test("links of the host are told by name and as a list", () => {
  const datapath = new Datapath();
  assert.is(link(datapath, "lo")?.ifindex, 1);
  assert.is(link(datapath, "slp-missing"), undefined);
  assert.ok([...links(datapath)].some((each) => each.name === "lo" && each.mtu > 0));
  datapath.dispose();
});

test("a full ring drops packets and counts them, but not events of state", () => {
  const datapath = new Datapath({ ringSize: 8192 });
  makeBridge(datapath, [
    [portClass.memory, "a"],
    [portClass.memory, "b"],
  ]);
  const batch = addFlow(new BatchBuilder(), 1, output(2));
  for (let host = 1; host <= 200; host++) batch.portInject(1, udpFrame(host));
  batch.commit(datapath);
  let frames = 0;
  let changes = 0;
  datapath.on("portFrame", () => frames++);
  datapath.on("portChanged", () => changes++);
  datapath.run();
  new BatchBuilder().portSet(1, { up: 0 }).commit(datapath);
  datapath.drainEvents();
  assert.ok(frames > 10 && frames < 200);
  assert.is(frames + (datapath.droppedEvents()[2] ?? 0), 200);
  assert.is(changes, 1);
  datapath.dispose();
});

test("with workers, events come by themselves", async () => {
  const datapath = new Datapath({ workers: 1 });
  makeBridge(datapath, [
    [portClass.memory, "a"],
    [portClass.memory, "b"],
  ]);
  addFlow(new BatchBuilder(), 1, output(2)).commit(datapath);
  datapath.ref();
  for (let round = 0; round < 20; round++) {
    const frame = new Promise<DatapathEvents["portFrame"]>((resolve) => {
      const end = datapath.on("portFrame", (value) => {
        end();
        resolve(value);
      });
    });
    new BatchBuilder().portInject(1, udpFrame(round)).commit(datapath);
    assert.is((await frame).packet[11], round);
  }
  assert.throws(() => datapath.run(), /a datapath with workers runs by itself/i);
  datapath.dispose();
});

test("packets pass while the JavaScript thread is blocked, known flows and new ones", () => {
  const datapath = new Datapath({ workers: 1 });
  makeBridge(datapath, [
    [portClass.null, "generator", { flows: "100000" }],
    [portClass.null, "sink"],
  ]);
  addFlow(new BatchBuilder(), 1, output(2)).commit(datapath);
  const block = (ms: number): void => {
    for (const end = performance.now() + ms; performance.now() < end; );
  };
  block(20);
  const before = portStats(datapath, 2)?.txPackets ?? 0n;
  block(300);
  const after = portStats(datapath, 2)?.txPackets ?? 0n;
  assert.ok(after - before > 100_000n, `${after - before} packets`);
  datapath.dispose();
});

test("a closed datapath answers that it is closed", () => {
  const { datapath } = twoPorts();
  datapath.dispose();
  datapath.dispose();
  assert.ok(datapath.closed);
  const closed = (failure: DatapathError): boolean => failure.code === "DATAPATH_CLOSED";
  assert.throws(() => datapath.run(), closed);
  assert.throws(() => datapath.now(), closed);
  assert.throws(() => new BatchBuilder().megaflowFlush().commit(datapath), closed);
  assert.throws(() => portStats(datapath, 1), closed);
});

test("a listener that disposes ends the drain", () => {
  const { datapath } = twoPorts();
  let count = 0;
  datapath.on("portFrame", () => {
    count++;
    datapath.dispose();
  });
  addFlow(new BatchBuilder(), 1, output(2)).portInject(1, udpFrame(1)).portInject(1, udpFrame(2)).commit(datapath);
  datapath.run();
  assert.is(count, 1);
});

test("options that cannot be are refused", () => {
  assert.throws(() => new Datapath({ ringSize: 5000 }), /ringSize is 5000/);
  assert.throws(() => new Datapath({ workers: 1000 }), /cannot create a datapath/);
});

test("datapaths live in several threads at once and end with them", async () => {
  const url = new URL("../../ts/datapath/index.js", import.meta.url).href;
  const code = `import("${url}").then(({ Datapath }) => { new Datapath({ workers: 1 }); const d = new Datapath(); process.exitCode = d.now() > 0 ? 0 : 1; });`;
  const ends = Array.from(
    { length: 3 },
    () => new Promise((resolve) => new Worker(code, { eval: true }).on("exit", resolve)),
  );
  assert.equal(await Promise.all(ends), [0, 0, 0]);
});

test.run();
