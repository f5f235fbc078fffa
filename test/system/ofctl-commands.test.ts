/** Every command of the real ovs-ofctl that talks to a switch, in every version of OpenFlow, to Sluice and Open vSwitch. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, noOvs, same, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: ofctl commands: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const versions = ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"];

/** The commands of `ovs-ofctl --help` that name a switch or a target. */
function listed(): string[] {
  const help = execFileSync("ovs-ofctl", ["--help"], { encoding: "utf8" });
  return [...help.matchAll(/^ {2}(?:\[[-a-z]+\] )?([a-z][-a-z]+) (?:SWITCH|TARGET|SOURCE1)/gm)].map(
    ([, name]) => name ?? "",
  );
}

const packet = "505400000001505400000002080045000014000000004001";

/** By what they are about; each group leaves the switch as it was. */
const groups: readonly (readonly string[][])[] = [
  [
    ["show", "br0"],
    ["dump-desc", "br0"],
    ["dump-tables", "br0"],
    ["dump-table-features", "br0"],
    ["dump-table-desc", "br0"],
    ["dump-ports", "br0"],
    ["dump-ports", "br0", "2"],
    ["dump-ports-desc", "br0"],
    ["dump-ports-desc", "br0", "2"],
    ["queue-stats", "br0"],
    ["queue-stats", "br0", "1"],
    ["queue-get-config", "br0"],
    ["queue-get-config", "br0", "1"],
    ["mod-port", "br0", "p1", "no-flood"],
    ["dump-ports-desc", "br0"],
    ["mod-port", "br0", "p1", "flood"],
    ["set-frags", "br0", "drop"],
    ["get-frags", "br0"],
    ["set-frags", "br0", "normal"],
    ["probe", "br0"],
    ["ping", "br0", "5"],
    ["benchmark", "br0", "10", "5"],
    ["-t", "1", "snoop", "br0"],
    ["-t", "1", "monitor", "br0", "128"],
  ],
  [
    ["mod-table", "br0", "1", "controller"],
    ["mod-table", "br0", "1", "continue"],
    ["mod-table", "br0", "1", "drop"],
    ["mod-table", "br0", "2", "evict"],
    ["mod-table", "br0", "3", "vacancy:20,80"],
    ["mod-table", "br0", "4", "name:four"],
    ["dump-table-desc", "br0"],
    ["dump-tables", "br0"],
    ["dump-table-features", "br0"],
    ["mod-table", "br0", "2", "noevict"],
    ["mod-table", "br0", "3", "novacancy"],
    ["mod-table", "br0", "4", "name:"],
    ["mod-table", "br0", "ALL", "controller"],
    ["dump-table-desc", "br0"],
  ],
  [
    ["add-flow", "br0", "priority=5,ip,actions=2"],
    ["add-flows", "br0", "DIR/flows"],
    ["dump-flows", "br0"],
    ["dump-flows", "br0", "ip"],
    ["dump-aggregate", "br0"],
    ["dump-aggregate", "br0", "ip"],
    ["mod-flows", "br0", "ip,actions=1"],
    ["add-flow", "br0", "cookie=9,in_port=1,actions=2"],
    ["mod-flows", "br0", "in_port=1,actions=3"],
    ["mod-flows", "br0", "cookie=7,in_port=2,actions=3"],
    ["dump-flows", "br0"],
    ["--bundle", "add-flow", "br0", "priority=6,arp,actions=NORMAL"],
    ["diff-flows", "br0", "DIR/flows"],
    ["diff-flows", "DIR/flows", "DIR/others"],
    ["replace-flows", "br0", "DIR/others"],
    ["--readd", "replace-flows", "br0", "DIR/others"],
    ["--bundle", "replace-flows", "br0", "DIR/flows"],
    ["--bundle", "mod-flows", "br0", "priority=77,arp,actions=LOCAL"],
    ["dump-flows", "br0"],
    ["packet-out", "br0", "none", "2", packet],
    ["packet-out", "br0", `in_port=controller packet=${packet} actions=1,2`],
    ["--bundle", "del-flows", "br0", "ip"],
    ["--strict", "del-flows", "br0", "priority=4,arp"],
    ["del-flows", "br0"],
    ["bundle", "br0", "DIR/bundle"],
    ["bundle", "br0", "DIR/broken"],
    ["dump-flows", "br0"],
    ["dump-groups", "br0"],
    ["del-flows", "br0"],
    ["del-groups", "br0"],
  ],
  [
    ["add-group", "br0", "group_id=1,type=all,bucket=bucket_id:1,actions=1,bucket=bucket_id:2,actions=2"],
    ["add-groups", "br0", "DIR/groups"],
    ["mod-group", "br0", "group_id=2,type=indirect,bucket=actions=2"],
    ["mod-group", "br0", "group_id=9,type=all,bucket=actions=2"],
    ["--may-create", "mod-group", "br0", "group_id=9,type=all,bucket=actions=2"],
    ["insert-buckets", "br0", "group_id=1,command_bucket_id=last,bucket=bucket_id:3,actions=3"],
    ["remove-buckets", "br0", "group_id=1,command_bucket_id=1"],
    ["dump-groups", "br0"],
    ["dump-groups", "br0", "1"],
    ["dump-group-stats", "br0"],
    ["dump-group-stats", "br0", "group_id=1"],
    ["dump-group-features", "br0"],
    ["del-groups", "br0", "group_id=2"],
    ["del-groups", "br0"],
    ["dump-groups", "br0"],
  ],
  [
    ["add-meter", "br0", "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100"],
    ["add-meter", "br0", "meter=1,pktps,bands=type=drop,rate=10"],
    ["mod-meter", "br0", "meter=1,pktps,bands=type=drop,rate=10"],
    ["dump-meters", "br0"],
    ["dump-meters", "br0", "meter=1"],
    ["meter-stats", "br0"],
    ["meter-stats", "br0", "meter=1"],
    ["meter-features", "br0"],
    ["del-meters", "br0", "meter=1"],
    ["del-meters", "br0"],
    ["dump-meters", "br0"],
  ],
  [
    ["add-tlv-map", "br0", "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=1,len=8}->tun_metadata1"],
    ["add-tlv-map", "br0", "{class=0xffff,type=0,len=4}->tun_metadata5"],
    ["dump-tlv-map", "br0"],
    ["add-flow", "br0", "tun_metadata0=5,actions=move:NXM_NX_TUN_METADATA1[0..31]->NXM_NX_REG0[]"],
    ["dump-flows", "br0"],
    ["del-tlv-map", "br0", "{class=0xffff,type=1,len=8}->tun_metadata1"],
    ["del-flows", "br0"],
    ["del-tlv-map", "br0"],
    ["dump-tlv-map", "br0"],
    ["dump-ipfix-bridge", "br0"],
    ["dump-ipfix-flow", "br0"],
    ["ct-flush-zone", "br0", "5"],
    ["ct-flush", "br0"],
    ["ct-flush", "br0", "zone=5"],
    ["ct-flush", "br0", "zone=5", "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=1"],
    ["ct-flush", "br0", "ct_nw_src=10.0.0.1,ct_nw_proto=17,ct_tp_src=1", "ct_nw_src=10.0.0.2,ct_nw_proto=17"],
  ],
];

