import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { abiMatch } from "../../ts/openflow/codec-match.js";
import {
  actionsFromObjects,
  actionsToObjects,
  ByteWriter,
  decodeMessage,
  encodeMessage,
  flowModOfRecord,
  formatActions,
  formatMatch,
  KeyMatch,
  matchFromObject,
  matchToObject,
  parseFlow,
  planOf,
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

test("a field without its prerequisites is refused, as an object and on the way to one", () => {
  const isRefused = (error: Error & { code?: string }): boolean => error.code === "OFPBMC_BAD_PREREQ";
  assert.throws(() => matchFromObject({ tcp_dst: 80 }), isRefused);
  assert.throws(() => matchFromObject({ eth_type: 0x800, ip_proto: 17, tcp_dst: 80 }), isRefused);
  assert.throws(() => matchFromObject({ ct_nw_proto: 6 }), isRefused);
  assert.equal(matchToObject(matchFromObject({ eth_type: 0x800, ip_proto: 6, tcp_dst: 80 })).tcp_dst, 80);

  // A connection's field where nothing says that the packet was tracked.
  const odd = new KeyMatch();
  const field = planOf("ct_nw_proto");
  odd.setWire(field, Uint8Array.of(6), 0, -1);
  assert.throws(() => matchToObject(abiMatch(odd)), isRefused);
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
