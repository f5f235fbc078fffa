import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  configureStp,
  formatStp,
  receiveStp,
  runStp,
  type StpPortSettings,
  type StpSettings,
  type StpState,
  type StpStep,
  stpCarrierChanged,
  stpCostOfSpeed,
  stpDue,
  stpRole,
  stpTopologyChange,
} from "../../ts/protocols/index.js";

const test = suite("STP");

interface End {
  readonly bridge: number;
  readonly port: string;
}
type Cable = readonly [End, End];

const fast = { helloMs: 1000, maxAgeMs: 6000, forwardDelayMs: 4000 };

/** Bridges joined by cables; BPDUs take no time. */
class Network {
  now = 0;
  flushes = 0;
  readonly bridges: StpState[];
  readonly cables: Cable[] = [];
  readonly cut = new Set<Cable>();
  readonly #queue: { readonly from: End; readonly pdu: Uint8Array }[] = [];
  readonly #ports: StpPortSettings[][];

  constructor(count: number, priorities: readonly number[] = []) {
    this.#ports = Array.from({ length: count }, () => []);
    this.bridges = this.#ports.map((_, index) => {
      const step = configureStp(undefined, this.settings(index, priorities[index]), [], 0);
      return step.state;
    });
  }

  settings(index: number, priority = 0x8000): StpSettings {
    return { name: `br${index}`, address: BigInt(0xaa00 + index), priority, ...fast };
  }

  join(a: number, b: number, pathCost = 19): Cable {
    const cable = [this.#addPort(a, pathCost), this.#addPort(b, pathCost)] as const;
    this.cables.push(cable);
    for (const { bridge } of cable)
      this.#take(
        bridge,
        configureStp(this.bridges[bridge], this.bridges[bridge]!.settings, this.#ports[bridge]!, this.now),
      );
    return cable;
  }

  #addPort(bridge: number, pathCost: number): End {
    const number = this.#ports[bridge]!.length + 1;
    this.#ports[bridge]!.push({ name: `p${number}`, number, priority: 128, pathCost, carrier: true });
    return { bridge, port: `p${number}` };
  }

  carrier(cable: Cable, up: boolean): void {
    if (up) this.cut.delete(cable);
    else this.cut.add(cable);
    for (const { bridge, port } of cable)
      this.#take(bridge, stpCarrierChanged(this.bridges[bridge]!, port, up, this.now));
  }

  #take(bridge: number, step: StpStep): void {
    this.bridges[bridge] = step.state;
    if (step.flush) this.flushes += 1;
    for (const { port, pdu } of step.transmissions) this.#queue.push({ from: { bridge, port }, pdu });
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 100) {
      this.bridges.forEach((state, index) => {
        if (stpDue(state) <= this.now) this.#take(index, runStp(state, this.now));
      });
      for (let sent = this.#queue.shift(); sent !== undefined; sent = this.#queue.shift()) {
        const { from, pdu } = sent;
        const cable = this.cables.find((ends) => ends.some((e) => e.bridge === from.bridge && e.port === from.port));
        if (cable === undefined || this.cut.has(cable)) continue;
        const to = cable[0].bridge === from.bridge && cable[0].port === from.port ? cable[1] : cable[0];
        this.#take(to.bridge, receiveStp(this.bridges[to.bridge]!, to.port, pdu, this.now));
      }
    }
  }

  state({ bridge, port }: End): string {
    return this.bridges[bridge]!.ports.find(({ name }) => name === port)!.state;
  }

  /** Cables that packets pass. */
  open(): Cable[] {
    return this.cables.filter((cable) => !this.cut.has(cable) && cable.every((e) => this.state(e) === "forwarding"));
  }

  /** Sets of bridges that reach each other by the cables. */
  parts(cables: readonly Cable[]): number {
    const leader = this.bridges.map((_, index) => index);
    const find = (index: number): number => (leader[index] === index ? index : find(leader[index]!));
    for (const [a, b] of cables) leader[find(a.bridge)] = find(b.bridge);
    return new Set(leader.map((_, index) => find(index))).size;
  }
}

test("two bridges with two cables leave one of them open, and the other takes over when it is cut", () => {
  const network = new Network(2);
  const first = network.join(0, 1);
  const second = network.join(0, 1);
  network.run(10_000);
  assert.equal(network.open(), [first]);
  assert.is(network.state(second[1]), "blocking");
  assert.is(network.bridges[1]!.rootPort, 1);
  network.carrier(first, false);
  network.run(15_000);
  assert.equal(network.open(), [second]);
  network.carrier(first, true);
  network.run(15_000);
  assert.equal(network.open(), [first]);
});

test("a port listens and learns for a forward delay each before it forwards", () => {
  const network = new Network(2);
  const [end] = network.join(0, 1);
  network.run(100);
  assert.is(network.state(end), "listening");
  network.run(4000);
  assert.is(network.state(end), "learning");
  network.run(4000);
  assert.is(network.state(end), "forwarding");
});

test("a silent break is noticed when the maximum age is over", () => {
  const network = new Network(3);
  const direct = network.join(0, 2);
  network.join(0, 1);
  const spare = network.join(1, 2);
  network.run(12_000);
  assert.is(network.state(spare[1]), "blocking");
  network.cut.add(direct); // Both ends keep their carrier.
  network.run(5000);
  assert.is(network.state(spare[1]), "blocking");
  network.run(12_000);
  assert.is(network.state(spare[1]), "forwarding");
});

