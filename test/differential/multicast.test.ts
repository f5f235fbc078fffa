/** Random lives of hosts and routers that speak IGMP and MLD, in Sluice and in Open vSwitch: what both know of groups, what
 *  they would do with a packet and what they send must be the same after every step.
 *
 *  MULTICAST_SEED and MULTICAST_STEPS repeat a life, or make it longer. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noOvs, withPair } from "../system/pair.js";
import { addDummyBridge, type Switch, sleep } from "../system/switch.js";
import { data, group4, group6, igmp, igmp3, mld1, mld2, type ReportRecord, type Sender } from "./multicast-frames.js";
import { outputs } from "./outputs.js";
import { capture, frames } from "./play.js";
import { type Random, seeded } from "./random.js";
import { openUnixctl, type Unixctl } from "./unixctl.js";

if (noOvs !== undefined) console.log(`skip: multicast: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const ports = 5;
const groups = 14;
const seed = Number(process.env.MULTICAST_SEED ?? Math.floor(Math.random() * 1e9));
const steps = Number(process.env.MULTICAST_STEPS ?? 150);

/** One step: what is done to a switch, in words that a failure shows. */
type Step =
  | { readonly kind: "frame"; readonly port: number; readonly hex: string; readonly about: string }
  | { readonly kind: "vsctl"; readonly command: string }
  | { readonly kind: "appctl"; readonly words: readonly string[] };

const someGroup = (random: Random): readonly number[] =>
  random.chance(0.5) ? group4(1 + random.below(groups)) : group6(1 + random.below(groups));
const record = (random: Random, group: readonly number[]): ReportRecord => ({
  type: 1 + random.below(random.chance(0.1) ? 8 : 6),
  group,
  sources: random.chance(0.5) ? 0 : 1 + random.below(2),
});

function message(random: Random, sender: Sender): readonly [about: string, hex: string] {
  const four = group4(1 + random.below(groups));
  const six = group6(1 + random.below(groups));
  const list = <T>(make: () => T): T[] => Array.from({ length: 1 + random.below(3) }, make);
  switch (random.below(12)) {
    case 0:
    case 1:
      return ["IGMP report", igmp(sender, random.pick([0x12, 0x16]), four)];
    case 2:
      return ["IGMP leave", igmp(sender, 0x17, four)];
    case 3:
      return [
        "IGMPv3 report",
        igmp3(
          sender,
          list(() => record(random, group4(1 + random.below(groups)))),
        ),
      ];
    case 4:
    case 5:
      return ["MLD report", mld1(sender, 131, six)];
    case 6:
      return ["MLD done", mld1(sender, 132, six)];
    case 7:
      return [
        "MLDv2 report",
        mld2(
          sender,
          list(() => record(random, group6(1 + random.below(groups)))),
        ),
      ];
    case 8:
      return random.chance(0.5)
        ? ["IGMP query", igmp(sender, 0x11, [0, 0, 0, 0])]
        : ["MLD query", mld1(sender, 130, new Array<number>(16).fill(0))];
    case 9:
      return random.chance(0.5)
        ? ["IGMP query of nobody", igmp(sender, 0x11, [0, 0, 0, 0], [0, 0, 0, 0])]
        : ["IGMP report with a bad checksum", igmp(sender, 0x16, four, undefined, 1)];
    default:
      return random.chance(0.1)
        ? ["data for all", data(sender, group4(1 + random.below(200), false))]
        : ["data", data(sender, someGroup(random))];
  }
}

function setting(random: Random): Step {
  const port = `port p${1 + random.below(ports)}`;
  const is = random.chance(0.5);
  const command = random.pick([
    `set ${port} other_config:mcast-snooping-flood=${is}`,
    `set ${port} other_config:mcast-snooping-flood-reports=${is}`,
    `set bridge br0 other_config:mcast-snooping-disable-flood-unregistered=${is}`,
    `set bridge br0 other_config:mcast-snooping-aging-time=${random.pick([0, 5, 20, 60, 120, -1])}`,
    `set bridge br0 other_config:mcast-snooping-table-size=${random.pick([0, 3, 10, 12])}`,
    is ? `set ${port} tag=10` : `clear ${port} tag`,
    random.chance(0.1) ? `set bridge br0 mcast_snooping_enable=false` : `set bridge br0 mcast_snooping_enable=true`,
  ]);
  return { kind: "vsctl", command };
}

function chooseStep(random: Random): Step {
  const dice = random.below(100);
  if (dice < 80) {
    const port = 1 + random.below(ports);
    const [about, hex] = message(random, { host: port, vlan: random.chance(0.3) ? 10 : 0 });
    return { kind: "frame", port, hex, about };
  }
  if (dice < 90) return { kind: "appctl", words: ["time/warp", String(1000 * (1 + random.below(25))), "1000"] };
  if (dice < 92) return { kind: "appctl", words: ["mdb/flush", "br0"] };
  return setting(random);
}

