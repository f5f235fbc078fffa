import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noOvs, type Pair, withPair } from "../system/pair.js";
import type { Switch } from "../system/switch.js";
import { openUnixctl } from "./unixctl.js";

/** Which of several tunnels that fit receives a packet, in Sluice and in Open vSwitch: every combination of key, remote
 *  and local address that is exact, absent or left to the flow, and packets that fit all, some or none of them.  The
 *  port that received the first goes, and the packets come again, until nothing is received: so the whole order shows. */

interface Kind {
  readonly type: string;
  /** Values of `packet_type`, where the type has it. */
  readonly packetTypes: readonly (string | undefined)[];
}

const kinds: readonly Kind[] = [
  { type: "vxlan", packetTypes: [undefined] },
  { type: "geneve", packetTypes: [undefined] },
  { type: "gre", packetTypes: ["legacy_l2", "legacy_l3", "ptap"] },
];

/** Columns of the ports of a kind: all combinations that Open vSwitch accepts. */
function combinations({ packetTypes }: Kind): string[][] {
  const out: string[][] = [];
  // With packet types there are ports enough.
  for (const key of packetTypes.length > 1 ? ["5", "flow"] : [undefined, "5", "flow"]) {
    for (const remote of ["1.1.1.1", "flow"]) {
      for (const local of [undefined, "2.2.2.2", "flow"]) {
        if (local === "flow" && remote !== "flow") continue;
        for (const packetType of packetTypes) {
          const options = { key, remote_ip: remote, local_ip: local, packet_type: packetType };
          out.push(
            Object.entries(options).flatMap(([name, value]) =>
              value === undefined ? [] : [`options:${name}=${value}`],
            ),
          );
        }
      }
    }
  }
  return out;
}

/** Packets as they come out of the tunnel's port of the datapath. */
function packets(dpPort: string): string[] {
  const out: string[] = [];
  const link = "eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(frag=no)";
  const bare = "packet_type(ns=1,id=0x800),eth_type(0x0800),ipv4(frag=no)";
  for (const key of ["0x5", "0x0", "0x6"])
    for (const src of ["1.1.1.1", "9.9.9.9"])
      for (const dst of ["2.2.2.2", "8.8.8.8"])
        for (const inner of [link, bare])
          out.push(
            `recirc_id(0),tunnel(tun_id=${key},src=${src},dst=${dst},ttl=64,flags(df|key)),in_port(${dpPort}),${inner}`,
          );
  return out;
}

/** Names of the ports that receive the packets, or why none does. */
async function receivers(under: Switch, flows: readonly string[], names: readonly string[]): Promise<string[]> {
  const file = readdirSync(under.directory).find((name) => /^ovs-vswitchd\.\d+\.ctl$/.test(name)) ?? "";
  const control = await openUnixctl(join(under.directory, file));
  try {
    const out: string[] = [];
    for (const flow of flows) {
      const reply = await control.call("ofproto/trace", "ovs-dummy", flow);
      const number = /^Flow: .*?\bin_port=(\d+)/.exec(reply)?.[1];
      out.push(number === undefined ? (reply.split("\n")[0] ?? "") : (names[Number(number) - 1] ?? number));
    }
    return out;
  } finally {
    control.close();
  }
}

async function compare(pair: Pair, kind: Kind): Promise<number> {
  const ports = combinations(kind);
  const names = ports.map((_, index) => `t${index + 1}`);
  for (const under of pair.both) {
    const adds = ports.flatMap((columns, index) => {
      const name = names[index] ?? "";
      return [
        "--",
        "add-port",
        "br0",
        name,
        "--",
        "set",
        "interface",
        name,
        `type=${kind.type}`,
        `ofport_request=${index + 1}`,
        ...columns,
      ];
    });
    under.ok(
      "ovs-vsctl",
      "add-br",
      "br0",
      "--",
      "set",
      "bridge",
      "br0",
      "datapath_type=dummy",
      "fail_mode=secure",
      ...adds,
    );
  }
  const dpPort = /t1 1\/(\d+):/.exec(pair.ours.ok("ovs-appctl", "dpif/show"))?.[1] ?? "?";
  const flows = packets(dpPort);
  let nRounds = 0;
  for (const left = new Set(names); ; nRounds++) {
    const [ours = [], theirs = []] = await Promise.all(pair.both.map((under) => receivers(under, flows, names)));
    const told = (received: readonly string[]): string =>
      flows
        .map((flow, index) => `${flow} -> ${received[index]} ${ports[names.indexOf(received[index] ?? "")] ?? ""}`)
        .join("\n");
    assert.is(told(ours), told(theirs), `${kind.type}, with ${[...left].join(" ")}`);
    const winner = theirs.find((name) => left.has(name));
    if (winner === undefined) break;
    left.delete(winner);
    for (const under of pair.both) under.ok("ovs-vsctl", "del-port", winner);
  }
  for (const under of pair.both) under.ok("ovs-vsctl", "del-br", "br0");
  return nRounds;
}

if (noOvs !== undefined) console.log(`skip: ${noOvs}`);
else
  test("of tunnels that fit a packet the same one receives it as in Open vSwitch", () =>
    withPair(
      async (pair) => {
        for (const kind of kinds) assert.is(await compare(pair, kind), combinations(kind).length, kind.type);
      },
      ["--disable-system-route"],
    ));

test.run();
