/** LLDP and auto-attach as a person sets them, in Sluice and in Open vSwitch: the frames that leave, what comes of those that
 *  arrive, and what the database and the tools show. */
import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { capture, frames } from "../differential/play.js";
import { equal, noOvs, type Pair, say, withPair } from "./pair.js";
import { addDummyBridge, missing, type Switch, until } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: LLDP: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;
const noShark = missing({ tools: ["tshark"] });
if (noShark !== undefined) console.log(`skip: LLDP decoded: ${noShark}`);

function setUp(pair: Pair, ...more: readonly string[]): void {
  for (const under of pair.both) {
    addDummyBridge(under, 2, {
      port: (number) => [`options:tx_pcap=${capture(under, number)}`],
    });
    under.ok("ovs-appctl", "time/stop");
    under.ok("ovs-vsctl", "-t", "20", ...more);
  }
}

/** What a port sent since, as soon as there are so many frames. */
async function sent(under: Switch, port: number, count: number): Promise<string[]> {
  await until(`${under.kind} sent ${count}`, 20, () => frames(capture(under, port)).length >= count);
  // Dummies get addresses in the order that they are made in.
  return frames(capture(under, port)).map((frame) => frame.replaceAll(/aa55aa5500../g, "aa55aa5500XX"));
}

const mappings = "mappings:17=100 mappings:70000=5";
const attach = [
  ...["--", "--id=@a", "create", "AutoAttach", "system_name=hera", 'system_description="a switch of tests"'],
  ...[...mappings.split(" "), "--", "set", "bridge", "br0", "auto_attach=@a"],
];