test("the root is the bridge of least priority, then of least address; its times are everybody's", () => {
  const network = new Network(3, [0x8000, 0x7000, 0x8000]);
  network.join(0, 1);
  network.join(1, 2);
  network.run(12_000);
  const root = network.bridges[1]!.bridgeId;
  assert.equal(
    network.bridges.map((bridge) => bridge.designatedRoot),
    [root, root, root],
  );
  const step = configureStp(
    network.bridges[1],
    { ...network.bridges[1]!.settings, helloMs: 2000 },
    network.bridges[1]!.ports,
    network.now,
  );
  network.bridges[1] = step.state;
  network.run(5000);
  assert.is(network.bridges[0]!.times.helloMs, 2000);
  assert.is(network.bridges[0]!.ownTimes.helloMs, 1000);
});

test("a path that costs less is taken", () => {
  const network = new Network(3);
  const dear = network.join(0, 2, 100);
  network.join(0, 1, 19);
  network.join(1, 2, 19);
  network.run(12_000);
  assert.is(network.state(dear[1]), "blocking");
  assert.is(network.bridges[2]!.rootPathCost, 38);
});

test("a change of topology is told to the root and makes everybody forget addresses", () => {
  const network = new Network(3);
  network.join(0, 1);
  network.join(1, 2);
  network.run(40_000);
  assert.is(network.bridges[0]!.change, false);
  network.flushes = 0;
  const step = stpTopologyChange(network.bridges[2]!, network.now);
  network.bridges[2] = step.state;
  assert.is(step.transmissions.length, 1);
  network.bridges[1] = receiveStp(network.bridges[1]!, "p2", step.transmissions[0]!.pdu, network.now).state;
  network.run(3000);
  assert.is(network.bridges[0]!.change, true);
  assert.is(network.bridges[2]!.changeDetected, false, "acknowledged");
  assert.ok(network.flushes >= 3);
});

test("whatever the network, what is open reaches all and has no loop, before and after cables break", () => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
  let word = seed;
  const random = (below: number): number => {
    word = (Math.imul(word, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((word / 2 ** 32) * below);
  };
  for (let round = 0; round < 40; round++) {
    const count = 2 + random(6);
    const network = new Network(
      count,
      Array.from({ length: count }, () => 0x1000 * random(16)),
    );
    for (let cable = 0; cable < count + random(8); cable++) {
      const a = random(count);
      network.join(a, (a + 1 + random(count - 1)) % count, 1 + random(100));
    }
    for (let change = 0; change < 3; change++) {
      network.run(60_000);
      const whole = network.cables.filter((cable) => !network.cut.has(cable));
      const open = network.open();
      const about = `seed ${seed}, round ${round}, change ${change}`;
      assert.is(network.parts(open), network.parts(whole), `${about}: what can be reached is`);
      assert.is(open.length, count - network.parts(open), `${about}: no loop`);
      const cable = network.cables[random(network.cables.length)]!;
      network.carrier(cable, network.cut.has(cable));
    }
  }
});

test("bad BPDUs are counted, told and change nothing", () => {
  const network = new Network(2);
  network.join(0, 1);
  network.run(100);
  const bad: readonly (readonly [Uint8Array, string])[] = [
    [Uint8Array.of(0, 0, 0), "br0: received runt 3-byte BPDU"],
    [Uint8Array.of(0, 1, 0, 0), "br0: received BPDU with unexpected protocol ID 1"],
    [Uint8Array.of(0, 0, 0, 0, 0), "br0: received config BPDU with invalid size 5"],
    [Uint8Array.of(0, 0, 0, 0x80, 0), "br0: received TCN BPDU with invalid size 5"],
    [Uint8Array.of(0, 0, 0, 7), "br0: received BPDU of unexpected type 7"],
  ];
  let state = network.bridges[0]!;
  const before = state.ports[0]!;
  for (const [pdu, text] of bad) {
    const step = receiveStp(state, "p1", pdu, network.now);
    assert.equal(step.notes, [{ level: "warn", text }]);
    assert.is(step.transmissions.length, 0);
    state = step.state;
  }
  assert.equal(state.ports[0], { ...before, errorCount: bad.length });
});

test("times keep the relations of the standard", () => {
  const { state } = configureStp(
    undefined,
    { name: "br", address: 1n, priority: 1, helloMs: 9000, maxAgeMs: 6000, forwardDelayMs: 1000 },
    [],
    0,
  );
  assert.equal(state.times, { helloMs: 9000, maxAgeMs: 20_000, forwardDelayMs: 11_000 });
  assert.equal([20_000, 10_000, 1000, 100, 16, 10, 4, 1].map(stpCostOfSpeed), [2, 2, 4, 19, 62, 100, 250, 2]);
});

test("stp/show has a port for each that is not disabled", () => {
  const network = new Network(2);
  network.join(0, 1);
  network.run(1100);
  const text = formatStp(network.bridges[1]!);
  assert.match(text, "  root-port       p1\n  root-path-cost  19\n");
  assert.match(text, "  p1         root       listening  19    128.1\n");
  const { state } = stpCarrierChanged(network.bridges[1]!, "p1", false, network.now);
  assert.is(formatStp(state).includes("p1"), false);
  assert.is(stpRole(state, state.ports[0]!), "designated");
});

test.run();
