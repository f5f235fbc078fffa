/** Threads with cores of their own: what the commands print, beside the real Open vSwitch. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { equal, noOvs, type Pair, same, transcripts } from "./pair.js";
import { type Switch, sleep, startOvs, startSluice, until } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: threads with cores of their own: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const packet =
  "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800)," +
  "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";

/** Both switches on made-up cores, with bridge br0. */
async function withThreads(numa: string, body: (pair: Pair) => Promise<void>): Promise<void> {
  const options = { dummy: true, args: [`--dummy-numa=${numa}`] };
  const both = await Promise.all([startSluice(options), startOvs(options)]);
  try {
    const pair: Pair = { ours: both[0], theirs: both[1], both };
    for (const under of pair.both)
      under.ok("ovs-vsctl", "-t", "10", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    await body(pair);
  } finally {
    await Promise.all(both.map((under) => under.stop()));
  }
}

const setAll = "ovs-vsctl -t 10 set Open_vSwitch .";
const show = "ovs-appctl dpif-netdev/pmd-rxq-show";

/** Lines of the log about threads and queues, without the ports' node order. */
const threadLines = (under: Switch): string[] =>
  under
    .log()
    .split("\n")
    .flatMap((line) => {
      const [, , module = "", , text = ""] = line.split("|");
      return module === "dpif_netdev" || module === "ovs_numa" ? [text] : [];
    })
    .filter((text) => /PMD|pmd|Core|NUMA|Rxq|mask/.test(text));

maybe("queues are placed and shown as in Open vSwitch, whatever mask, algorithm and affinity say", async () => {
  await withThreads("0,0,0,0", async (pair) => {
    await same(pair, [
      show,
      "ovs-vsctl -t 10 add-port br0 p1 -- set Interface p1 type=dummy-pmd options:n_rxq=5",
      show,
      `${setAll} other_config:pmd-cpu-mask=0x7`,
      show,
      `${show} -pmd 1 -secs 7`,
      `${show} -pmd 9`,
      `${show} nosuch`,
      `${setAll} other_config:pmd-rxq-assign=roundrobin`,
      show,
      `${setAll} other_config:pmd-rxq-assign=group other_config:pmd-rxq-isolate=false`,
      "ovs-vsctl -t 10 set Interface p1 other_config:pmd-rxq-affinity=0:2,1:2,4:3",
      show,
      `${setAll} other_config:pmd-rxq-isolate=true`,
      show,
      "ovs-vsctl -t 10 set Interface p1 other_config:pmd-rxq-affinity=nonsense",
      show,
      "ovs-vsctl -t 10 add-port br0 p2 -- set Interface p2 type=dummy-pmd -- set Interface p1 options:n_rxq=2",
      show,
      "ovs-appctl dpif/show",
      `${setAll} other_config:pmd-cpu-mask=0x1g`,
      show,
      `${setAll} other_config:pmd-rxq-assign=best other_config:pmd-maxsleep=20000 other_config:pmd-auto-lb=true`,
      "ovs-appctl dpif-netdev/pmd-rxq-rebalance",
      "ovs-appctl dpif-netdev/pmd-rxq-rebalance nosuch",
      "ovs-appctl dpif-netdev/pmd-stats-show a b c d",
      "ovs-vsctl -t 10 del-port p1 -- del-port p2",
      show,
    ]);
    // Theirs logs a placement each time that any port comes or goes, and a warning each time that it configures itself.
    const kinds = (under: Switch): string[] => [...new Set(threadLines(under))].sort();
    equal(kinds(pair.ours), kinds(pair.theirs));
  });
});

/** Numbers and what depends on time left out, but not those that packets determine. */
const withoutTimes = (text: string): string =>
  text
    .replace(/^Time: .*$/gm, "Time: T")
    .replace(/^Measurement duration: .*$/gm, "Measurement duration: D")
    .replace(/^( {2}(?:Iterations|Sleep time|- (?:Used|idle|busy|sleep)).*?:).*$/gm, "$1 N")
    .replace(/^( {2}(?:idle|processing|avg (?:processing )?)[^:]*cycles[^:]*:).*$/gm, "$1 N")
    .replace(/\([^()]*(cycles\/pkt|Kpps)\)/g, "($1)")
    .replace(/, [0-9.]+ us\/upcall/g, ", us/upcall");

maybe("figures of threads are printed as in Open vSwitch, and packets are counted alike", async () => {
  await withThreads("0,0", async (pair) => {
    const commands = [
      "ovs-vsctl -t 10 add-port br0 p1 -- set Interface p1 type=dummy-pmd options:n_rxq=2",
      // Open vSwitch draws which flows its exact-match cache takes.
      `${setAll} other_config:pmd-perf-metrics=true other_config:emc-insert-inv-prob=0`,
      "ovs-ofctl add-flow br0 actions=normal",
      "ovs-appctl dpif-netdev/pmd-stats-clear",
      ...Array.from({ length: 4 }, () => ["ovs-appctl", "netdev-dummy/receive", "p1", packet]),
    ];
    await same(pair, commands);
    for (const under of pair.both)
      await until("the packets are counted", 10, () =>
        under.ok("ovs-appctl", "dpif-netdev/pmd-stats-show", "-pmd", "0").includes("packets received: 4"),
      );
    await same(
      pair,
      [
        "ovs-appctl dpif-netdev/pmd-stats-show -pmd 0",
        "ovs-appctl dpif-netdev/pmd-perf-show -nh",
        "ovs-appctl dpctl/dump-flows",
        "ovs-appctl dpctl/dump-flows pmd=0",
        "ovs-appctl dpctl/dump-flows pmd=1",
        "ovs-appctl dpctl/dump-flows pmd=x",
      ],
      (text) => withoutTimes(text).replace(/used:[0-9.]+s/g, "used:U"),
    );
    // Bins of what takes time differ; their walls do not.
    const { ours, theirs } = await transcripts(pair, ["ovs-appctl dpif-netdev/pmd-perf-show -it 2 -ms 2"]);
    const tables = ([text = ""]: readonly string[]): string[] =>
      text
        .slice(text.indexOf("Histograms"), text.indexOf("exit"))
        .split("\n")
        .filter((line) => !/^ {3}\d+ +\d+(?:\.\d+)? /.test(line) || line.split(/ +/).length > 10)
        .map((line) => line.replace(/(\d+|>)( +)\d+ *(?= {2}|$)/g, "$1$2"));
    equal([tables(ours).slice(0, 34).join("\n")], [tables(theirs).slice(0, 34).join("\n")]);
    assert.match(ours[0] ?? "", /\n {3}iter {16}cycles {7}packets /);
    assert.match(ours[0] ?? "", /\n {3}ms {13}iterations {3}cycles\/it /);
  });
});

/** The percentages of lines that begin with one of `names`. */
function percentages(text: string, names: readonly string[]): number[] {
  return names.map((name) => Number(new RegExp(`${name}:? *\\d+ +\\( *([0-9.]+) ?%`).exec(text)?.[1] ?? Number.NaN));
}

test("packets under a rule on the port alone are simple matches, once one has shown the way", async () => {
  const under = await startSluice({ dummy: true, args: ["--dummy-numa=0"] });
  try {
    under.ok("ovs-vsctl", "-t", "10", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    for (const name of ["p1", "p2"])
      under.ok("ovs-vsctl", "-t", "10", "add-port", "br0", name, "--", "set", "Interface", name, "type=dummy-pmd");
    under.ok("ovs-ofctl", "del-flows", "br0");
    under.ok("ovs-ofctl", "add-flow", "br0", "in_port=p1,actions=output:p2");
    for (let sent = 0; sent < 5; sent++) under.ok("ovs-appctl", "netdev-dummy/receive", "p1", packet);
    const shown = (): string => under.ok("ovs-appctl", "dpif-netdev/pmd-stats-show");
    await until("the packets are counted", 10, () => shown().includes("packets received: 5"));
    // The first is translated, the second is looked up.
    assert.match(shown(), /simple match hits: 3\n {2}emc hits: 0\n {2}smc hits: 0\n {2}megaflow hits: 1\n/);
  } finally {
    await under.stop();
  }
});

test("figures of a thread sum up to all of it, and start from zero when they are cleared", async () => {
  const under = await startSluice({ dummy: true, args: ["--dummy-numa=0"] });
  try {
    under.ok("ovs-vsctl", "-t", "10", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    under.ok("ovs-vsctl", "-t", "10", "add-port", "br0", "p1", "--", "set", "Interface", "p1", "type=dummy-pmd");
    under.ok("ovs-ofctl", "add-flow", "br0", "actions=normal");
    for (let sent = 0; sent < 20; sent++) under.ok("ovs-appctl", "netdev-dummy/receive", "p1", packet);
    await until("the packets are counted", 10, () =>
      under.ok("ovs-appctl", "dpif-netdev/pmd-stats-show").includes("packets received: 20"),
    );
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    const perf = under.ok("ovs-appctl", "dpif-netdev/pmd-perf-show");
    assert.ok(Math.abs(sum(percentages(perf, ["idle iterations", "busy iterations"])) - 100) <= 0.11, perf);
    const passes = [
      "PHWOL hits",
      "MFEX Opt hits",
      "Simple Match hits",
      "EMC hits",
      "SMC hits",
      "Megaflow hits",
      "Upcalls",
    ];
    assert.ok(Math.abs(sum(percentages(perf, passes)) - 100) <= 0.31, perf);
    const stats = under.ok("ovs-appctl", "dpif-netdev/pmd-stats-show", "-pmd", "0");
    assert.ok(Math.abs(sum(percentages(stats, ["idle cycles", "processing cycles"])) - 100) <= 0.011, stats);
    under.ok("ovs-appctl", "dpif-netdev/pmd-stats-clear");
    assert.match(under.ok("ovs-appctl", "dpif-netdev/pmd-stats-show", "-pmd", "0"), /packets received: 0\n/);
    assert.match(under.ok("ovs-appctl", "dpif-netdev/pmd-perf-show"), /Rx packets: {20}0\n/);
  } finally {
    await under.stop();
  }
});

test("threads come and go with the mask while packets pass, and none is lost", async () => {
  const under = await startSluice({ dummy: true, args: ["--dummy-numa=0,0,0,0"] });
  try {
    under.ok("ovs-vsctl", "-t", "10", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    for (const port of ["p1", "p2"])
      under.ok("ovs-vsctl", "-t", "10", "add-port", "br0", port, "--", "set", "Interface", port, "type=dummy-pmd");
    under.ok("ovs-vsctl", "-t", "10", "set", "Interface", "p1", "options:n_rxq=4");
    under.ok("ovs-ofctl", "add-flow", "br0", "in_port=1,actions=2");
    let sent = 0;
    for (const mask of ["1", "f", "6", "8", "3", "c", "f"]) {
      for (let queue = 0; queue < 4; queue++, sent++)
        under.ok("ovs-appctl", "netdev-dummy/receive", "p1", "--qid", String(queue), packet);
      under.ok("ovs-vsctl", "-t", "10", "set", "Open_vSwitch", ".", `other_config:pmd-cpu-mask=${mask}`);
    }
    const counted = (): number =>
      Number(/n_packets=(\d+)/.exec(under.ok("ovs-ofctl", "dump-flows", "br0", "in_port=1"))?.[1] ?? 0);
    await until("every packet is counted", 10, () => counted() === sent);
    await sleep(600);
    assert.is(counted(), sent);
    assert.is(under.log().match(/There are \d pmd threads/g)?.length, 7);
  } finally {
    await under.stop();
  }
});

test.run();
