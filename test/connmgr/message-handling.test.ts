/** What a connection keeps between messages: bundles, requests in parts, flow monitors. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FlowMonitors } from "../../ts/connmgr/flow-monitors.js";
import { MessageBundles } from "../../ts/connmgr/message-bundles.js";
import { MultipartAssembler } from "../../ts/connmgr/multipart-assembler.js";
import type { FlowChange, FlowRecord } from "../../ts/ofproto/index.js";
import { encodeMessage, monitorFlag, OpenFlowError } from "../../ts/openflow/index.js";
import type { FlowMonitor } from "../../ts/openflow/message.js";

const request = Uint8Array.of(5, 33, 0, 8, 0, 0, 0, 1);

function codeOf(body: () => void): string {
  try {
    body();
  } catch (error) {
    if (error instanceof OpenFlowError) return error.code;
    throw error;
  }
  return "";
}

test("whatever is wrong with a bundle forgets it", () => {
  const bundles = new MessageBundles<string>();
  bundles.open(1, 3, request, "a", 0);
  assert.is(
    codeOf(() => bundles.open(1, 3, request, "b", 0)),
    "OFPBFC_BAD_ID",
  );
  assert.is(bundles.size, 0);
  bundles.open(1, 3, request, "a", 0);
  assert.is(
    codeOf(() => bundles.use(1, 2, 0)),
    "OFPBFC_BAD_FLAGS",
  );
  bundles.open(1, 3, request, "c", 0);
  bundles.use(1, 3, 0);
  bundles.close(1, 3, 0);
  assert.is(
    codeOf(() => bundles.use(1, 3, 0)),
    "OFPBFC_BUNDLE_CLOSED",
  );
  assert.is(
    codeOf(() => bundles.take(1, 3)),
    "OFPBFC_BAD_ID",
  );
});

test("a bundle that nobody uses is given up, with the message that opened it", () => {
  const bundles = new MessageBundles<string>();
  bundles.open(1, 0, request, "a", 0);
  bundles.use(1, 0, 5000);
  assert.equal(bundles.expire(14_999, 10_000), []);
  assert.equal(bundles.expire(15_000, 10_000), [request]);
  assert.is(bundles.size, 0);
});

function part(xid: number, more: boolean, body: number, type = 12): Uint8Array {
  const bytes = new Uint8Array(16 + body);
  bytes.set([4, 18, bytes.length >> 8, bytes.length & 0xff, 0, 0, 0, xid, 0, type, 0, more ? 1 : 0]);
  return bytes;
}

test("a request in parts is handled when its last part has come, and fails when that does not come", () => {
  const assembler = new MultipartAssembler();
  assert.is(assembler.take(part(1, true, 64), 0), undefined);
  assert.is(assembler.take(part(2, true, 64), 500), undefined);
  assert.equal(
    assembler.take(part(1, false, 0), 900)?.map((bytes) => bytes.length),
    [80],
  );
  assert.is(assembler.deadline, 1500);
  assert.equal(
    assembler.expire(1500).map((bytes) => bytes[7]),
    [2],
  );
  assert.is(assembler.deadline, undefined);
});

test("parts of two kinds, a body where there is none, and four megabytes are too much", () => {
  const assembler = new MultipartAssembler();
  assembler.take(part(1, true, 64), 0);
  assert.is(
    codeOf(() => assembler.take(part(1, false, 8, 15), 0)),
    "OFPBRC_BAD_STAT",
  );
  assert.is(
    codeOf(() => assembler.take(part(3, false, 8, 14), 0)),
    "OFPBRC_BAD_STAT",
  );
  assert.is(
    codeOf(() => assembler.take(part(3, false, 0, 9), 0)),
    "OFPBRC_BAD_LEN",
  );
  assert.is(
    codeOf(() => {
      for (let count = 0; count < 70; count++) assembler.take(part(4, true, 65_000), 0);
    }),
    "OFPBRC_MULTIPART_BUFFER_OVERFLOW",
  );
});

const everything = new Uint8Array(16);
const monitor = (flags: number): FlowMonitor => ({
  id: 1,
  command: 0,
  flags,
  outPort: 0xffffffff,
  outGroup: 0xffffffff,
  tableId: 255,
  match: everything,
});

function change(kind: FlowChange["kind"], addedVersion: bigint, version: bigint, xid = 0): FlowChange {
  const flow = {
    table: 0,
    reason: 2,
    priority: 1,
    cookie: 0n,
    idleTimeoutS: 0,
    hardTimeoutS: 0,
    addedVersion,
    version,
    matchBytes: everything,
    actionsBytes: new Uint8Array(0),
  } as unknown as FlowRecord;
  return { kind, flow, oldActions: undefined, requester: undefined, xid };
}

test("own changes are abbreviated once a message, unless they are wanted in full", () => {
  const brief = new FlowMonitors();
  brief.change([monitor(monitorFlag.add | monitorFlag.removed)], 254);
  brief.note(change("added", 1n, 1n, 7), true);
  brief.note(change("removed", 1n, 1n, 7), true);
  brief.note(change("modified", 1n, 2n, 7), false);
  assert.equal(brief.takeUpdates(), [{ event: "abbreviated", xid: 7 }]);
  const full = new FlowMonitors();
  full.change([monitor(monitorFlag.add | monitorFlag.onlyOwn)], 254);
  full.note(change("added", 1n, 1n, 7), true);
  assert.equal(
    full.takeUpdates().map((update) => update.event),
    ["added"],
  );
});

test("a paused monitor hears only that what it knows is gone, and on resuming what is new", () => {
  const monitors = new FlowMonitors();
  monitors.change([monitor(monitorFlag.add | monitorFlag.removed | monitorFlag.modify)], 254);
  monitors.note(change("added", 5n, 5n), false);
  monitors.takeUpdates();
  monitors.pause();
  monitors.note(change("removed", 5n, 5n), false);
  monitors.note(change("added", 6n, 6n), false);
  monitors.note(change("removed", 6n, 6n), false);
  assert.equal(
    monitors.takeUpdates().map((update) => update.event),
    ["removed"],
  );
  const flows = [change("added", 4n, 4n), change("added", 3n, 7n), change("added", 8n, 8n)].map(({ flow }) => flow);
  assert.equal(
    [...monitors.resume(flows)].map((update) => update.event),
    ["modified", "added"],
  );
  assert.not(monitors.isPaused);
});

test("an OpenFlow 1.1 match holds what the ABI's match holds", () => {
  const bytes = encodeMessage(2, 1, {
    type: "flow_stats_request",
    standard: true,
    tableId: 255,
    outPort: 0xffffffff,
    outGroup: 0xffffffff,
    cookie: 0n,
    cookieMask: 0n,
    match: everything,
  });
  assert.is(bytes.length, 16 + 32 + 88);
});

test.run();
