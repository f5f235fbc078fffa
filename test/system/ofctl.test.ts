/** The real ovs-ofctl against Sluice and Open vSwitch: the same commands in each version of OpenFlow, the same answers. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import { addBridge, equal, noOvs, type Pair, same, say, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: ofctl: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const versions = ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] as const;
type Version = (typeof versions)[number];

/** Sorts what has no order of its own: flows of a dump, ports of port statistics. */
function sorted(text: string): string {
  const out: string[] = [];
  let run: string[] = [];
  const flush = (): void => {
    out.push(...run.toSorted());
    run = [];
  };
  for (const line of text.split("\n")) {
    if (/^ (cookie=| port )/.test(line)) run.push(line);
    else if (run.length > 0 && /^ {11,}/.test(line)) run[run.length - 1] += `\n${line}`;
    else {
      flush();
      out.push(line);
    }
  }
  flush();
  return out.join("\n");
}

/** Takes out what this switch does not offer yet, and what only Open vSwitch's test devices count. */
function known(text: string): string {
  return sorted(text)
    .replace(/^( *actions: output)[a-z_ ]*$/gm, (line) => line.replace(/ (group|\w*mpls\w*)(?= |$)/g, ""))
    .replace(/^ *CUSTOM Statistics\n(^ {16,}\w+=.*\n?)*/gm, "")
    .replace(/lookup=\d+, matched=\d+/g, "lookup=N, matched=N")
    .replace(/\n+/g, "\n");
}

const ofctl = (version: Version, ...words: string[]): string[] => ["ovs-ofctl", "-O", version, ...words];

async function inEach(
  pair: Pair,
  commands: (version: Version) => readonly (readonly string[])[],
  tidy: (text: string) => string = known,
): Promise<void> {
  for (const version of versions) await same(pair, commands(version), tidy);
}

maybe("what a switch says of itself, its tables and its ports is what Open vSwitch says", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await inEach(pair, (version) => [
      ofctl(version, "show", "br0"),
      ofctl(version, "dump-desc", "br0"),
      ofctl(version, "dump-tables", "br0"),
      ofctl(version, "dump-table-features", "br0"),
      ofctl(version, "dump-table-desc", "br0"),
      ofctl(version, "dump-table-desc", "br0", "3"),
      ofctl(version, "dump-ports", "br0"),
      ofctl(version, "dump-ports", "br0", "p1"),
      ofctl(version, "dump-ports", "br0", "99"),
      ofctl(version, "dump-ports-desc", "br0"),
      ofctl(version, "dump-ports-desc", "br0", "2"),
      ofctl(version, "dump-ports-desc", "br0", "LOCAL"),
      ofctl(version, "queue-stats", "br0", "99"),
      ofctl(version, "queue-stats", "br0", "1", "7"),
      ofctl(version, "queue-get-config", "br0", "99"),
      ofctl(version, "queue-stats", "br0"),
      ofctl(version, "queue-stats", "br0", "1", "0"),
      ofctl(version, "queue-stats", "br0", "ANY", "0"),
      ofctl(version, "queue-stats", "br0", "ANY", "5"),
      ofctl(version, "queue-get-config", "br0", "1"),
      ofctl(version, "queue-get-config", "br0", "LOCAL"),
      ofctl(version, "queue-get-config", "br0", "1", "0"),
      ofctl(version, "queue-get-config", "br0", "1", "2"),
      ofctl(version, "get-frags", "br0"),
      ofctl(version, "set-frags", "br0", "drop"),
      ofctl(version, "set-frags", "br0", "reassemble"),
      ofctl(version, "get-frags", "br0"),
      ofctl(version, "set-frags", "br0", "nx-match"),
      ofctl(version, "get-frags", "br0"),
      ofctl(version, "set-frags", "br0", "normal"),
      ofctl(version, "get-frags", "br0"),
      ofctl(version, "probe", "br0"),
      ofctl(version, "dump-ipfix-bridge", "br0"),
      ofctl(version, "dump-flows", "br1"),
    ]);
    const masked = (text: string): string => text.replace(/time=[0-9.]+ ms|\d+ kB\/s.*|in [0-9.]+ ms.*/g, "");
    await same(
      pair,
      versions.flatMap((version) => [ofctl(version, "ping", "br0"), ofctl(version, "benchmark", "br0", "10", "50")]),
      masked,
    );
  });
});

