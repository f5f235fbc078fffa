import { test } from "uvu";
import { addBridge, equal, noOvs, say, withPair } from "./pair.js";
import { sluice } from "./switch.js";

/** Flows that match tunnel options, written and listed by `sluice ofctl` and by ovs-ofctl, of either switch. */

const map = [
  "{class=0xffff,type=0,len=4}->tun_metadata0",
  "{class=0xffff,type=1,len=12}->tun_metadata1",
  "{class=0xffff,type=2,len=8}->tun_metadata5",
].join(",");

const commands: readonly (readonly string[])[] = [
  ["add-flow", "br0", "priority=1,tun_metadata0=0x1234,actions=output:2"],
  [
    "add-flow",
    "br0",
    "priority=2,tun_metadata1=0x112233445566778899aabbcc/0xffffffff00000000ffffffff,actions=move:NXM_NX_TUN_METADATA0[0..15]->NXM_NX_REG0[0..15],output:2",
  ],
  ["add-flow", "br0", "priority=3,tun_metadata5,actions=drop"],
  ["dump-flows", "br0"],
  ["--no-names", "dump-flows", "br0", "tun_metadata0=0x1234"],
  ["dump-aggregate", "br0", "tun_metadata5"],
  ["mod-flows", "br0", "tun_metadata0=0x1234,actions=3"],
  ["del-flows", "br0", "tun_metadata5"],
  ["dump-flows", "br0"],
  ["del-flows", "br0"],
];

if (noOvs !== undefined) console.log(`skip: ${noOvs}`);
else
  test("sluice ofctl writes and lists flows that match tunnel options as ovs-ofctl does", () =>
    withPair(async (pair) => {
      addBridge(pair, 3, "protocols=[OpenFlow10,OpenFlow13,OpenFlow15]");
      for (const under of pair.both) {
        under.ok("ovs-ofctl", "add-tlv-map", "br0", map);
        under.ok("ovs-ofctl", "del-flows", "br0");
        for (const version of ["OpenFlow10", "OpenFlow13"]) {
          const told: string[][] = [];
          for (const tool of [[sluice, "ofctl"], ["ovs-ofctl"]]) {
            const texts: string[] = [];
            for (const words of commands) {
              const text = await say(under, [...tool, "-O", version, ...words]);
              const [, ...lines] = text.replaceAll("sluice ofctl", "ovs-ofctl").split("\n");
              // Flows come in the order of a hash table.
              texts.push(`${words.join(" ")}\n${lines.sort().join("\n")}`);
            }
            told.push(texts);
          }
          equal(told[0] ?? [], told[1] ?? []);
        }
      }
    }));

test.run();
