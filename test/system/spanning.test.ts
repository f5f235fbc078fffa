/** Loops of switches that speak spanning tree protocols with each other: Sluice, Open vSwitch and the Linux bridge. */
import { execFileSync, spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, type Switch, startOvs, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vswitchd", "ovs-vsctl", "ovs-appctl", "ip"] });
if (reason !== undefined) console.log(`skip: spanning: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const ip = (...args: string[]): string =>
  execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** One switch of a loop. */
interface Member {
  readonly name: string;
  addPort(device: string): void;
  isForwarding(device: string): boolean;
  /** Identifier of the root, twelve hexadecimal digits. */
  root(): string;
}

type Protocol = "stp" | "rstp";

const settings = (protocol: Protocol): string[] =>
  protocol === "stp"
    ? ["stp_enable=true", ...["hello-time=1", "max-age=6", "forward-delay=4"].map((word) => `other_config:stp-${word}`)]
    : ["rstp_enable=true", ...["max-age=6", "forward-delay=4"].map((word) => `other_config:rstp-${word}`)];

function openMember(under: Switch, bridge: string, protocol: Protocol, address: string): Member {
  under.ok(
    ...(["ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev"] as const),
    ...settings(protocol),
    `other_config:hwaddr=${address}`,
  );
  const show = (): string => under.ok("ovs-appctl", `${protocol}/show`, bridge);
  return {
    name: under.kind,
    addPort(device) {
      under.ok("ovs-vsctl", "add-port", bridge, device);
      assert.is(under.ok("ovs-vsctl", "get", "interface", device, "error").trim(), "[]");
    },
    // The table has room for ten letters of a name.
    isForwarding: (device) => new RegExp(`^ +${device.slice(0, 10)} +\\S+ +forwarding `, "mi").test(show()),
    root: () => (/system-id +([0-9a-f:]{17})/.exec(show())?.[1] ?? "").replaceAll(":", ""),
  };
}

function kernelMember(namespace: string): Member {
  ip("netns", "add", namespace);
  const times = ["forward_delay", "400", "hello_time", "100", "max_age", "600"];
  ip("-n", namespace, "link", "add", "kbr", "type", "bridge", "stp_state", "1", ...times);
  ip("-n", namespace, "link", "set", "kbr", "up");
  const detail = (device: string): Record<string, Record<string, string>> =>
    (JSON.parse(ip("-n", namespace, "-j", "-d", "link", "show", device)) as [{ linkinfo: never }])[0].linkinfo;
  let first = "";
  return {
    name: "kernel",
    addPort(device) {
      first ||= device;
      ip("link", "set", device, "netns", namespace);
      ip("-n", namespace, "link", "set", device, "master", "kbr", "up");
    },
    isForwarding: (device) => detail(device)["info_slave_data"]?.["state"] === "forwarding",
    root: () => {
      // Of the bridge, ip shows its own identifier as the root's.
      const id = detail(first)["info_slave_data"]?.["root_id"] ?? "";
      const bytes = id.replace(/^[^.]*\./, "").split(":");
      return bytes.map((byte) => byte.padStart(2, "0")).join("");
    },
  };
}

interface Cable {
  readonly ends: readonly [string, string];
  readonly members: readonly [Member, Member];
}

let made = 0;

/** Joins the members in a ring, and two with two cables. */
function ring(members: readonly Member[]): Cable[] {
  return members.map((member, index) => {
    const next = members[(index + 1) % members.length]!;
    made += 1;
    // Short enough for the tables that the switches print.
    const ends = [`s${process.pid % 10_000}a${made}`, `s${process.pid % 10_000}b${made}`] as const;
    ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1]);
    for (const end of ends) ip("link", "set", end, "up");
    member.addPort(ends[0]);
    next.addPort(ends[1]);
    return { ends, members: [member, next] };
  });
}

const isOpen = ({ ends, members }: Cable): boolean => ends.every((end, index) => members[index]!.isForwarding(end));

async function withMembers(
  kinds: readonly ("sluice" | "ovs" | "kernel")[],
  protocol: Protocol,
  body: (members: readonly Member[], cables: readonly Cable[]) => Promise<void>,
): Promise<void> {
  const tag = `sp${process.pid % 10_000}`;
  const switches: Switch[] = [];
  let cables: Cable[] = [];
  try {
    const members: Member[] = [];
    for (const kind of kinds) {
      if (kind === "kernel") {
        members.push(kernelMember(`${tag}k`));
        continue;
      }
      const under = await (kind === "ovs" ? startOvs() : startSluice());
      switches.push(under);
      const address = kind === "ovs" ? "02:00:00:00:00:02" : "02:00:00:00:00:01";
      members.push(openMember(under, `${tag}${kind.slice(0, 1)}`, protocol, address));
    }
    cables = ring(members);
    await body(members, cables);
    assert.ok(switches.every((under) => under.alive()));
  } finally {
    for (const under of switches) await under.stop();
    for (const { ends } of cables) spawnSync("ip", ["link", "del", ends[0]]);
    spawnSync("ip", ["netns", "del", `${tag}k`]);
  }
}

/** All cables of a ring but one are open, and everybody knows the same root. */
async function converges(members: readonly Member[], cables: readonly Cable[], seconds: number): Promise<void> {
  let roots: string[] = [];
  await until("all cables but one are open", seconds, () => cables.filter(isOpen).length === cables.length - 1);
  await until("there is one root", 5, () => {
    roots = members.map((member) => member.root());
    return roots[0] !== "" && new Set(roots).size === 1;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${roots.join(" ")}`);
  });
}

for (const peers of [["kernel"], ["ovs"], ["kernel", "ovs"]] as const) {
  maybe(`STP: a loop of Sluice with ${peers.join(" and ")} is cut, and heals when a cable breaks`, async () => {
    await withMembers(["sluice", ...peers], "stp", async (members, cables) => {
      await converges(members, cables, 25);
      const open = cables.find((cable) => isOpen(cable) && cable.members[0]!.name === "sluice") ?? cables.find(isOpen)!;
      const spare = cables.find((cable) => !isOpen(cable))!;
      const end = open.members[0]!.name === "kernel" ? open.ends[1] : open.ends[0];
      ip("link", "set", end, "down");
      await until("the spare cable is open", 30, () => isOpen(spare));
    });
  });
}

maybe("RSTP: a loop of Sluice with Open vSwitch is cut at once, and heals within two seconds", async () => {
  await withMembers(["sluice", "ovs"], "rstp", async (members, cables) => {
    await converges(members, cables, 10);
    const open = cables.find(isOpen)!;
    const spare = cables.find((cable) => !isOpen(cable))!;
    ip("link", "set", open.ends[0], "down");
    await until("the spare cable is open", 2, () => isOpen(spare));
  });
});

maybe("RSTP: a loop of Sluice with a kernel bridge, which speaks STP, is cut", async () => {
  await withMembers(["sluice", "kernel"], "rstp", async (members, cables) => {
    await converges(members, cables, 25);
  });
});

test.run();
