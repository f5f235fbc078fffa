import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  configureRstp,
  type RstpPortSettings,
  type RstpSettings,
  type RstpState,
  type RstpStep,
  receiveRstp,
  rstpCarrierChanged,
  rstpCostOfSpeed,
  rstpDue,
  rstpTopologyChange,
  runRstp,
} from "../../ts/protocols/index.js";

const test = suite("RSTP");

interface End {
  readonly bridge: number;
  readonly port: string;
}
type Cable = readonly [End, End];

/** Bridges joined by cables; BPDUs take no time. */
class Network {
  now = 0;
  flushed: string[] = [];
  readonly bridges: RstpState[];
  readonly cables: Cable[] = [];
  readonly cut = new Set<Cable>();
  readonly #queue: { readonly from: End; readonly pdu: Uint8Array }[] = [];
  readonly #ports: RstpPortSettings[][];

  constructor(count: number, settings: readonly Partial<RstpSettings>[] = []) {
    this.#ports = Array.from({ length: count }, () => []);
    this.bridges = this.#ports.map(
      (_, index) => configureRstp(undefined, { ...this.#settings(index), ...settings[index] }, [], index * 100).state,
    );
  }

  #settings(index: number): RstpSettings {
    const address = BigInt(0xaa00 + index);
    const times = { maxAge: 20, forwardDelay: 15, transmitHoldCount: 6 };
    return { name: `br${index}`, address, priority: 0x8000, version: 2, ...times };
  }

  join(a: number, b: number, more: Partial<RstpPortSettings> = {}): Cable {
    const cable = [this.addPort(a, more), this.addPort(b, more)] as const;
    this.cables.push(cable);
    return cable;
  }

  addPort(bridge: number, more: Partial<RstpPortSettings> = {}): End {
    const number = this.#ports[bridge]!.length + 1;
    const edge = { adminState: true, adminEdge: false, autoEdge: true, migrationCheck: false, pointToPoint: true };
    this.#ports[bridge]!.push({
      ...{ name: `p${number}`, number, priority: 128, pathCost: 2000, carrier: true },
      ...{ ...edge, ...more },
    });
    const { settings } = this.bridges[bridge]!;
    this.#take(bridge, configureRstp(this.bridges[bridge], settings, this.#ports[bridge]!, this.now));
    return { bridge, port: `p${number}` };
  }

  carrier(cable: Cable, up: boolean): void {
    if (up) this.cut.delete(cable);
    else this.cut.add(cable);
    for (const { bridge, port } of cable) this.#take(bridge, rstpCarrierChanged(this.bridges[bridge]!, port, up));
  }

  tcn(bridge: number): void {
    this.#take(bridge, rstpTopologyChange(this.bridges[bridge]!));
  }

  #take(bridge: number, step: RstpStep): void {
    this.bridges[bridge] = step.state;
    this.flushed.push(...step.flush.map((port) => `${bridge} ${port}`));
    for (const { port, pdu } of step.transmissions) this.#queue.push({ from: { bridge, port }, pdu });
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 100) {
      this.bridges.forEach((state, index) => {
        if (rstpDue(state) <= this.now) this.#take(index, runRstp(state, this.now));
      });
      for (let sent = this.#queue.shift(); sent !== undefined; sent = this.#queue.shift()) {
        const { from, pdu } = sent;
        const cable = this.cables.find((ends) => ends.some((e) => e.bridge === from.bridge && e.port === from.port));
        if (cable === undefined || this.cut.has(cable)) continue;
        const to = cable[0].bridge === from.bridge && cable[0].port === from.port ? cable[1] : cable[0];
        this.#take(to.bridge, receiveRstp(this.bridges[to.bridge]!, to.port, pdu));
      }
    }
  }

  port({ bridge, port }: End): RstpState["ports"][number] {
    return this.bridges[bridge]!.ports.find(({ name }) => name === port)!;
  }

  open(): Cable[] {
    return this.cables.filter((cable) => !this.cut.has(cable) && cable.every((end) => this.port(end).forwarding));
  }

  /** Sets of bridges that reach each other by the cables. */
  parts(cables: readonly Cable[]): number {
    const leader = this.bridges.map((_, index) => index);
    const find = (index: number): number => (leader[index] === index ? index : find(leader[index]!));
    for (const [a, b] of cables) leader[find(a.bridge)] = find(b.bridge);
    return new Set(leader.map((_, index) => find(index))).size;
  }
}

