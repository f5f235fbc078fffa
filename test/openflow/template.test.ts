import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { interpretFlowMod } from "../../ts/openflow/codec-flow-mod.js";
import { FlowBody } from "../../ts/openflow/flow-body.js";
import { ByteWriter, decodeFlowMod, encodeMessage, OpenFlowError, parseFlow } from "../../ts/openflow/index.js";
import { keyMapWords } from "../../ts/openflow/tables/key.js";
import { randomActions, randomMatch } from "./random-flow.js";

const runs = { numRuns: 300 };
const flow = fc
  .tuple(randomMatch, randomActions)
  .map(([match, actions]) => `${match}${match === "" ? "" : ","}actions=${actions}`);
const version = fc.constantFrom(3 as const, 4 as const, 5 as const, 6 as const);
/** Bytes to change: where, as a share of the message, and to what. */
const changes = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), { maxLength: 3 });
const context = { bridge: 9, tableId: false, executedOnly: false };
const headSize = 48;

type Decode = (bytes: Uint8Array, out: ByteWriter) => unknown;

const interpreted: Decode = (bytes, out) => interpretFlowMod(bytes, out, context);
/** In the middle of other bytes, as messages lie. */
const decoded: Decode = (bytes, out) => {
  const around = new Uint8Array(bytes.length + 11).fill(0xa5);
  around.set(bytes, 5);
  return decodeFlowMod(around, 5, 5 + bytes.length, out, context);
};

/** The command, or the name of the error. */
function outcome(decode: Decode, bytes: Uint8Array): string {
  const out = new ByteWriter();
  out.u64(0n);
  try {
    decode(bytes, out);
    return Buffer.from(out.finish()).toString("hex");
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
    assert.is(out.position, 8, "nothing is left behind");
    return error.code;
  }
}

/** Twice, so that a template is made, and with the numbers changed that are always free. */
function* likenesses(message: Uint8Array): Generator<Uint8Array> {
  yield message;
  yield message;
  for (const at of [4, 8, 15, 26, 29, 31]) {
    const other = message.slice();
    other[at] = (other[at] as number) ^ 0x55;
    yield other;
  }
}

test("a flow_mod means the same by a template", () => {
  fc.assert(
    fc.property(flow, version, fc.array(changes, { minLength: 4, maxLength: 12 }), (text, version, variants) => {
      const message = encodeMessage(version, 7, { ...parseFlow(text), standard: true, tableId: 0 });
      for (const one of likenesses(message)) assert.is(outcome(decoded, one), outcome(interpreted, one), text);
      for (const variant of variants) {
        const changed = message.slice();
        for (const [where, value] of variant) {
          const at = headSize + Math.floor(where * (changed.length - headSize - 1));
          changed[at] = value;
        }
        const expected = outcome(interpreted, changed);
        for (let time = 0; time < 3; time++) assert.is(outcome(decoded, changed), expected, text);
      }
    }),
    runs,
  );
});

test("a flow's match and instructions are written the same by a template", () => {
  fc.assert(
    fc.property(flow, version, fc.array(changes, { minLength: 4, maxLength: 12 }), (text, version, variants) => {
      const parsed = { ...parseFlow(text), standard: true, tableId: 0 };
      const body = new FlowBody(version, true);
      const written = (match: Uint8Array): Uint8Array => {
        const record = new Uint8Array(match.length + parsed.actions.length);
        record.set(match);
        record.set(parsed.actions, match.length);
        const out = new ByteWriter();
        body.set(record, 0, match.length, parsed.actions.length);
        body.writeMatch(out);
        body.writeInstructions(out);
        return out.finish();
      };
      const mapSize = 8 * keyMapWords;
      for (const variant of [[], [], ...variants]) {
        const match = parsed.match.slice();
        // Values only, within their masks: what a rule can hold.
        for (const [where, value] of variant) {
          const at = mapSize + Math.floor(where * (match.length - mapSize - 1));
          if (match.length > mapSize && (at - mapSize) % 16 < 8) match[at] = value & (match[at + 8] as number);
        }
        const expected = encodeMessage(version, 7, { ...parsed, match }).subarray(headSize);
        assert.equal(written(match), new Uint8Array(expected), text);
      }
    }),
    runs,
  );
});

test.run();
