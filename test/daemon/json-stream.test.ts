import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { JsonStream } from "../../ts/daemon/json-stream.js";

test("objects come out as they went in, however the stream is cut", () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue());
  const gap = fc.constantFrom("", " ", "\n", "\r\n\t");
  fc.assert(
    fc.property(fc.array(fc.tuple(object, gap)), fc.array(fc.nat(40), { minLength: 1 }), (items, cuts) => {
      const bytes = Buffer.from(items.map(([value, space]) => space + JSON.stringify(value)).join(""));
      const stream = new JsonStream(1 << 20);
      const texts: string[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const end = Math.min(at + 1 + cuts[i % cuts.length]!, bytes.length);
        texts.push(...stream.push(bytes.subarray(at, end)));
        at = end;
      }
      assert.equal(
        texts,
        items.map(([value]) => JSON.stringify(value)),
      );
      assert.not(stream.pending);
    }),
  );
});

test("what cannot become an object is refused at its first byte", () => {
  for (const text of ["garbage", "[1]", '"x"', "{}x", "}"]) {
    assert.throws(() => new JsonStream(100).push(Buffer.from(text)), /A message is a JSON object/);
  }
});

test("an object that never ends is refused at the limit", () => {
  const stream = new JsonStream(1000);
  assert.throws(() => {
    for (let i = 0; i < 100; i++) stream.push(Buffer.from(`{"a":"${"x".repeat(90)}",`));
  }, /longer than 1000 bytes/);
});

test.run();