test("two bridges agree at once, and the second cable takes over at once", () => {
  const network = new Network(2);
  const first = network.join(0, 1);
  const second = network.join(0, 1);
  network.run(1500);
  assert.equal(network.open(), [first]);
  assert.is(network.port(second[1]).role, "alternate");
  assert.is(network.port(first[1]).role, "root");
  network.carrier(first, false);
  network.run(200);
  assert.equal(network.open(), [second]);
  network.carrier(first, true);
  network.run(2000);
  assert.equal(network.open(), [first]);
});

test("a ring of three heals within two seconds", () => {
  const network = new Network(3);
  const cables = [network.join(0, 1), network.join(1, 2), network.join(2, 0)];
  network.run(2000);
  assert.equal(network.open(), [cables[0], cables[2]]);
  network.carrier(cables[0]!, false);
  network.run(2000);
  assert.equal(network.open(), [cables[1], cables[2]]);
});

test("a silent break is noticed after three hellos", () => {
  const network = new Network(3);
  const cables = [network.join(0, 1), network.join(1, 2), network.join(2, 0)];
  network.run(3000);
  network.cut.add(cables[2]!);
  network.run(10_000);
  assert.equal(network.open(), [cables[0], cables[1]]);
});

test("a port that hears nobody is an edge, and one that hears somebody is none", () => {
  const network = new Network(2);
  const edge = network.addPort(0);
  network.run(5000);
  assert.is(network.port(edge).operEdge, true);
  assert.is(network.port(edge).state, "forwarding");
  const [admin] = network.join(0, 1, { adminEdge: true });
  assert.is(network.port(admin).operEdge, true);
  network.run(2100);
  assert.is(network.port(admin).operEdge, false);
});

test("a port that hears plain BPDUs sends plain ones, and waits for the forward delay", () => {
  const network = new Network(2, [{}, { version: 0 }]);
  const cable = network.join(0, 1);
  network.run(45_000);
  assert.equal(network.open(), [cable]);
  const other = new Network(2, [{ version: 0 }, {}]);
  const [slow, end] = other.join(0, 1);
  other.run(5000);
  assert.is(other.port(end).sendRstp, false);
  assert.is(other.port(slow).state, "discarding");
  other.run(35_000);
  assert.is(other.port(slow).state, "forwarding");
});

test("a change of topology makes others forget what is behind their other ports", () => {
  const network = new Network(3);
  network.join(0, 1);
  network.join(1, 2);
  network.run(10_000);
  network.flushed = [];
  network.tcn(0);
  network.run(3000);
  assert.is(network.flushed.length, 0, "bridge 0 has no other port");
  const [loop] = [network.join(0, 2)];
  network.flushed = [];
  network.run(3000);
  assert.ok(network.flushed.length > 0);
  assert.is(network.open().includes(loop), true);
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
      Array.from({ length: count }, () => ({ priority: 0x1000 * random(16), version: random(5) === 0 ? 0 : 2 })),
    );
    for (let cable = 0; cable < count + random(8); cable++) {
      const a = random(count);
      network.join(a, (a + 1 + random(count - 1)) % count, { pathCost: 1 + random(100) });
    }
    for (let change = 0; change < 3; change++) {
      network.run(90_000);
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

test("bad BPDUs are counted and change nothing", () => {
  const network = new Network(2);
  network.join(0, 1);
  network.run(2000);
  let state = network.bridges[0]!;
  for (const pdu of [
    [0, 0, 0],
    [0, 1, 2, 2],
    [0, 0, 0, 0, 1],
    [0, 0, 2, 2, 1],
    [0, 0, 0, 9],
  ]) {
    const step = receiveRstp(state, "p1", Uint8Array.from(pdu));
    assert.equal(step.transmissions, []);
    state = step.state;
  }
  assert.is(state.ports[0]!.errors, 5);
  assert.is(state.ports[0]!.state, "forwarding");
  assert.equal([100_000, 10_000, 1000, 100, 10, 0].map(rstpCostOfSpeed), [200, 2000, 20_000, 200_000, 2_000_000, 2000]);
});

test.run();
