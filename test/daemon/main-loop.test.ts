import { test } from "uvu";
import * as assert from "uvu/assert";
import { virtualClock } from "../../ts/clock/index.js";
import { CoverageCounters, coverageCommands } from "../../ts/daemon/coverage.js";
import { MainLoop } from "../../ts/daemon/main-loop.js";
import { MemoryMonitor } from "../../ts/daemon/memory.js";
import { timeCommands } from "../../ts/daemon/time-commands.js";
import { silentLogger } from "../../ts/log/index.js";

const text = { format: "text" } as const;

test("requests for a pass that come before it are one pass, in the fixed order", async () => {
  const trace: string[] = [];
  const loop = new MainLoop({
    stages: [
      { name: "memory", run: () => {} },
      { name: "bridge", run: () => new Promise((resolve) => setTimeout(resolve, 5)) },
      { name: "netdev", run: () => {} },
    ],
    onError: () => {},
    trace: (stage) => trace.push(stage),
  });
  const first = loop.wake();
  assert.is(loop.wake(), first);
  await first;
  assert.is(loop.passes, 1);
  assert.equal(trace, ["memory", "bridge", "netdev"]);
});

test("a request during a pass gets a pass that begins after it, and passes never overlap", async () => {
  let inside = 0;
  let overlapped = false;
  let seen = 0;
  let value = 0;
  const loop = new MainLoop({
    stages: [
      {
        name: "bridge",
        run: async () => {
          overlapped ||= inside++ > 0;
          seen = value;
          await new Promise((resolve) => setTimeout(resolve, 2));
          inside--;
        },
      },
    ],
    onError: () => {},
  });
  for (let i = 1; i <= 5; i++) {
    void loop.wake();
    await new Promise((resolve) => setImmediate(resolve));
    value = i;
    await loop.wake();
    assert.is(seen, i);
  }
  assert.not(overlapped);
});

test("a stage that throws is told of, and the others run", async () => {
  const errors: string[] = [];
  let ran = false;
  const loop = new MainLoop({
    stages: [
      {
        name: "bridge",
        run: () => {
          throw new Error("x");
        },
      },
      {
        name: "netdev",
        run: () => {
          ran = true;
        },
      },
    ],
    onError: (stage) => errors.push(stage),
  });
  await loop.wake();
  assert.equal(errors, ["bridge"]);
  assert.ok(ran);
});

test("time/warp makes one pass a step and answers when it is done", async () => {
  const clock = virtualClock();
  const at: number[] = [];
  const [stop, warp] = timeCommands(clock, async () => void at.push(clock.monotonic()));
  assert.is(await stop?.handler([], text), "");
  assert.is(await warp?.handler(["1000", "400"], text), "warped\n");
  assert.equal(at, [400, 800, 1000]);
  assert.is(await warp?.handler(["5"], text), "warped\n");
  assert.is(clock.monotonic(), 1005);
  for (const bad of [["0"], ["a"], ["10", "x"]]) {
    let message = "";
    await Promise.resolve()
      .then(() => warp?.handler(bad, text))
      .catch((error: Error) => {
        message = error.message;
      });
    assert.is(message, "invalid MSECS");
  }
});

test("a known counter that never moved reads 0, an unknown one is an error", async () => {
  const counters = new CoverageCounters(virtualClock());
  counters.declare("bridge_reconfigure");
  counters.addReader(() => ({ dpif_flow_put: 3 }));
  const read = coverageCommands(counters)[1];
  assert.is(await read?.handler(["bridge_reconfigure"], text), "0\n");
  assert.is(await read?.handler(["dpif_flow_put"], text), "3\n");
  assert.throws(() => read?.handler(["nosuch"], text), "No such counter");
});

test("coverage/show gives the rates of 5 seconds, a minute and an hour", () => {
  const clock = virtualClock();
  const counters = new CoverageCounters(clock);
  counters.count("hmap_expand", 60);
  counters.declare("quiet");
  clock.advance(5000);
  const lines = counters.show().split("\n");
  assert.match(
    lines[0] ?? "",
    /^Event coverage, avg rate over last: 5 seconds, last minute, last hour, {2}hash=[0-9a-f]{8}:$/,
  );
  assert.is(lines[1], "hmap_expand               12.0/sec     1.000/sec        0.0167/sec   total: 60");
  assert.is(lines[2], "1 events never hit");
  clock.advance(60_000);
  assert.match(counters.show(), /hmap_expand {16}0\.0\/sec {5}0\.000\/sec {8}0\.0167\/sec {3}total: 60/);
});

test("memory is told of after ten seconds and when the peak has grown by half", () => {
  const clock = virtualClock();
  const lines: string[] = [];
  let peak = 1000;
  const memory = new MemoryMonitor(clock, { ...silentLogger, info: (line) => lines.push(line) }, () => peak);
  memory.add(() => ({ rules: 5, ports: 2, ofconns: 0 }));
  memory.add(() => ({ ports: 1 }));
  assert.is(memory.show(), "ports:3 rules:5");
  clock.advance(20_000);
  peak = 1499;
  clock.advance(10_000);
  peak = 1500;
  clock.advance(10_000);
  assert.equal(lines, [
    "1000 kB peak resident set size after 10.0 seconds",
    "ports:3 rules:5",
    "peak resident set size grew 50% in last 30.0 seconds, from 1000 kB to 1500 kB",
    "ports:3 rules:5",
  ]);
});

test.run();
