import { test } from "uvu";
import * as assert from "uvu/assert";
import { createSwitch, FlowSyntaxError, OpenFlowError, type Switch, type SwitchPort } from "../../ts/index.js";

/** A generator of numbers that a seed repeats (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const frames: readonly Uint8Array[] = [
  "505400000002505400000001080045000028000100004011000000000a0000010a0000020001000200140000",
  "505400000002505400000001080045000028000100000111000000000a0000010a0000020001000200140000",
  "ffffffffffff5054000000010806000108000604000150540000000100000a000001000000000000000a000002",
  "0180c2000000505400000001002642420300000000008000505400000001000000008000505400000001",
  "5054000000025054000000018100200508004500001c000100004011000000000a0000010a000002",
  "505400000002505400000001884700001140450000140001000040110000",
  "50540000000250540000000186dd6000000000003b40",
].map((text) => Uint8Array.from(Buffer.from(text.padEnd(120, "0"), "hex")));

const matches = [
  ...["", "ip,", "udp,", "arp,", "in_port=1,", "in_port=2,", "ip,nw_ttl=1,", "vlan_tci=0x1000/0x1000,"],
  ...["mpls,", "ipv6,", "ip_frag=no,"],
] as const;
const actions = [
  ...["drop", "output:1", "output:2", "output:3,output:4", "flood", "all", "normal", "in_port", "output:77"],
  ...[
    "dec_ttl,output:3",
    "mod_vlan_vid:5,output:2,strip_vlan,output:4",
    "resubmit(,1)",
    "resubmit(,0)",
    "goto_table:2",
  ],
  ...["controller", "controller,output:1", "clone(mod_vlan_vid:7,output:2),output:3", "clone(drop),output:4"],
  ...["group:1", "group:2", "group:9", "meter:1,output:2", "push_mpls:0x8847,output:1", "pop_mpls:0x0800,output:3"],
  ...[
    "output(port=2,max_len=20),output:3",
    "check_pkt_larger(50)->NXM_NX_REG0[0],resubmit(,1)",
    "dec_mpls_ttl,output:1",
  ],
  ...["push:NXM_NX_REG0[],output:2", "encap(nsh()),output:1", "decap(),output:2", "set_field:9->reg1"],
] as const;

interface Sums {
  readonly taken: bigint;
  readonly gone: bigint;
}

/** Both sides of the accounts. */
function accountsOf(sw: Switch, ports: readonly SwitchPort[]): Sums {
  const { drops, accounts } = sw.drops();
  const sum = (values: readonly bigint[]): bigint => values.reduce((all, value) => all + value, 0n);
  const inSwitch = drops.filter(({ kind }) => kind === "packet").map(({ packets }) => packets);
  const leaving = drops.filter(({ kind, reason }) => kind === "port" && /^tx_|^rx_policed/.test(reason));
  return {
    taken: sum(ports.map((port) => port.statistics().rxPackets)) + accounts.injected + accounts.copied,
    gone:
      sum(ports.map((port) => port.statistics().txPackets)) +
      sum(inSwitch) +
      sum(leaving.map(({ packets }) => packets)) +
      accounts.consumed,
  };
}

test("whatever the tables say, packets are sent, dropped for a reason, or consumed", async () => {
  const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 2 ** 31);
  const random = randomOf(seed);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  for (let round = 0; round < 12; round++) {
    const sw = await createSwitch({ clock: "virtual" });
    try {
      const bridge = sw.addBridge("br0");
      const ports = ["a", "b", "c", "d"].map((name) => bridge.addPort(name));
      const flows: string[] = [];
      for (let index = 0; index < 24; index++) {
        const table = random(3);
        const flow = `table=${table},priority=${random(4)},${pick(matches)}actions=${pick(actions)}`;
        try {
          bridge.addFlow(flow);
          flows.push(flow);
        } catch (error) {
          // Some actions do not go with some matches, or name groups that are not there.
          if (!(error instanceof OpenFlowError || error instanceof FlowSyntaxError)) throw error;
        }
      }
      for (let count = 0; count < 150; count++) {
        const whole = pick(frames);
        pick(ports).send(random(10) === 0 ? whole.subarray(0, 1 + random(whole.length)) : whole);
        if (random(20) !== 0) continue;
        try {
          bridge.packetOut(pick(frames), pick(["output:1", "table", "flood", "drop"]), pick(ports).name);
        } catch (error) {
          // It leads in circles, which whoever sends it is told.
          assert.match(String(error), /refused the packet-out/);
        }
      }
      const { taken, gone } = accountsOf(sw, ports);
      const said = JSON.stringify(sw.drops(), (_, value) => (typeof value === "bigint" ? Number(value) : value));
      assert.is(taken, gone, `SLUICE_SEED=${seed} round ${round}: ${said}\n${flows.join("\n")}`);
      assert.ok(taken >= 150n);
    } finally {
      await sw.dispose();
    }
  }
});

test("a drop counts under its reason, for the port that the packet came by", async () => {
  const sw = await createSwitch({ clock: "virtual" });
  try {
    const bridge = sw.addBridge("br0");
    const [a, b, c] = ["a", "b", "c"].map((name) => bridge.addPort(name));
    bridge.addFlow("in_port=a,actions=drop");
    bridge.addFlow("in_port=b,ip,actions=dec_ttl,output:c");
    bridge.addFlow("in_port=c,actions=output:a");
    for (let count = 0; count < 3; count++) a!.send(frames[0]!);
    for (let count = 0; count < 40; count++) b!.send(frames[1]!);
    b!.send(frames[0]!);
    b!.send(frames[2]!);
    c!.send(frames[0]!.subarray(0, 9));
    const found = sw.drops().drops.map(({ port, kind, reason, packets }) => ({ port, kind, reason, packets }));
    assert.equal(found, [
      { port: "a", kind: "packet", reason: "no_output", packets: 3n },
      { port: "b", kind: "packet", reason: "table_miss", packets: 1n },
      { port: "b", kind: "packet", reason: "ttl", packets: 40n },
      { port: "c", kind: "packet", reason: "bad_packet", packets: 1n },
    ]);
    assert.is(c!.statistics().txPackets, 1n);
    b!.close();
    const kept = sw.drops().drops.find(({ reason }) => reason === "ttl");
    assert.is(kept?.port, undefined);
    assert.is(kept?.packets, 40n);
  } finally {
    await sw.dispose();
  }
});

test.run();
