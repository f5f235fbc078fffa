import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Json } from "../../ts/ovsdb/json.js";
import { parseJson, printJson } from "../../ts/ovsdb/json.js";
import { Splitter, StreamError } from "../../ts/ovsdb/splitter.js";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

test("messages come out however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
      fc.array(fc.integer({ min: 1, max: 7 })),
      (messages, cuts) => {
        const stream = bytes(messages.map((message) => JSON.stringify(message)).join(" \n"));
        const splitter = new Splitter();
        const found: Json[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const n = cuts[i % Math.max(cuts.length, 1)] ?? 5;
          found.push(...splitter.push(stream.subarray(at, at + n)));
          at += n;
        }
        assert.is(printJson(found), printJson(messages.map((message) => parseJson(JSON.stringify(message)))));
        assert.is(splitter.pendingBytes, 0);
      },
    ),
    { numRuns: 300 },
  );
});

for (const garbage of [
  "x",
  "[]",
  "5",
  '"a"',
  "}",
  "{}]",
  '{"a":}',
  '{"a":1}}',
  "\u0000",
  '{"a":"\u0001"}',
  "{'a':1}",
]) {
  test(`${JSON.stringify(garbage)} breaks the stream`, () => {
    assert.throws(
      () => new Splitter().push(bytes(garbage)),
      (error: unknown) => error instanceof StreamError,
    );
  });
}

test("invalid UTF-8 breaks the stream", () => {
  assert.throws(
    () => new Splitter().push(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
    (error: unknown) => error instanceof StreamError,
  );
});

test("a message that is too long, or nested too deeply, breaks the stream before it is held", () => {
  const splitter = new Splitter(1000);
  assert.throws(() => {
    for (let i = 0; i < 100; i++) {
      splitter.push(bytes(`${i === 0 ? '{"a":"' : ""}${"x".repeat(50)}`));
    }
  }, /longer than 1000 bytes/);
  assert.ok(splitter.pendingBytes <= 1050);
  assert.throws(() => new Splitter().push(bytes(`{"a":${"[".repeat(2000)}`)), /nested/);
});

test("random bytes never do worse than break the stream", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (chunk) => {
      try {
        new Splitter().push(chunk);
      } catch (error) {
        assert.instance(error, StreamError);
      }
    }),
    { numRuns: 2000 },
  );
});

test("integers of 64 bits survive parsing and printing", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.jsonValue(), (integer, value) => {
      const text = `{"a":[${integer},${JSON.stringify(value)}],"b":"1234567890123456789"}`;
      const parsed = parseJson(text);
      assert.is(printJson(parsed), printJson(parseJson(printJson(parsed))));
      const array = (parsed as { a: readonly Json[] }).a;
      assert.is(BigInt(array[0] as bigint), integer);
      assert.is(printJson(array[1] as Json), printJson(parseJson(JSON.stringify(value))));
    }),
  );
});

test.run();