/** Times, rates and orders that are of the run. */
function known(text: string): string {
  return (
    text
      .replace(/time=[0-9.]+ ms|\d+ kB\/s.*|in [0-9.]+ ms.*/g, "")
      .replace(/duration:[0-9.]+s/g, "duration:D")
      // Nobody is to be snooped on: which side of the closing comes first is chance.
      .replace(/^ovs-ofctl: .*\((Broken pipe|Connection reset by peer|End of file)\)$/gm, "ovs-ofctl: closed")
      .replace(/\(\d+ packets\/s.*|Finished in.*/g, "")
      .replace(/^ *CUSTOM Statistics\n(^ {16,}\w+=.*\n?)*/gm, "")
      .replace(/lookup=\d+, matched=\d+/g, "lookup=N, matched=N")
      .replace(/^(?: cookie=.*\n)+/gm, (lines) => `${lines.trimEnd().split("\n").toSorted().join("\n")}\n`)
      .replace(/^(?: group_id=.*\n)+/gm, (lines) => `${lines.trimEnd().split("\n").toSorted().join("\n")}\n`)
      .replace(/^(?: {2}port .*\n(?: {11,}.*\n)*)+/gm, (lines) =>
        lines
          .split(/^(?= {2}port)/m)
          .toSorted()
          .join(""),
      )
  );
}

const isCommand = (word: string): boolean => /^[a-z][-a-z]+$/.test(word);

maybe("there is a comparison for every command of ovs-ofctl that talks to a switch", () => {
  const used = new Set(groups.flat().map((words) => words.find(isCommand)));
  assert.equal(
    listed().filter((name) => !used.has(name)),
    [],
  );
});

for (const version of versions) {
  maybe(`every command of ovs-ofctl says in ${version} what it says to Open vSwitch`, async () => {
    await withPair(async (pair) => {
      addBridge(pair, 3, "other_config:datapath-id=0000000000000007");
      for (const under of pair.both) {
        const file = (name: string, ...lines: string[]): void =>
          writeFileSync(join(under.directory, name), `${lines.join("\n")}\n`);
        file("flows", "priority=1,ip,actions=1", "priority=4,arp,actions=2", "priority=3,tcp,tp_dst=80,actions=3");
        file("others", "priority=1,ip,actions=1", "priority=4,arp,actions=3");
        file("groups", "group_id=2,type=select,bucket=actions=1", "group_id=3,type=ff,bucket=watch_port:1,actions=1");
        const port = `packet-out in_port=controller packet=${packet} actions=2`;
        file("bundle", "group group_id=5,type=all,bucket=actions=1", "flow add priority=1,actions=group:5", port);
        file("broken", "flow add priority=2,ip,actions=1", "flow add priority=3,ip,actions=group:77");
      }
      // In OpenFlow 1.1 Open vSwitch tells a table's behaviour by a number that there is not.
      const isTold = (words: readonly string[]): boolean =>
        version !== "OpenFlow11" || words[0] !== "mod-table" || words[2] === "2";
      for (const group of groups) {
        await same(
          pair,
          group.filter(isTold).map((words) => ["ovs-ofctl", "-O", version, ...words]),
          known,
        );
      }
    });
  });
}

test.run();
