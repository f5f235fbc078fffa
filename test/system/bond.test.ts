import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeHosts, removeHosts } from "./hosts.js";
import { noOvs, withPair } from "./pair.js";
import { missing, type Switch, sleep, startSluice, until } from "./switch.js";

/** Bonds on real links, and with the real Open vSwitch as LACP's partner. */

const test = suite("bonds in a network");
const section = (text: string, member: string): string =>
  text.split(/\n(?=member )/).find((part) => part.startsWith(`member ${member}:`)) ?? "";
const member = (under: Switch, name: string): string => section(under.ok("ovs-appctl", "bond/show"), name);
const isEnabled = (under: Switch, name: string): boolean => member(under, name).startsWith(`member ${name}: enabled`);

const noNetwork = missing({ root: true, tools: ["ip", "ovs-vsctl"] });
if (noNetwork !== undefined) console.log(`skip: bonds on real links: ${noNetwork}`);
else {
  test("links that are asked every so often are seen to go and to come back", async () => {
    const hosts = makeHosts("bd", 2);
    const [first = "", second = ""] = hosts.map(({ port }) => port);
    const under = await startSluice();
    try {
      under.ok(
        "ovs-vsctl",
        ...`add-br ${first}b -- set bridge ${first}b datapath_type=netdev -- add-bond ${first}b bond0 ${first} ${second}`.split(
          " ",
        ),
        ..."bond_mode=active-backup other_config:bond-detect-mode=miimon other_config:bond-miimon-interval=100".split(
          " ",
        ),
        `other_config:bond-primary=${first}`,
      );
      await until("both are enabled", 5, () => isEnabled(under, first) && isEnabled(under, second));
      hosts[0]?.exec("ip", "link", "set", "eth0", "down");
      await until("the link is seen to be down", 5, () => !isEnabled(under, first));
      assert.match(member(under, second), "active member");
      hosts[0]?.exec("ip", "link", "set", "eth0", "up");
      await until("the link is seen to be up", 5, () => member(under, first).includes("active member"));
      under.ok("ovs-vsctl", "set", "port", "bond0", "other_config:bond-detect-mode=rubbish");
      const warning = "|bridge|WARN|port bond0: unsupported bond-detect-mode rubbish, defaulting to carrier";
      await until("the mode is refused", 5, () => under.log().includes(warning));
      assert.ok(isEnabled(under, first));
    } finally {
      await under.stop();
      removeHosts(hosts);
    }
  });

  test("a link that nobody answers for is down when it is asked", async () => {
    const name = `bdum${process.pid % 10000}`;
    if (spawnSync("ip", ["link", "add", name, "type", "dummy"]).status !== 0) {
      console.log("skip: a link that nobody answers for: the kernel has no dummy devices");
      return;
    }
    const hosts = makeHosts("be", 1);
    const under = await startSluice();
    try {
      spawnSync("ip", ["link", "set", name, "up"]);
      const port = hosts[0]?.port ?? "";
      under.ok("ovs-vsctl", ...`add-br ${port}b -- set bridge ${port}b datapath_type=netdev`.split(" "));
      under.ok("ovs-vsctl", "add-bond", `${port}b`, "bond0", port, name, "bond_mode=active-backup");
      await until("the kernel says that it is up", 5, () => isEnabled(under, name));
      under.ok("ovs-vsctl", "set", "port", "bond0", "other_config:bond-detect-mode=miimon");
      await until("it is down", 5, () => !isEnabled(under, name));
    } finally {
      await under.stop();
      spawnSync("ip", ["link", "del", name]);
      removeHosts(hosts);
    }
  });
}

if (noOvs !== undefined) console.log(`skip: bonds beside Open vSwitch: ${noOvs}`);
else {
  test("LACP comes up with Open vSwitch as partner, and a link that fails is left", async () => {
    await withPair(async ({ ours, theirs, both }) => {
      both.forEach((under, index) => {
        const wire = (n: number): string => {
          const socket = join(ours.directory, `wire${n}.sock`);
          return index === 0 ? `options:pstream=punix:${socket}` : `options:stream=unix:${socket}`;
        };
        under.ok(
          "ovs-vsctl",
          ...`add-br br0 -- set bridge br0 datapath_type=dummy other_config:hwaddr=02:0a:00:00:00:0${index + 1}`.split(
            " ",
          ),
          ..."-- add-bond br0 bond0 p1 p2 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast".split(" "),
          ...[1, 2].flatMap((n) => `-- set interface p${n} type=dummy ofport_request=${n} ${wire(n)}`.split(" ")),
          ..."-- add-port br0 h -- set interface h type=dummy ofport_request=9".split(" "),
        );
      });
      const begun = Date.now();
      for (const under of both) under.ok("ovs-appctl", "netdev-dummy/set-admin-state", "up");
      for (const under of both)
        await until(`${under.kind} has both links`, 15, () => isEnabled(under, "p1") && isEnabled(under, "p2"));
      console.log(`# LACP was up ${Date.now() - begun} ms after the links`);
      // Each sees itself as the other sees it, once the last news have been told.
      const info = (under: Switch, who: string): string =>
        under
          .ok("ovs-appctl", "lacp/show")
          .split("\n")
          .filter((line) => line.startsWith(`  ${who} `))
          .map((line) => line.replace(who, ""))
          .join("\n");
      const agree = (): boolean =>
        info(ours, "actor") === info(theirs, "partner") && info(ours, "partner") === info(theirs, "actor");
      await until("both agree on what they are", 5, agree);
      for (const under of both)
        assert.is(under.ok("ovs-vsctl", "get", "interface", "p1", "lacp_current").trim(), "true", under.kind);

      // Open vSwitch goes on to speak on a dummy that is down; we do not, which it notices after three seconds.
      const failed = Date.now();
      ours.ok("ovs-appctl", "netdev-dummy/set-admin-state", "p2", "down");
      await until("Sluice left the link", 2, () => !isEnabled(ours, "p2"));
      await until("Open vSwitch left the link", 10, () => !isEnabled(theirs, "p2"));
      console.log(`# Open vSwitch left the link ${Date.now() - failed} ms after its far end went down`);
      assert.ok(isEnabled(ours, "p1"));
      await sleep(100);
      const rules = ours.ok("ovs-appctl", "bridge/dump-flows", "br0").split("\n");
      assert.is(rules.filter((line) => line.includes("table_id=254") && line.endsWith("actions=output:1")).length, 256);
    });
  });
}
test.run();
