import { test } from "uvu";
import * as assert from "uvu/assert";
import { plan, type RunningBridge, type Step } from "../../ts/bridge/plan.js";
import type { WantedBridge, WantedInterface, WantedPort } from "../../ts/bridge/wanted.js";
import type { BridgeRow, InterfaceRow, PortRow } from "../../ts/ovsdb/index.js";

type Ask = readonly [name: string, type: string, request?: number | undefined, had?: number];

function wantedBridge(name: string, asks: readonly Ask[], datapathType = "dummy"): WantedBridge {
  const ports = new Map<string, WantedPort>();
  for (const [iface, type, request, had] of asks) {
    const row = {
      name: iface,
      type,
      options: new Map(),
      ofport_request: request,
      ofport: had,
    } as unknown as InterfaceRow;
    const wanted: WantedInterface = { row, name: iface, type };
    ports.set(iface, { row: {} as PortRow, name: iface, interfaces: [wanted] });
  }
  return { row: {} as BridgeRow, name, datapathType, ports, controllers: [], mirrors: [], autoAttach: undefined };
}

function runningBridge(
  name: string,
  has: readonly (readonly [name: string, type: string, ofport: number])[],
  datapathType = "dummy",
): RunningBridge {
  return {
    name,
    datapathType,
    interfaces: new Map(
      has.map(([iface, type, ofport]) => [iface, { name: iface, port: iface, type, options: new Map(), ofport }]),
    ),
  };
}

const running = (...bridges: RunningBridge[]) => new Map(bridges.map((bridge) => [bridge.name, bridge]));
const wanted = (...bridges: WantedBridge[]) => new Map(bridges.map((bridge) => [bridge.name, bridge]));
const told = (steps: readonly Step[]): string[] =>
  steps.map((step) => {
    switch (step.kind) {
      case "deleteBridge":
        return `-${step.bridge}`;
      case "deleteInterface":
        return `-${step.bridge}/${step.name}`;
      case "createBridge":
        return `+${step.wanted.name}`;
      case "addInterface":
        return `+${step.bridge}/${step.wanted.name}@${step.requested ?? "any"}`;
    }
  });

test("an interface that two bridges want is none's until one alone wants it", () => {
  const br0 = wantedBridge("br0", [
    ["p1", "dummy"],
    ["p2", "dummy"],
  ]);
  const br1 = wantedBridge("br1", [["p1", "dummy"]]);
  const before = running(
    runningBridge("br0", [
      ["p1", "dummy", 1],
      ["p2", "dummy", 2],
    ]),
    runningBridge("br1", []),
  );
  assert.equal(told(plan(before, wanted(br0, br1))), ["-br0/p1"]);
  const without = running(runningBridge("br0", [["p2", "dummy", 2]]), runningBridge("br1", []));
  assert.equal(told(plan(without, wanted(br0, br1))), []);
  assert.equal(told(plan(without, wanted(wantedBridge("br0", [["p2", "dummy"]]), br1))), ["+br1/p1@any"]);
});

test("what is as wanted needs nothing", () => {
  assert.equal(
    told(
      plan(
        running(runningBridge("br0", [["p1", "dummy", 1]])),
        wanted(wantedBridge("br0", [["p1", "dummy", undefined, 1]])),
      ),
    ),
    [],
  );
});

test("everything that goes, in all bridges, goes before anything comes", () => {
  const steps = plan(
    running(runningBridge("br0", [["p1", "dummy", 1]]), runningBridge("br1", []), runningBridge("old", [])),
    wanted(wantedBridge("br0", []), wantedBridge("br1", [["p1", "dummy"]]), wantedBridge("new", [])),
  );
  assert.equal(told(steps), ["-old", "-br0/p1", "+new", "+br1/p1@any"]);
});

test("interfaces that ask for a number are made first", () => {
  const steps = plan(
    running(),
    wanted(
      wantedBridge("br0", [
        ["p1", "dummy"],
        ["p2", "dummy", undefined, 7],
        ["p3", "dummy", 1],
      ]),
    ),
  );
  assert.equal(told(steps), ["+br0", "+br0/p3@1", "+br0/p1@any", "+br0/p2@7"]);
});

test("a new number throws out whoever has it without asking for it", () => {
  const steps = plan(
    running(
      runningBridge("br0", [
        ["p1", "dummy", 1],
        ["p2", "dummy", 2],
      ]),
    ),
    wanted(
      wantedBridge("br0", [
        ["p1", "dummy", 2, 1],
        ["p2", "dummy", undefined, 2],
      ]),
    ),
  );
  assert.equal(told(steps), ["-br0/p1", "-br0/p2", "+br0/p1@2", "+br0/p2@2"]);
});

test("whoever has a number and asks for it keeps it", () => {
  const steps = plan(
    running(
      runningBridge("br0", [
        ["p1", "dummy", 1],
        ["p2", "dummy", 2],
      ]),
    ),
    wanted(
      wantedBridge("br0", [
        ["p1", "dummy", 2, 1],
        ["p2", "dummy", 2, 2],
      ]),
    ),
  );
  assert.equal(told(steps), []);
});

test("another type of interface or datapath means made anew", () => {
  const retyped = plan(
    running(runningBridge("br0", [["p1", "dummy", 1]])),
    wanted(wantedBridge("br0", [["p1", "tap", undefined, 1]])),
  );
  assert.equal(told(retyped), ["-br0/p1", "+br0/p1@1"]);
  const moved = plan(
    running(runningBridge("br0", [["p1", "dummy", 1]])),
    wanted(wantedBridge("br0", [["p1", "dummy", undefined, 1]], "netdev")),
  );
  assert.equal(told(moved), ["-br0", "+br0", "+br0/p1@1"]);
});

test("the local port has its own number", () => {
  assert.equal(told(plan(running(), wanted(wantedBridge("br0", [["br0", "internal"]])))), ["+br0", "+br0/br0@65534"]);
});

test.run();
