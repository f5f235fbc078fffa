/** os-ken applications as the controllers of three hosts. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { application } from "./osken.js";
import { freePort, missing, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vsctl", "ip", "ping", "python3", "osken-manager"] });
if (reason !== undefined) console.log(`skip: controller: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

interface Told {
  has(line: string): boolean;
  /** What it printed as JSON after the word. */
  value(word: string): unknown;
}

/** Three hosts on a bridge whose controller speaks one version of OpenFlow: pings, links that fall, ports that come and go,
 *  and then what the controller reads. */
async function withController(version: string, protocol: string, check: (told: Told) => void): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-osken-"));
  const log = join(directory, "controller.log");
  writeFileSync(join(directory, "learning.py"), application);
  const port = await freePort();
  const shell = `exec osken-manager --ofp-listen-host 127.0.0.1 --ofp-tcp-listen-port ${port} --nouse-stderr ${join(directory, "learning.py")} > ${log} 2>&1`;
  const controller: ChildProcess = spawn("sh", ["-c", shell], {
    stdio: "ignore",
    env: { ...process.env, OPENFLOW: version },
  });
  const hosts = makeHosts("slc", 3);
  const under = await startSluice();
  const bridge = `slc${process.pid % 10000}`;
  const extra = `${bridge}x`;
  const ofctl = (...words: string[]): string => under.ok("ovs-ofctl", "-O", protocol, ...words);
  const told: Told = {
    has: (line) => readFileSync(log, "utf8").includes(line),
    value(word) {
      const line = readFileSync(log, "utf8")
        .split("\n")
        .find((text) => text.startsWith(`${word} `));
      return line === undefined ? undefined : JSON.parse(line.slice(word.length + 1));
    },
  };
  try {
    under.ok(
      "ovs-vsctl",
      ...["add-br", bridge, "--", "set-fail-mode", bridge, "secure"],
      ...["--", "set", "bridge", bridge, `protocols=${protocol}`, "other_config:datapath-id=0000000000000007"],
      ...hosts.flatMap((host) => ["--", "add-port", bridge, host.port]),
    );
    // It takes os-ken seconds to read table features; meanwhile it answers no probe.
    const probe = ["--", "set", "controller", bridge, "inactivity_probe=60000"];
    under.ok("ovs-vsctl", "set-controller", bridge, `tcp:127.0.0.1:${port}`, ...probe);
    await until(
      "the controller is connected",
      20,
      () => under.ok("ovs-vsctl", "get", "controller", bridge, "is_connected").trim() === "true",
    );
    await until("the controller has made its group", 10, () => told.has("READY"));
    assert.match(ofctl("dump-flows", bridge), /CONTROLLER/);
    for (const from of hosts) {
      for (const to of hosts) {
        if (from === to) continue;
        assert.match(
          from.exec("ping", "-c", "2", "-W", "2", to.address).stdout,
          /[12] received/,
          `${from.name} to ${to.name}`,
        );
      }
    }
    const flows = ofctl("dump-flows", bridge);
    assert.ok((flows.match(/dl_dst=/g) ?? []).length >= 4, "the controller installed flows");
    assert.ok((flows.match(/meter:3/g) ?? []).length >= 4, "that are metered");
    const first = hosts[0] as Host;
    spawnSync("ip", ["link", "set", first.port, "down"]);
    await until("the controller hears of the fallen link", 5, () => told.has(`PORT modify ${first.port} down`));
    under.ok("ovs-vsctl", "add-port", bridge, extra, "--", "set", "interface", extra, "type=internal");
    await until("the controller hears of the new port", 5, () => told.has(`PORT add ${extra}`));
    under.ok("ovs-vsctl", "del-port", bridge, extra);
    await until("the controller hears of the removed port", 5, () => told.has(`PORT delete ${extra}`));
    assert.is(under.ok("ovs-vsctl", "get", "controller", bridge, "role").trim(), "other");
    await until("the controller has read everything", 60, () => told.has("DONE"));
    assert.not(told.has("ERROR"), "no request was refused");
    assert.not(told.has("Traceback"), "no reply was misunderstood");
    check(told);
  } catch (error) {
    console.log(
      readFileSync(log, "utf8")
        .replace(/^(.{400}).*$/gm, "$1...")
        .slice(-6000),
    );
    throw error;
  } finally {
    controller.kill();
    await under.stop();
    removeHosts(hosts);
    rmSync(directory, { recursive: true, force: true });
  }
}

type Rows = Readonly<Record<string, readonly Record<string, unknown>[]>>;

/** The rows that a reply has for datapath 7. */
function rows(told: Told, word: string): readonly Record<string, unknown>[] {
  return (told.value(word) as Rows | undefined)?.["7"] ?? [];
}

for (const [version, protocol] of [
  ["v1_3", "OpenFlow13"],
  ["v1_4", "OpenFlow14"],
  ["v1_5", "OpenFlow15"],
] as const) {
  maybe(
    `an os-ken controller of ${protocol} connects every host through groups and meters, and reads them back`,
    async () => {
      await withController(version, protocol, (told) => {
        assert.is(rows(told, "flows").length >= 5, true, "flows");
        assert.is(rows(told, "ports").length, 4, "three hosts and the bridge's own port");
        assert.is(rows(told, "port_desc").length, 4);
        assert.is(rows(told, "tables").length, 254);
        if (version === "v1_3") assert.equal(told.value("table_features"), [254]);
        if (version !== "v1_5") {
          const [group] = rows(told, "groups");
          assert.is(group?.["group_id"], 7);
          assert.is((group?.["buckets"] as unknown[] | undefined)?.length, 3);
        }
        const [groupStats] = rows(told, "group_stats");
        assert.ok(Number(groupStats?.["packet_count"]) > 0, "the group has flooded");
        assert.is(rows(told, "meters")[0]?.["meter_id"], 3);
        const [meterStats] = rows(told, "meter_stats");
        assert.ok(Number(meterStats?.["packet_in_count"]) > 0, "the meter has counted");
        assert.ok(Number(meterStats?.["ref_count"] ?? meterStats?.["flow_count"]) >= 4, "flows use the meter");
        for (const word of [
          "group_features",
          ...(version === "v1_5" ? [] : ["meter_features"]),
          "aggregate",
          "role",
          "desc",
          "queues",
        ])
          assert.ok(told.value(word) !== undefined, word);
        assert.equal(rows(told, "groups_left"), []);
        assert.equal(rows(told, "meters_left"), []);
      });
    },
  );
}

test.run();
