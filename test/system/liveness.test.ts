/** BFD, CFM and LACP with Open vSwitch at the other end of a cable: up, down, up again, and alive while our control thread is
 *  busy. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, type Switch, startOvs, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vswitchd", "ovs-vsctl", "ovs-appctl", "ovs-ofctl", "ip"] });
if (reason !== undefined) console.log(`skip: liveness: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const ip = (...args: string[]): string =>
  execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

const cable = [`lv${process.pid % 100_000}a`, `lv${process.pid % 100_000}b`] as const;

/** Both switches with an end of the cable each. */
async function withCable(body: (ours: Switch, theirs: Switch) => Promise<void>): Promise<void> {
  const both = await Promise.all([startSluice({ env: { SLUICE_TEST_HOOKS: "1" } }), startOvs()]);
  ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1]);
  try {
    both.forEach((under, index) => {
      const device = cable[index] ?? "";
      ip("link", "set", device, "up");
      const bridge = ["add-br", "lvbr", "--", "set", "bridge", "lvbr", "datapath_type=netdev", "fail_mode=secure"];
      under.ok("ovs-vsctl", ...bridge, "--", "add-port", "lvbr", device);
    });
    await body(...both);
  } finally {
    await Promise.all(both.map((under) => under.stop()));
    ip("link", "delete", cable[0]);
  }
}

const column = (under: Switch, name: string, key?: string): string => {
  const device = cable[under.kind === "sluice" ? 0 : 1];
  const words = [`interface`, device, key === undefined ? name : `${name}:${key}`];
  return under.ok("ovs-vsctl", "--if-exists", "get", ...words).trim();
};

const set = (under: Switch, ...settings: string[]): void => {
  under.ok("ovs-vsctl", "set", "interface", cable[under.kind === "sluice" ? 0 : 1], ...settings);
};

/** Keeps our control thread busy. */
async function spin(ours: Switch, ms = 2000): Promise<void> {
  const blocked = spawn("ovs-appctl", ["sluice/test-spin", `${ms}`], { env: ours.env, stdio: "ignore" });
  await once(blocked, "exit");
}

maybe(
  "BFD comes up, stays up at both ends while our control thread is busy, and goes down with the other end",
  async () => {
    await withCable(async (ours, theirs) => {
      for (const under of [ours, theirs]) set(under, "bfd:enable=true", "bfd:min_tx=100", "bfd:min_rx=100");
      const isUp = (under: Switch): boolean => column(under, "bfd_status", "forwarding") === '"true"';
      await until("both ends are up", 15, () => isUp(ours) && isUp(theirs));
      const portLine = (): string => ours.ok("ovs-ofctl", "-OOpenFlow13", "dump-ports-desc", "lvbr", "1");
      assert.match(portLine(), "LIVE");
      await until("the poll sequences are over", 10, () =>
        [ours, theirs].every((under) => under.ok("ovs-appctl", "bfd/show").includes("TX Interval: Approx 100ms")),
      );
      const flaps = (): string[] => [ours, theirs].map((under) => column(under, "bfd_status", "flap_count"));
      const before = flaps();
      await spin(ours);
      assert.equal(flaps(), before, "nobody went down");
      assert.ok(isUp(ours) && isUp(theirs));
      assert.not.match(ours.ok("ovs-appctl", "bfd/show"), "down");

      set(theirs, "bfd:min_tx=200");
      await until("new times hold", 10, () =>
        ours.ok("ovs-appctl", "bfd/show").includes("Remote Minimum TX Interval: 200ms"),
      );
      set(theirs, "bfd:cpath_down=true");
      await until("the path beyond is down", 10, () => column(ours, "bfd_status", "forwarding") === '"false"');
      assert.is(column(ours, "bfd_status", "state"), "up");
      set(theirs, "bfd:cpath_down=false");
      await until("the path beyond is up", 10, () => isUp(ours));

      set(theirs, "bfd:enable=false");
      const start = Date.now();
      await until("our end is down", 10, () => column(ours, "bfd_status", "state") === "down");
      assert.ok(Date.now() - start < 3000, "three intervals of 200 ms, and the time that the tools take");
      assert.is(column(ours, "bfd_status", "diagnostic"), '"Control Detection Time Expired"');
      assert.not.match(portLine(), "LIVE");
      set(theirs, "bfd:enable=true");
      await until("both ends are up again", 15, () => isUp(ours) && isUp(theirs));
    });
  },
);

