import { test } from "uvu";
import * as assert from "uvu/assert";
import { flowModKind, flowModsCame, noFlowMods, takeFlowModReport } from "../../ts/connmgr/flow-mod-report.js";

test("ten seconds after the first flow_mod the log is told, with what came meanwhile", () => {
  let report = flowModsCame(noFlowMods, flowModKind(0), 3, 1000);
  assert.is(report.dueAt, 11_000);
  report = flowModsCame(report, flowModKind(4), 1, 5000);
  report = flowModsCame(report, flowModKind(1), 2, 8000);
  assert.is(takeFlowModReport(report, 10_999).sentence, undefined);
  const due = takeFlowModReport(report, 11_000);
  assert.is(due.sentence, "6 flow_mods in the 7 s starting 10 s ago (3 adds, 1 deletes, 2 modifications)");
  assert.is(due.report.dueAt, undefined);
});

test("the next report waits for a minute", () => {
  const first = takeFlowModReport(flowModsCame(noFlowMods, "adds", 1, 0), 10_000);
  assert.is(first.sentence, "1 flow_mods 10 s ago (1 adds)");
  const second = flowModsCame(first.report, "adds", 1, 11_000);
  assert.is(second.dueAt, 70_000);
  assert.is(takeFlowModReport(second, 70_000).sentence, "1 flow_mods 59 s ago (1 adds)");
});

test("a steady stream is told as such", () => {
  let report = flowModsCame(noFlowMods, "adds", 1, 0);
  report = flowModsCame(report, "adds", 1, 10_000);
  assert.is(takeFlowModReport(report, 10_000).sentence, "2 flow_mods in the last 10 s (2 adds)");
});

test.run();
