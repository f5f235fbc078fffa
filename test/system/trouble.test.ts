/** What goes wrong around the database, in Sluice and in Open vSwitch: the same is told, and nothing else is disturbed. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { outputs } from "../differential/outputs.js";
import { addBridge, equal, masked, noOvs, type Pair, say, withPair } from "./pair.js";
import { addDummyBridge, missing, type Switch, sleep, startOvs, startSluice, until } from "./switch.js";

const reason = noOvs ?? missing({ tools: ["ovsdb-tool"] });
if (reason !== undefined) console.log(`skip: trouble: ${reason}`);
const maybe = reason === undefined ? test : test.skip;
const noRoot = reason ?? missing({ root: true, tools: ["mount", "umount"] });
if (reason === undefined && noRoot !== undefined) console.log(`skip: a full disk: ${noRoot}`);
const maybeRoot = noRoot === undefined ? test : test.skip;

const schemaFile = "/usr/share/openvswitch/vswitch.ovsschema";
const starts = { sluice: startSluice, ovs: startOvs } as const;

/** What is printed of rows that were made has their identifiers. */
const withoutRows = (text: string): string => text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID");
/** Of the controller that nobody is, of the spanning tree of a port that no bridge has any more, how often something was not told, and why a name has no address: Open vSwitch looks it
 *  up only if it was built with a library for that. */
const isPassing = /127\.0\.0\.1:1|no\.such\.name|in_band\||on nonexistent port|Dropped \d+ log messages/;

/** Where a packet goes. */
function trace(under: Switch): string {
  const text = under.ok("ovs-appctl", "ofproto/trace", "br0", "in_port=1,dl_dst=50:54:00:00:00:99");
  return outputs(/Datapath actions: (.*)/.exec(text)?.[1] ?? "nothing");
}

