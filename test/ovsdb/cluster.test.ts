import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { VswitchTables } from "../../ts/ovsdb/index.js";
import { openIdl, vswitchSchema } from "../../ts/ovsdb/index.js";
import { eventually, missingOracle, temporaryDirectory, tool } from "./oracle.js";

interface Member {
  readonly socket: string;
  readonly ctl: string;
  readonly stop: () => Promise<void>;
}

/** Starts one member of a cluster of the real ovsdb-server; the first makes the cluster, the others join it. */
function startMember(directory: string, index: number): Member {
  const raft = (member: number): string => `unix:${path.join(directory, `raft${member}.sock`)}`;
  const file = path.join(directory, `member${index}.db`);
  const schema = path.join(directory, "schema.json");
  fs.writeFileSync(schema, JSON.stringify(vswitchSchema));
  const made =
    index === 0
      ? tool("ovsdb-tool", "create-cluster", file, schema, raft(0))
      : tool("ovsdb-tool", "join-cluster", file, "Open_vSwitch", raft(index), raft(0));
  assert.is(made.status, 0, made.out);
  const socket = path.join(directory, `member${index}.sock`);
  const ctl = path.join(directory, `member${index}.ctl`);
  const child = spawn("ovsdb-server", [`--remote=punix:${socket}`, `--unixctl=${ctl}`, "-vconsole:off", file], {
    env: { ...process.env, OVS_RUNDIR: directory },
    stdio: "ignore",
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    socket,
    ctl,
    stop: () => {
      child.kill("SIGTERM");
      return gone;
    },
  };
}

const status = (member: Member): string => tool("ovs-appctl", "-t", member.ctl, "cluster/status", "Open_vSwitch").out;

test("a client of a cluster finds the leader, and goes to the next one when it dies", async () => {
  const missing = missingOracle();
  if (missing !== undefined) {
    console.log(`skip: ${missing}`);
    return;
  }
  const directory = temporaryDirectory();
  const members: Member[] = [];
  try {
    for (let index = 0; index < 3; index++) {
      const member = startMember(directory, index);
      members.push(member);
      await eventually(() => /^Status: cluster member$/m.test(status(member)), 30_000);
    }
    // The leader last, so that a follower is met first.
    const order = [members[1], members[2], members[0]].filter((member) => member !== undefined);
    assert.match(status(members[0] as Member), /^Role: leader$/m);
    const idl = openIdl<VswitchTables>({
      schema: vswitchSchema,
      remote: order.map((member) => `unix:${member.socket}`).join(","),
      lock: "ovs_vswitchd",
      timing: { backoffMsMin: 20, backoffMsMax: 200 },
    });
    await idl.ready();
    assert.ok(idl.hasLock);
    const write = async (name: string): Promise<string> => {
      const txn = idl.transaction();
      const root = idl.table("Open_vSwitch").first();
      if (root === undefined) txn.insert("Open_vSwitch", { external_ids: new Map([["by", name]]) });
      else txn.set("Open_vSwitch", root.uuid, { external_ids: new Map([["by", name]]) });
      return (await txn.commit({ durable: true })).status;
    };
    assert.is(await write("first"), "success");

    await members[0]?.stop();
    const left = members.slice(1);
    await eventually(() => left.some((member) => /^Role: leader$/m.test(status(member))), 30_000);
    await eventually(() => idl.connected && idl.hasLock, 30_000);
    assert.equal(idl.table("Open_vSwitch").first()?.external_ids, new Map([["by", "first"]]));
    assert.is(await write("second"), "success");
    for (const member of left) {
      await eventually(
        () =>
          spawnSync(
            "ovsdb-client",
            ["--no-leader-only", "dump", `unix:${member.socket}`, "Open_vSwitch", "Open_vSwitch"],
            {
              encoding: "utf8",
            },
          ).stdout.includes("by=second"),
        30_000,
      );
    }
    await idl.close();
  } finally {
    await Promise.all(members.map((member) => member.stop()));
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
