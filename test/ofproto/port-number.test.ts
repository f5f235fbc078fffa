import { test } from "uvu";
import * as assert from "uvu/assert";
import { PortNumbers } from "../../ts/ofproto/port-number.js";

const hour = 60 * 60 * 1000;

test("numbers count up, and one that was freed rests for an hour", () => {
  const numbers = new PortNumbers();
  assert.equal([numbers.allocate(undefined, 0), numbers.allocate(undefined, 0)], [1, 2]);
  numbers.release(1, 10);
  assert.is(numbers.allocate(undefined, 20), 3);
  const wrapped = new PortNumbers(32766);
  assert.equal([wrapped.allocate(undefined, 0), wrapped.allocate(undefined, 0)], [32767, 1]);
  wrapped.release(32767, 0);
  const again = new PortNumbers(32766);
  again.allocate(undefined, 0);
  again.release(32767, 0);
  assert.is(again.allocate(32767, 5), 32767, "a request may have it at once");
});

test("a request is granted when it is free and in range", () => {
  const numbers = new PortNumbers();
  assert.is(numbers.allocate(7, 0), 7);
  assert.is(numbers.allocate(7, 0), 1);
  assert.is(numbers.allocate(0, 0), 2);
  assert.is(numbers.allocate(65279, 0), 65279);
  assert.is(numbers.allocate(65280, 0), 3);
});

test("when every number is in use or resting, the one that has rested longest is given", () => {
  const numbers = new PortNumbers();
  for (let port = 1; port <= 32767; port++) numbers.allocate(undefined, 0);
  assert.is(numbers.allocate(undefined, 0), undefined);
  numbers.release(900, 50);
  numbers.release(500, 60);
  assert.is(numbers.allocate(undefined, 100), 900);
  assert.is(numbers.allocate(undefined, 100 + hour), 500);
});

test.run();