/** Runs with a directory on a small disk of its own. */
async function withSmallDisk(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "small-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", directory]);
  try {
    await body(directory);
  } finally {
    spawnSync("umount", ["-l", directory]);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Fills the disk to its last byte. */
function fill(directory: string): string {
  const file = join(directory, "filler");
  spawnSync("dd", ["if=/dev/zero", `of=${file}`, "bs=4096"], { stdio: "ignore" });
  return file;
}

maybeRoot("a full disk under the database refuses what does not fit, and the switch goes on", async () => {
  const told: string[] = [];
  for (const kind of ["sluice", "ovs"] as const) {
    await withSmallDisk(async (directory) => {
      const under = await starts[kind]({ dummy: true, directory });
      try {
        addDummyBridge(under, 2);
        under.ok("ovs-ofctl", "add-flow", "br0", "actions=NORMAL");
        const before = trace(under);
        const filler = fill(directory);
        const long = "x".repeat(20_000);
        const refused = under.run(
          "ovs-vsctl",
          "--no-wait",
          "-t",
          "10",
          "set",
          "bridge",
          "br0",
          `external_ids:long=${long}`,
        );
        assert.is(trace(under), before, "packets go where they went");
        assert.is(under.run("ovs-ofctl", "add-flow", "br0", "table=1,actions=drop").status, 0);
        assert.is(under.ok("ovs-vsctl", "--no-wait", "get", "bridge", "br0", "external_ids").trim(), "{}");
        told.push(`exit ${refused.status}: ${refused.stderr.replace(/^.*transaction error:.*?"error":/s, "error:")}`);
        rmSync(filler);
        await until(`${kind} takes changes again`, 20, () => {
          const again = under.run(
            "ovs-vsctl",
            "-t",
            "10",
            "--may-exist",
            "add-port",
            "br0",
            "p3",
            "--",
            "set",
            "interface",
            "p3",
            "type=dummy",
          );
          return again.status === 0;
        });
        await until("the new port is there", 10, () => under.ok("ovs-ofctl", "show", "br0").includes("(p3)"));
        assert.is(
          under.run(
            "ovsdb-tool",
            "query",
            join(directory, "conf.db"),
            '["Open_vSwitch",{"op":"select","table":"Bridge","where":[]}]',
          ).status,
          0,
        );
      } finally {
        await under.stop();
      }
    });
  }
  assert.is(told[0], told[1]);
});

/** What goes wrong in the configuration of a bridge whose ports p1 and p2 forward, and how it is taken back. */
const troubles: readonly {
  readonly name: string;
  readonly does: string;
  readonly undoes: string;
}[] = [
  { name: "a port that does not exist", does: "add-port br0 nosuch0", undoes: "del-port nosuch0" },
  {
    name: "a port in two bridges",
    does: "add-br br1 -- set bridge br1 datapath_type=dummy other_config:hwaddr=50:54:00:00:02:00 -- --id=@p get port p2 -- add bridge br1 ports @p",
    undoes: "-- --id=@p get port p2 -- remove bridge br1 ports @p -- del-br br1",
  },
  {
    name: "an interface in two ports",
    does: "-- --id=@i get interface p2 -- --id=@p create port name=p8 interfaces=@i -- add bridge br0 ports @p",
    undoes: "-- --id=@p get port p8 -- remove bridge br0 ports @p",
  },
  {
    name: "a bridge named with a slash",
    does: "-- --id=@b create bridge name=a/b datapath_type=dummy -- add Open_vSwitch . bridges @b",
    undoes: "-- --id=@b get bridge a/b -- remove Open_vSwitch . bridges @b",
  },
  {
    name: "an invalid option of a tunnel",
    does: "add-port br0 t1 -- set interface t1 type=vxlan options:remote_ip=1.1.1.1 options:nonsense=7 ofport_request=7",
    undoes: "del-port t1",
  },
  {
    name: "an invalid option of a patch port",
    does: "add-port br0 t1 -- set interface t1 type=patch options:peer=t1 ofport_request=7",
    undoes: "del-port t1",
  },
  {
    name: "an invalid setting of a bridge",
    does: "set bridge br0 other_config:mac-aging-time=never other_config:datapath-id=12",
    undoes: "clear bridge br0 other_config -- set bridge br0 other_config:hwaddr=50:54:00:00:01:00",
  },
  {
    name: "a tunnel without an end",
    does: "add-port br0 t1 -- set interface t1 type=geneve ofport_request=7",
    undoes: "del-port t1",
  },
  {
    name: "a controller whose name cannot be resolved",
    does: "set-controller br0 tcp:127.0.0.1:1 tcp:no.such.name.invalid:6653",
    undoes: "set-controller br0 tcp:127.0.0.1:1",
  },
  {
    name: "a controller that is no target",
    does: "set-controller br0 tcp:127.0.0.1:1 nonsense",
    undoes: "set-controller br0 tcp:127.0.0.1:1",
  },
];

const shownColumns = {
  bridge: "name,datapath_id",
  interface: "name,type,ofport,error,admin_state,link_state,mtu",
  controller: "target,is_connected,role",
  port: "name,tag",
} as const;

/** What a person sees of the switch. */
function visible(under: Switch): readonly string[] {
  const columns = Object.entries(shownColumns).map(([table, names]) => {
    const listing = under.ok("ovs-vsctl", "-f", "csv", "--no-headings", `--columns=${names}`, "list", table);
    return listing.trim().split("\n").sort().join("\n");
  });
  const tools = [
    ["ovs-vsctl", "list-br"],
    ["ovs-ofctl", "show", "br0"],
    ["ovs-appctl", "dpif/show"],
    ["ovs-appctl", "ofproto/list"],
  ].map(([tool = "", ...words]) =>
    masked(under.ok(tool, ...words), under)
      // Devices without one have an address by chance.
      .replace(/\(t1\): addr:\S+/, "(t1): addr")
      .replace(/hit:\d+ missed:\d+/, "hit, missed"),
  );
  return [...columns, ...tools];
}

/** Both, when they are the same, or when they are not after a time in which they would be. */
async function settled(pair: Pair): Promise<readonly [ours: readonly string[], theirs: readonly string[]]> {
  const end = Date.now() + 5000;
  for (;;) {
    const both = [visible(pair.ours), visible(pair.theirs)] as const;
    if (both[0].join() === both[1].join() || Date.now() > end) return both;
    await sleep(200);
  }
}

/** Warnings of the log from there on, each once. */
function warnings(under: Switch, from: number): string[] {
  const lines = masked(under.log().slice(from), under).matchAll(/^.*?\|(\w+\|(?:WARN|ERR|EMER)\|.*)/gm);
  return [...new Set([...lines].map(([, text = ""]) => text))].sort();
}

maybe("what is wrong in one row is told of that row, and ports, flows and counters of the others go on", async () => {
  await withPair(async (pair) => {
    addBridge(pair, 2);
    for (const under of pair.both) {
      under.ok("ovs-vsctl", "set-controller", "br0", "tcp:127.0.0.1:1");
      under.ok("ovs-ofctl", "add-flow", "br0", "in_port=1,actions=2");
    }
    const before = await settled(pair);
    equal(...before);
    for (const [index, { name, does, undoes }] of troubles.entries()) {
      const logs = pair.both.map((under) => under.log().length);
      const told = await Promise.all(
        pair.both.map((under) => say(under, ["ovs-vsctl", "-t", "10", ...does.split(" ")])),
      );
      const saidOf = (at: 0 | 1): string => withoutRows(told[at] ?? "");
      const seen = await settled(pair);
      equal([name, saidOf(0), ...seen[0]], [name, saidOf(1), ...seen[1]]);
      for (const under of pair.both) {
        const frame = "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x1234)";
        under.ok("ovs-appctl", "netdev-dummy/receive", "p1", frame);
        await until(`${under.kind} forwards with ${name}`, 10, () => {
          const flows = under.ok("ovs-ofctl", "dump-flows", "br0", "in_port=1");
          return flows.includes(`n_packets=${index + 1},`);
        });
      }
      const warned = pair.both.map((under, at) =>
        warnings(under, logs[at] ?? 0).filter((text) => !isPassing.test(text)),
      );
      assert.equal(warned[0], warned[1], name);
      for (const under of pair.both) under.ok("ovs-vsctl", "-t", "10", ...undoes.split(" "));
      equal(...(await settled(pair)));
    }
    const after = await settled(pair);
    assert.equal(after, before);
  });
});

/** The schema of a release to come: one more table, one more column here and there. */
function newerSchema(): string {
  const schema = JSON.parse(readFileSync(schemaFile, "utf8")) as {
    version: string;
    tables: Record<string, { columns: Record<string, unknown> }>;
  };
  schema.version = "9.0.0";
  schema.tables["Novelty"] = { columns: { name: { type: "string" } } };
  const { Bridge: bridge, Open_vSwitch: root } = schema.tables;
  if (bridge === undefined || root === undefined) throw new Error("not the schema of a switch");
  bridge.columns["novel"] = { type: { key: "string", min: 0, max: "unlimited" } };
  root.columns["novelties"] = {
    type: { key: { type: "uuid", refTable: "Novelty" }, min: 0, max: "unlimited" },
  };
  return JSON.stringify(schema);
}

maybe("a database of a newer schema is served and obeyed, and what is new in it is left alone", async () => {
  const told: string[] = [];
  for (const kind of ["sluice", "ovs"] as const) {
    const directory = mkdtempSync(join(tmpdir(), "newer-"));
    try {
      const schema = join(directory, "newer.ovsschema");
      writeFileSync(schema, newerSchema());
      if (kind === "sluice") execFileSync("ovsdb-tool", ["create", join(directory, "conf.db"), schema]);
      const under = await starts[kind]({ dummy: true, directory, schema });
      try {
        addDummyBridge(under, 2);
        // ovs-vsctl knows only what it was built with.
        const transact = (...operations: readonly object[]): string =>
          under.ok("ovsdb-client", "transact", JSON.stringify(["Open_vSwitch", ...operations]));
        const novel = (): string =>
          transact(
            { op: "select", table: "Bridge", where: [], columns: ["name", "novel"] },
            { op: "select", table: "Novelty", where: [], columns: ["name"] },
          );
        transact(
          { op: "update", table: "Bridge", where: [], row: { novel: ["set", ["a", "b"]] } },
          { op: "insert", table: "Novelty", row: { name: "first" }, "uuid-name": "n" },
          { op: "update", table: "Open_vSwitch", where: [], row: { novelties: ["named-uuid", "n"] } },
        );
        under.ok("ovs-ofctl", "add-flow", "br0", "actions=NORMAL");
        const lines = [novel(), under.ok("ovs-vsctl", "get", "interface", "p2", "ofport", "error"), trace(under)];
        // Whatever the switch writes, what is new stays.
        under.ok("ovs-vsctl", "del-port", "p2");
        lines.push(novel());
        told.push(lines.join(""));
      } finally {
        await under.stop();
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  assert.is(told[0], told[1]);
});

test.run();