maybe("flows are found, changed and deleted by the same filters", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const under of pair.both) {
      writeFileSync(
        join(under.directory, "flows.txt"),
        `# Comments and empty lines are passed over.

cookie=1,priority=1,in_port=1,ip,nw_src=10.0.0.0/8,actions=2
cookie=2,priority=2,in_port=1,ip,nw_src=10.1.0.0/16,actions=3
cookie=3,priority=3,table=1,tcp,tp_dst=80,actions=LOCAL
cookie=0x11,priority=4,table=2,udp,tp_dst=80,actions=controller
cookie=0x21,priority=5,table=2,arp,idle_timeout=300,hard_timeout=900,send_flow_rem,actions=mod_vlan_vid:7,NORMAL
cookie=0x21,priority=6,table=3,ip6,actions=output:NXM_NX_REG0[],resubmit(,4)
`,
      );
    }
    await inEach(pair, (version) => {
      const run = (...words: string[]): string[] => ofctl(version, ...words);
      const dump = run("dump-flows", "br0");
      const filters = [
        "",
        "in_port=1",
        "ip",
        "ip,nw_src=10.1.1.1",
        "ip,nw_src=10.1.0.0/16",
        "table=1",
        "table=254",
        "table=255",
        "cookie=0x1/0x1",
        "cookie=2/-1",
        "cookie=0x20/0x30",
        "out_port=3",
        "out_port=LOCAL",
        "out_port=CONTROLLER",
        "out_port=NORMAL",
        "ip6",
        "dl_type=0x806",
        "table=2,cookie=0x11/0xff",
      ];
      return [
        run("add-flows", "br0", "DIR/flows.txt"),
        ...filters.flatMap((filter) => [run("dump-flows", "br0", filter), run("dump-aggregate", "br0", filter)]),
        ...[
          ["--sort"],
          ["--rsort"],
          ["--sort=tcp_dst"],
          ["--sort=in_port", "--rsort=priority"],
          ["--no-stats"],
          ["--names"],
          ["--no-names"],
          ["-F", "nxm"],
          ["-F", "oxm"],
          ["--timestamp", "--no-stats"],
        ]
          .filter((options) => !options.includes("--timestamp"))
          .map((options) => ["ovs-ofctl", "-O", version, ...options, "dump-flows", "br0"]),
        run("mod-flows", "br0", "ip,actions=1"),
        dump,
        run("--strict", "mod-flows", "br0", "priority=2,in_port=1,ip,nw_src=10.1.0.0/16,actions=2,3"),
        dump,
        run("--strict", "mod-flows", "br0", "priority=20,in_port=1,ip,nw_src=10.1.0.0/16,actions=2,3"),
        dump,
        run("mod-flows", "br0", "cookie=0x21/-1,actions=NORMAL"),
        dump,
        run("mod-flows", "br0", "cookie=0x77,in_port=2,arp,actions=NORMAL"),
        dump,
        run("mod-flows", "br0", "cookie=0x77,in_port=1,actions=FLOOD"),
        dump,
        run("mod-flows", "br0", "cookie=0x78/0x1,cookie=0x78,ip,actions=group:1"),
        dump,
        run("mod-flows", "br0", "table=200,actions=goto_table:3"),
        run("add-flow", "br0", "check_overlap,priority=1,in_port=1,ip,actions=1"),
        run("del-flows", "br0", "in_port=2"),
        run("--strict", "del-flows", "br0", "in_port=1"),
        dump,
        run("--strict", "del-flows", "br0", "priority=3,table=1,tcp,tp_dst=80"),
        dump,
        run("del-flows", "br0", "cookie=0x11/-1"),
        dump,
        run("del-flows", "br0", "out_port=3"),
        dump,
        run("del-flows", "br0", "table=3"),
        dump,
        run("del-flows", "br0", "table=254"),
        run("del-flows", "br0", "cookie=5"),
        run("del-flows", "br0", "ip,tp_dst=3"),
        run("del-flows", "br0"),
        dump,
        run("diff-flows", "br0", "DIR/flows.txt"),
        run("replace-flows", "br0", "DIR/flows.txt"),
        dump,
        run("diff-flows", "br0", "DIR/flows.txt"),
        run("del-flows", "br0"),
      ];
    });
  });
});