maybe(
  "CFM hears the other end, keeps quiet of our busy control thread, and has a fault when the other end is gone",
  async () => {
    await withCable(async (ours, theirs) => {
      const start = (under: Switch): void =>
        set(under, `cfm_mpid=${under === ours ? 1 : 2}`, "other_config:cfm_interval=100");
      for (const under of [ours, theirs]) start(under);
      const works = (under: Switch): boolean =>
        column(under, "cfm_fault") === "false" &&
        column(under, "cfm_remote_mpids") === (under === ours ? "[2]" : "[1]");
      await until("both ends hear each other", 15, () => works(ours) && works(theirs));
      const flaps = (): string[] => [ours, theirs].map((under) => column(under, "cfm_flap_count"));
      const before = flaps();
      await spin(ours);
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.equal(flaps(), before, "no fault came or went");
      assert.ok(works(ours) && works(theirs));
      for (const under of [ours, theirs]) assert.not.match(under.log(), /cfm.*WARN/);
      await until("our end counts what comes", 10, () => Number(column(ours, "cfm_health")) >= 90);

      theirs.ok("ovs-vsctl", "clear", "interface", cable[1], "cfm_mpid");
      await until("our end has a fault", 10, () => column(ours, "cfm_fault_status") === "[recv]");
      assert.match(ours.ok("ovs-appctl", "cfm/show"), "fault: recv");
      start(theirs);
      await until("both ends hear each other again", 15, () => works(ours) && works(theirs));
    });
  },
);

maybe(
  "Fast LACP stays current at both ends while our control thread is busy, and not when an end is gone",
  async () => {
    await withCable(async (ours, theirs) => {
      for (const [index, under] of [ours, theirs].entries()) {
        under.ok("ovs-vsctl", "set", "port", cable[index] ?? "", "lacp=active", "other_config:lacp-time=fast");
      }
      const counts = (under: Switch): string =>
        under
          .ok("ovs-appctl", "lacp/show-stats")
          .split("\n")
          .filter((line) => /Expired|Defaulted|Carrier/.test(line))
          .join();
      const shown = (under: Switch): string => under.ok("ovs-appctl", "lacp/show");
      const works = (under: Switch): boolean =>
        column(under, "lacp_current") === "true" &&
        /member: \w+: current attached/.test(shown(under)) &&
        /may_enable: true/.test(shown(under));
      await until("both ends are current", 15, () => works(ours) && works(theirs));
      await until("both ends have synchronized", 10, () =>
        [ours, theirs].every((under) => /partner state: activity timeout synchronized/.test(shown(under))),
      );
      // What repeats itself is the datapath's from the second PDU on, which comes after a second.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const before = [ours, theirs].map(counts);
      // A partner of fast LACP is given up after three seconds.
      await spin(ours, 5000);
      assert.equal([ours, theirs].map(counts), before, "nobody was given up");
      assert.ok(works(ours) && works(theirs));

      theirs.ok("ovs-vsctl", "set", "port", cable[1], "lacp=off");
      const start = Date.now();
      await until("our end has given the other up", 15, () => column(ours, "lacp_current") === "false");
      const tookMs = Date.now() - start;
      assert.ok(tookMs > 3000 && tookMs < 9000, `given up after ${tookMs} ms: expired after 3 s, defaulted after 6 s`);
      theirs.ok("ovs-vsctl", "set", "port", cable[1], "lacp=active");
      await until("both ends are current again", 15, () => works(ours) && works(theirs));
    });
  },
);

test.run();
