import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { systemClock, virtualClock } from "../../ts/clock/index.js";

test("timers of a virtual clock fire in order of time, then in the order in which they were set", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }), (delays) => {
      const clock = virtualClock();
      const fired: [number, number][] = [];
      for (const [index, delay] of delays.entries()) clock.after(delay, () => fired.push([delay, index]));
      clock.advance(50);
      const expected = delays.map((delay, index): [number, number] => [delay, index]);
      expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      assert.equal(fired, expected);
    }),
  );
});

test("each callback of a virtual clock sees the moment that it was set for", () => {
  const clock = virtualClock(1000);
  const seen: number[] = [];
  clock.after(30, () => {
    seen.push(clock.monotonic());
    clock.after(10, () => seen.push(clock.monotonic()));
  });
  clock.advance(100);
  assert.equal(seen, [1030, 1040]);
  assert.is(clock.monotonic(), 1100);
});

test("a periodic timer fires once a period until it is cancelled", () => {
  const clock = virtualClock();
  let count = 0;
  const timer = clock.every(10, () => count++);
  clock.advance(35);
  assert.is(count, 3);
  timer.cancel();
  timer.cancel();
  clock.advance(100);
  assert.is(count, 3);
});

test("a running clock keeps one wake-up, for its nearest timer", () => {
  let now = 0;
  let armed: { delay: number; callback: () => void } | undefined;
  let wakes = 0;
  const clock = systemClock({
    monotonic: () => now,
    wall: () => now,
    wake: (delay, callback) => {
      wakes++;
      armed = { delay, callback };
      return () => {
        armed = undefined;
      };
    },
  });
  const fired: string[] = [];
  clock.after(500, () => fired.push("b"));
  const early = clock.after(100, () => fired.push("a"));
  clock.after(900, () => fired.push("c"));
  assert.is(armed?.delay, 100);
  assert.is(wakes, 2);
  early.cancel();
  assert.is(armed?.delay, 500);
  now = 500;
  armed?.callback();
  assert.equal(fired, ["b"]);
  assert.is(armed?.delay, 400);
});

test("a stopped clock fires only what is moved past, and a warp works on a running one", () => {
  const now = 0;
  const clock = systemClock({ monotonic: () => now, wall: () => now, wake: () => () => {} });
  const fired: number[] = [];
  clock.after(100, () => fired.push(clock.monotonic()));
  clock.advance(100);
  assert.equal(fired, [100]);
  clock.stop();
  assert.ok(clock.stopped);
  clock.after(50, () => fired.push(clock.monotonic()));
  clock.advance(49);
  assert.equal(fired, [100]);
  clock.advance(1);
  assert.equal(fired, [100, 150]);
});

test("small moves of a stopped clock reach what one great move does", () => {
  // 956.906662 + 5 * 1000, one after the other, is less than 956.906662 + 5000.
  for (const now of [956.906662, 956.5, 3000]) {
    const clock = systemClock({ monotonic: () => now, wall: () => now, wake: () => () => {} });
    let fired = 0;
    clock.stop();
    clock.after(5000, () => fired++);
    for (let step = 0; step < 5; step++) clock.advance(1000);
    assert.is(fired, 1, `stopped at ${now}`);
  }
});

test("whoever keeps time elsewhere is told of each stop and move", () => {
  const clock = virtualClock(5);
  const told: number[] = [];
  clock.onAdjust((ms) => told.push(ms));
  clock.advance(5);
  clock.advance(10);
  assert.equal(told, [10, 20]);
});

test.run();