maybe("ports and tables are changed by the same words, and packets sent out", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await inEach(pair, (version) => {
      const run = (...words: string[]): string[] => ofctl(version, ...words);
      const keywords = [
        "down",
        "no-flood",
        "no-receive",
        "no-forward",
        "no-packet-in",
        "no-stp",
        "up",
        "flood",
        "receive",
        "forward",
        "packet-in",
        "stp",
        "noflood",
        "nonsense",
      ];
      return [
        ...keywords.flatMap((word) => [run("mod-port", "br0", "p1", word), run("show", "br0")]),
        run("mod-port", "br0", "p9", "up"),
        run("mod-port", "br0", "99", "up"),
        run("mod-port", "br0", "LOCAL", "down"),
        run("show", "br0"),
        run("mod-port", "br0", "LOCAL", "up"),
        run("mod-table", "br0", "3", "evict"),
        run("dump-table-desc", "br0"),
        run("mod-table", "br0", "3", "noevict"),
        run("dump-table-desc", "br0"),
        run("mod-table", "br0", "254", "evict"),
        run("mod-table", "br0", "0", "drop"),
        run("mod-table", "br0", "0", "nonsense"),
        run("packet-out", "br0", "none", "2", "000000000000"),
        run("packet-out", "br0", "in_port=1 packet=5054000000015054000000020800450000140000000040010000 actions=2"),
        run("packet-out", "br0", "in_port=controller packet=505400000001505400000002 actions=ALL"),
        run("packet-out", "br0", "in_port=65300 packet=5054000000015054000000020800 actions=1"),
        run("packet-out", "br0", "in_port=99 packet=5054000000015054000000020800 actions=1"),
        run("packet-out", "br0", "in_port=1 packet=5054000000015054000000020800 actions=group:7"),
        run("packet-out", "br0", "in_port=1 packet=5054000000015054000000020800 actions=output:65300"),
        run("packet-out", "br0", "in_port=1 packet=5054000000015054000000020800 actions=resubmit(,1)"),
        run(
          "packet-out",
          "br0",
          "in_port=1 packet=505400000001505400000002080045000014000000004001 actions=mod_nw_src:1.2.3.4,2",
        ),
        run("dump-ports", "br0"),
      ];
    });
  });
});

maybe("exporters of IPFIX are told of where there are any", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const under of pair.both) {
      under.ok(
        "ovs-vsctl",
        ...["-t", "20", "--", "--id=@i", "create", "IPFIX", 'targets="127.0.0.1:14739"', "sampling=1"],
        ...["--", "set", "bridge", "br0", "ipfix=@i", "--", "--id=@j", "create", "IPFIX", 'targets="127.0.0.1:14740"'],
        ...["--", "--id=@br0", "get", "bridge", "br0", "--"],
        ...["create", "Flow_Sample_Collector_Set", "id=3", "bridge=@br0", "ipfix=@j"],
      );
      under.ok("ovs-ofctl", "add-flow", "br0", "actions=NORMAL");
      const eth = "eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02)";
      const ip = "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";
      for (const packet of [`in_port(1),${eth},${ip}`, `in_port(1),${eth},${ip}`, `in_port(1),${eth},eth_type(0x1234)`])
        under.ok("ovs-appctl", "netdev-dummy/receive", "p1", packet);
    }
    // Datagrams to nobody: how many were refused is a matter of time.
    const sent = (text: string): string => text.replace(/pkts=\d+(?=, \S+ errs|$)|tx errs=\d+/gm, "sent");
    await inEach(
      pair,
      (version) => [ofctl(version, "dump-ipfix-bridge", "br0"), ofctl(version, "dump-ipfix-flow", "br0")],
      sent,
    );
  });
});

maybe("groups and meters that are not there are told of as by Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const version of ["OpenFlow13", "OpenFlow15"] as const) {
      await same(pair, [
        ofctl(version, "mod-group", "br0", "group_id=1,type=all,bucket=output:1"),
        ofctl(version, "mod-meter", "br0", "meter=1,kbps,bands=type=drop,rate=1000"),
        ofctl(version, "add-flow", "br0", "actions=group:1"),
        ofctl(version, "add-flow", "br0", "actions=meter:1,output:1"),
        ofctl(version, "del-groups", "br0"),
        ofctl(version, "del-meters", "br0"),
        ofctl(version, "dump-groups", "br0"),
        ofctl(version, "dump-meters", "br0"),
        ofctl(version, "dump-group-stats", "br0"),
        ofctl(version, "meter-stats", "br0"),
      ]);
    }
    equal(
      [await say(pair.ours, ofctl("OpenFlow13", "dump-flows", "br0"))],
      ["$ ovs-ofctl -O OpenFlow13 dump-flows br0\nOFPST_FLOW reply (OF1.3) (xid=X):\nexit 0"],
    );
  });
});

test.run();
