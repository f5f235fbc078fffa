/** What packets see that are sent within a bundle of changes, and what is left when such a bundle fails: in Sluice and in
 *  Open vSwitch. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, equal, masked, noOvs, type Pair, say, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: order in bundles: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const frame = "5054000000015054000000020800450000140000000040000000c0a80001c0a80002";

/** What left by each port, of a dump whose ports have no order. */
function sentOf(dump: string): string {
  const ports = [...dump.matchAll(/port +(\w+):.*\n.*tx (pkts=\d+, bytes=\d+)/g)];
  return ports
    .map(([, name, sent]) => `${name} ${sent}`)
    .toSorted()
    .join("\n");
}

/** Commits the lines as one bundle and shows what became of the switch. */
async function commit(pair: Pair, lines: readonly string[]): Promise<void> {
  const text = lines.map((line) => line.replace("FRAME", frame)).join("\n");
  const transcripts = await Promise.all(
    pair.both.map(async (under) => {
      const ofctl = (...words: string[]): Promise<string> => say(under, ["ovs-ofctl", "-O", "OpenFlow14", ...words]);
      const said = [
        await say(under, ["ovs-ofctl", "-O", "OpenFlow14", "bundle", "br0", "-"], `${text}\n`),
        await ofctl("dump-flows", "br0"),
        (await ofctl("dump-group-stats", "br0")).split(/\n+/).toSorted().join("\n"),
        (await say(under, ["ovs-appctl", "fdb/show", "br0"])).replace(/ +\d+$/gm, " AGE"),
        sentOf(await say(under, ["ovs-ofctl", "dump-ports", "br0"])),
      ];
      return said.map((one) => `${text}\n${one}`);
    }),
  );
  equal(transcripts[0] ?? [], transcripts[1] ?? []);
}

const out = (actions: string, port = "LOCAL"): string => `packet-out in_port=${port},packet=FRAME,actions=${actions}`;

maybe("a packet within a bundle sees the flows and groups before it and not those after it", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await commit(pair, [
      out("table"),
      "flow add table=0,priority=1,actions=output:1",
      out("table"),
      "flow modify table=0,actions=output:2",
      out("table"),
      out("table"),
      "flow delete",
      out("table"),
      "flow add table=0,priority=2,actions=output:3",
    ]);
    await commit(pair, [
      "group add group_id=1,type=all,bucket=output:1",
      out("group:1"),
      "group modify group_id=1,type=all,bucket=output:2,bucket=output:3",
      out("group:1"),
      "flow add table=0,priority=3,actions=group:1",
      out("table"),
      "group delete group_id=1",
      out("table"),
      "group add group_id=2,type=indirect,bucket=output:3",
    ]);
    await commit(pair, [
      "flow delete",
      "flow add table=0,priority=3,actions=resubmit(,1)",
      "flow add table=1,actions=resubmit(,2)",
      out("table"),
      "flow add table=2,actions=output:2",
      out("table,resubmit(,2)"),
      "flow delete table=1",
      out("table"),
    ]);
  });
});

maybe("what packets of a bundle learn is part of it", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const learn = "learn(table=3,idle_timeout=60,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
    await commit(pair, [
      `flow add table=0,priority=3,actions=${learn},resubmit(,3)`,
      out("table", "1"),
      "flow add table=3,priority=1,actions=output:3",
      out("table", "1"),
      out("resubmit(,3)", "2"),
    ]);
    await commit(pair, ["flow delete table=3", out("table", "2"), "flow delete table=3", out("resubmit(,3)", "2")]);
    await commit(pair, [out("NORMAL", "1"), out("NORMAL", "2"), "flow delete"]);
    const limited = learn.replace("table=3", "table=4,limit=1,result_dst=NXM_NX_REG0[0]");
    await commit(pair, [
      `flow add table=0,priority=3,actions=${limited},output:NXM_NX_REG0[],resubmit(,4)`,
      out("table", "1"),
      out(`mod_dl_src:50:54:00:00:00:09,resubmit(,0)`, "1"),
    ]);
  });
});