maybe("frames are those of Open vSwitch, every five seconds, and tshark finds nothing wrong with them", async () => {
  await withPair(async (pair) => {
    setUp(pair, "set", "interface", "p1", "lldp:enable=true");
    const warp = async (): Promise<void> => {
      for (const under of pair.both) await say(under, ["ovs-appctl", "time/warp", "5000", "1000"]);
    };
    await warp();
    let seen = await Promise.all(pair.both.map((under) => sent(under, 1, 1)));
    equal(seen[0] ?? [], seen[1] ?? []);
    for (const under of pair.both) under.ok("ovs-vsctl", "-t", "20", ...attach);
    await warp();
    await warp();
    seen = await Promise.all(pair.both.map((under) => sent(under, 1, 2)));
    // A change of the configuration has Open vSwitch wait anew.
    assert.is(seen[0]?.at(-1), seen[1]?.at(-1));
    if (noShark !== undefined) return;
    const { ours } = pair;
    assert.ok(existsSync(capture(ours, 1)));
    const decoded = ours.ok("tshark", "-r", capture(ours, 1), "-V");
    assert.match(decoded, /System Name = hera/);
    assert.match(decoded, /Time To Live = 120 sec/);
    assert.not.match(decoded, /Malformed|Expert Info \((Error|Warning)/);
  });
});

maybe("a frame that arrives shows with its sender, and what it says of mappings", async () => {
  await withPair(async (pair) => {
    setUp(pair, "set", "interface", "p1", "lldp:enable=true", ...attach);
    const digest = "00".repeat(32);
    const from = "50540000ff01";
    const server =
      `0180c200000e${from}88cc` +
      `0207 04${from} 0404 05657468 0602 0078 0a04 68657261 0c06 736572766572 0e04 00140014` +
      `fe32 00040d0b ${digest} 08000000 ${from} 0000 0000` +
      `fe2e 00040d0c ${digest} 2064 000011 3005 011170 0000`;
    const asks = ["autoattach/status", "autoattach/show-isid", "autoattach/statistics"];
    const texts = await Promise.all(
      pair.both.map(async (under) => {
        const out: string[] = [];
        for (const frame of [server, `0180c200000e${from}88cc0207`]) {
          await say(under, ["ovs-appctl", "netdev-dummy/receive", "p1", frame.replaceAll(" ", "")]);
          await say(under, ["ovs-appctl", "netdev-dummy/receive", "p2", frame.replaceAll(" ", "")]);
        }
        await until(`${under.kind} took the frames`, 20, () =>
          under.ok("ovs-appctl", "autoattach/statistics").includes("rx cnt: 2"),
        );
        for (const ask of asks) out.push(sorted(await say(under, ["ovs-appctl", ask])));
        out.push(await say(under, ["ovs-appctl", "ofproto/trace", "br0", "in_port=1,dl_type=0x88cc"]));
        out.push(await say(under, ["ovs-appctl", "ofproto/trace", "br0", "in_port=2,dl_type=0x88cc"]));
        return out;
      }),
    );
    // How a frame is handed over is each switch's own affair.
    const tidy = (text: string): string =>
      /Consists of/.test(text)
        ? text.replace(/^Datapath actions: .*$/gm, "Datapath actions:").replace(/^ 0\. No match\.\n.*\n|^\n/gm, "")
        : text;
    equal((texts[0] ?? []).map(tidy), (texts[1] ?? []).map(tidy));
    assert.match(texts[0]?.[1] ?? "", /Active/);
  });
});

maybe("the port carries the VLANs of mappings, in the database, and no more when they go", async () => {
  await withPair(async (pair) => {
    setUp(pair, "set", "interface", "p1", "lldp:enable=true", ...attach);
    const columns = (under: Switch): string => under.ok("ovs-vsctl", "get", "port", "p1", "trunks", "vlan_mode");
    for (const under of pair.both) {
      under.ok("ovs-appctl", "time/warp", "2000", "500");
      await until(`${under.kind} sets trunks`, 20, () => columns(under).startsWith("[5, 100]"));
    }
    assert.is(columns(pair.ours), columns(pair.theirs));
    for (const under of pair.both) under.ok("ovs-ofctl", "add-flow", "br0", "actions=NORMAL");
    const trace = (under: Switch): string => under.ok("ovs-appctl", "ofproto/trace", "br0", "in_port=1,dl_vlan=7");
    for (const under of pair.both) await until("VLAN 7 is refused", 20, () => /dropping/.test(trace(under)));
    for (const under of pair.both) {
      const row = under.ok("ovs-vsctl", "get", "bridge", "br0", "auto_attach").trim();
      under.ok("ovs-vsctl", "-t", "20", "clear", "AutoAttach", row, "mappings");
      under.ok("ovs-appctl", "time/warp", "2000", "500");
      await until(`${under.kind} takes trunks back`, 20, () => columns(under).startsWith("[]"));
    }
    assert.is(columns(pair.ours), columns(pair.theirs));
  });
});

maybe("each change of what packets do is counted once as a reconfiguration", async () => {
  await withPair(async ({ both }) => {
    const counts: number[][] = [];
    for (const under of both) {
      addDummyBridge(under, 2);
      const read = (): number => Number(under.ok("ovs-appctl", "coverage/read-counter", "rev_reconfigure"));
      const begin = read();
      const counted: number[] = [];
      for (const words of [
        "set interface p1 lldp:enable=true",
        "set interface p1 lldp:enable=false",
        "remove interface p1 lldp enable",
        "set bridge br0 external_ids:a=b",
        "set port p1 tag=7 -- set port p2 tag=7",
        "set bridge br0 mcast_snooping_enable=true",
        "del-port p2",
      ]) {
        under.ok("ovs-vsctl", "-t", "20", ...words.split(" "));
        under.ok("ovs-appctl", "revalidator/wait");
        counted.push(read() - begin);
      }
      counts.push(counted);
    }
    assert.equal(counts[0], counts[1]);
  });
});

const sorted = (text: string): string => {
  const [head = "", ...lines] = text.split("\n").map((line) => line.trimEnd());
  return [head, ...lines.sort()].join("\n");
};

test.run();
