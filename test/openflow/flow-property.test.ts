import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  actionsFromObjects,
  actionsToObjects,
  ByteWriter,
  decodeMessage,
  encodeMessage,
  flowModOfRecord,
  formatActions,
  formatMatch,
  matchFromObject,
  matchToObject,
  parseFlow,
  recordOfFlowMod,
} from "../../ts/openflow/index.js";
import { randomActions, randomMatch } from "./random-flow.js";

const runs = { numRuns: 400 };
const flow = fc
  .tuple(randomMatch, randomActions)
  .map(([match, actions]) => `${match}${match === "" ? "" : ","}actions=${actions}`);

test("a flow read, printed and read again is the same flow", () => {
  fc.assert(
    fc.property(flow, (text) => {
      const first = parseFlow(text);
      const printed = `${formatMatch(first.match)} actions=${formatActions(first.actions)}`;
      const second = parseFlow(printed);
      assert.equal(second.match, first.match, printed);
      assert.equal(second.actions, first.actions, printed);
    }),
    runs,
  );
});

test("a flow_mod decoded and encoded again is the same bytes", () => {
  fc.assert(
    fc.property(flow, fc.constantFrom(1, 4, 5, 6), (text, version) => {
      const bytes = encodeMessage(version, 7, { ...parseFlow(text), standard: version !== 1, tableId: 0 });
      const message = decodeMessage(bytes);
      assert.equal(encodeMessage(version, 7, message), bytes, text);
    }),
    runs,
  );
});

test("a match and actions survive the trip through plain objects", () => {
  fc.assert(
    fc.property(flow, (text) => {
      const { match, actions } = parseFlow(text);
      assert.is(formatMatch(matchFromObject(matchToObject(match))), formatMatch(match));
      assert.is(formatActions(actionsFromObjects(actionsToObjects(actions))), formatActions(actions));
    }),
    runs,
  );
});

test("a flow_mod survives the trip through the ABI's command", () => {
  fc.assert(
    fc.property(flow, (text) => {
      const first = { ...parseFlow(text), tableId: 3 };
      const out = new ByteWriter();
      recordOfFlowMod(out, first, 5, 4);
      const { newCookie, modifyCookie, ...rest } = flowModOfRecord(out.finish(), 0);
      assert.is(newCookie, first.newCookie);
      assert.type(modifyCookie, "boolean");
      assert.equal({ ...rest, newCookie, modifyCookie: first.modifyCookie }, first);
    }),
    runs,
  );
});

test.run();