maybe("a bundle that fails leaves nothing, whatever packets it has", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await commit(pair, [
      "flow add table=0,priority=3,actions=output:1",
      "group add group_id=1,type=all,bucket=output:1",
    ]);
    const bad = [
      // The packet itself goes around for ever, names a group that is gone, or comes before what cannot be.
      ["flow add table=5,actions=resubmit(,6)", "flow add table=6,actions=resubmit(,5)", out("resubmit(,5)")],
      [out("NORMAL", "1"), "group delete group_id=1", out("group:1")],
      [out("NORMAL", "1"), out("table"), "flow add table=0,actions=group:77"],
      [out("NORMAL", "1"), "flow delete", out("table"), "group add group_id=1,type=all,bucket=output:1"],
      ["flow add table=7,actions=resubmit(,7)", out("resubmit(,7)"), "group modify group_id=9,type=all"],
    ];
    for (const lines of bad) await commit(pair, lines);

    // Open vSwitch 3.1 shows the learned flow of such a bundle for ever, though no packet meets it.
    const learn = "learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
    const text = [out(learn), "flow add table=0,actions=group:77"].join("\n").replace("FRAME", frame);
    const { ours } = pair;
    assert.match(await say(ours, ["ovs-ofctl", "-O", "OpenFlow14", "bundle", "br0", "-"], text), /BAD_OUT_GROUP/);
    assert.not.match(await say(ours, ["ovs-ofctl", "dump-flows", "br0"]), /table=3/);
  });
});

maybe("a packet alone whose actions cannot be executed is refused, and nothing is learned of it", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const under of pair.both) await say(under, ["ovs-ofctl", "add-flow", "br0", "actions=resubmit(,0)"]);
    const learn = "learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
    const said = await Promise.all(
      pair.both.map(async (under) => {
        const text: string[] = [];
        for (const actions of ["table", `${learn},table`, learn, "output:2,resubmit(,0)"]) {
          text.push(
            await say(under, ["ovs-ofctl", "packet-out", "br0", `in_port=1,packet=${frame},actions=${actions}`]),
          );
          text.push(await say(under, ["ovs-ofctl", "dump-flows", "br0"]));
        }
        return text;
      }),
    );
    equal(said[0] ?? [], said[1] ?? []);
  });
});

maybe("the groups of a bundle are told to who wants to know of requests", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const lines = [
      "group add group_id=1,type=all,bucket=output:1",
      "group add_or_mod group_id=1,type=select,bucket=output:1,bucket=output:2",
      "group add_or_mod group_id=2,type=all,bucket=output:3",
      "group delete",
      "group add_or_mod group_id=2,type=indirect,bucket=output:3",
      "group modify group_id=2,type=indirect,bucket=output:1",
    ];
    // An OpenFlow 1.4 request for requests of others about groups and meters.
    const async = "051c0018000000020005000800000005000b000800000003";
    const told = await Promise.all(
      pair.both.map(async (under) => {
        const control = `${under.directory}/listener`;
        const asked = `--unixctl=${control}`;
        const pidfile = `--pidfile=${under.directory}/listener.pid`;
        await say(under, ["ovs-ofctl", "-O", "OpenFlow14", "monitor", "br0", "--detach", "--no-chdir", pidfile, asked]);
        const listener = (...words: string[]): Promise<string> => say(under, ["ovs-appctl", "-t", control, ...words]);
        await listener("ofctl/send", async);
        await listener("ofctl/barrier");
        await listener("ofctl/set-output-file", `${under.directory}/heard`);
        await say(under, ["ovs-ofctl", "-O", "OpenFlow14", "bundle", "br0", "-"], `${lines.join("\n")}\n`);
        await listener("ofctl/barrier");
        await listener("exit");
        return masked(readFileSync(`${under.directory}/heard`, "utf8"), under).trimEnd();
      }),
    );
    assert.match(told[1] ?? "", /REQUESTFORWARD/);
    equal([told[0] ?? ""], [told[1] ?? ""]);
  });
});

test.run();