interface Subject {
  readonly under: Switch;
  readonly control: Unixctl;
}

async function doStep({ under, control }: Subject, step: Step): Promise<void> {
  if (step.kind === "frame") await control.call("netdev-dummy/receive", `p${step.port}`, step.hex);
  else if (step.kind === "vsctl") under.ok("ovs-vsctl", "-t", "20", ...step.command.split(" "));
  else await control.call(step.words[0] ?? "", ...step.words.slice(1));
}

/** The order in which ports with a flag, or all of them, are output to is nobody's business.  A tag of VLAN 10 that was taken off
 *  and put back is the one that the packet came with. */
function tidyTrace(text: string): string {
  const tidy = (actions: string): string =>
    outputs(actions)
      .replaceAll("pop_vlan+push_vlan(vid=10,pcp=0)+", "")
      .split(/,(?![^(]*\))/)
      .sort()
      .join();
  return text
    .split("\n")
    .map((line) =>
      line.replace(/^Datapath actions: (.*)$/, (_, actions: string) => `Datapath actions: ${tidy(actions)}`),
    )
    .sort()
    .join("\n");
}

/** What can be seen: groups, and what would become of packets. */
async function look({ under, control }: Subject, asks: readonly string[]): Promise<string> {
  const texts = [await control.call("mdb/show", "br0")];
  for (const flow of asks) texts.push(tidyTrace(await control.call("ofproto/trace", "br0", flow)));
  for (let port = 1; port <= ports; port++) texts.push(`sent by ${port}: ${frames(capture(under, port)).join(" ")}`);
  return texts.join("\n");
}

function askFor(random: Random): readonly string[] {
  const group = 1 + random.below(groups);
  const head = `in_port=${1 + random.below(ports)},dl_src=50:54:00:00:00:77,dl_vlan=10`;
  const plain = `in_port=${1 + random.below(ports)},dl_src=50:54:00:00:00:77`;
  return [
    `${random.chance(0.5) ? plain : head},udp,dl_dst=01:00:5e:01:01:01,nw_dst=224.1.1.${group}`,
    `${random.chance(0.5) ? plain : head},udp6,dl_dst=33:33:00:00:00:01,ipv6_dst=ff05::${group.toString(16)}`,
    `${plain},ip,nw_proto=2,tp_src=${random.pick([0x11, 0x12, 0x13, 0x16, 0x17, 0x22])},dl_dst=01:00:5e:01:01:01,nw_dst=224.1.1.1`,
    `${plain},icmp6,icmp_type=${random.pick([130, 131, 132, 143, 135])},dl_dst=33:33:00:00:00:01,ipv6_dst=ff05::1`,
    `${plain},ip,dl_dst=01:00:5e:00:00:05,nw_dst=224.0.0.${group}`,
    `${plain},ipv6,dl_dst=33:33:00:00:00:01,ipv6_dst=ff02::${random.pick(["1", "2"])}`,
  ];
}

async function subject(under: Switch): Promise<Subject> {
  addDummyBridge(under, ports, {
    bridge: ["mcast_snooping_enable=true"],
    port: (number) => [`options:tx_pcap=${capture(under, number)}`],
  });
  under.ok("ovs-ofctl", "add-flow", "br0", "actions=NORMAL");
  const control = await openUnixctl(join(under.directory, `ovs-vswitchd.${under.pid}.ctl`));
  await control.call("time/stop");
  return { under, control };
}

maybe("multicast goes where it goes in Open vSwitch, whatever hosts and routers say", async () => {
  console.log(`# MULTICAST_SEED=${seed}`);
  const random = seeded(seed);
  await withPair(async (pair) => {
    const both = await Promise.all(pair.both.map(subject));
    const done: string[] = [];
    for (let count = 0; count < steps; count++) {
      const step = chooseStep(random);
      done.push(JSON.stringify(step));
      await Promise.all(both.map((one) => doStep(one, step)));
      const asks = askFor(random);
      let seen: string[] = [];
      // Packets are on their way when the command that injects them returns.
      for (let tries = 0; tries < 60; tries++) {
        seen = await Promise.all(both.map((one) => look(one, asks)));
        if (seen[0] === seen[1]) break;
        await sleep(50);
      }
      if (seen[0] !== seen[1]) {
        const [ours = [], theirs = []] = seen.map((text) => text.split("\n"));
        const only = (some: readonly string[], others: readonly string[]): string =>
          some.filter((line) => !others.includes(line)).join("\n");
        const told = `MULTICAST_SEED=${seed}, after:\n${done.slice(-12).join("\n")}`;
        assert.unreachable(`${told}\nSluice:\n${only(ours, theirs)}\nOpen vSwitch:\n${only(theirs, ours)}`);
      }
    }
    for (const { control } of both) control.close();
  });
});

test.run();
