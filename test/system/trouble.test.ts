/** What goes wrong around the database, in Sluice and in Open vSwitch: the same is told, and nothing else is disturbed. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { outputs } from "../differential/outputs.js";
import { noOvs } from "./pair.js";
import { addDummyBridge, missing, type Switch, startOvs, startSluice, until } from "./switch.js";

const reason = noOvs ?? missing({ tools: ["ovsdb-tool"] });
if (reason !== undefined) console.log(`skip: trouble: ${reason}`);
const maybe = reason === undefined ? test : test.skip;
const noRoot = reason ?? missing({ root: true, tools: ["mount", "umount"] });
if (reason === undefined && noRoot !== undefined) console.log(`skip: a full disk: ${noRoot}`);
const maybeRoot = noRoot === undefined ? test : test.skip;

const schemaFile = "/usr/share/openvswitch/vswitch.ovsschema";
const starts = { sluice: startSluice, ovs: startOvs } as const;

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
