/** The real ovs-vsctl against Sluice; where Open vSwitch answers the same question, its answer is the expected one. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, type Switch, startOvs, startSluice, until } from "./switch.js";

const reason = missing({ tools: ["ovs-vsctl", "ovs-vswitchd", "ovsdb-server"] });
if (reason !== undefined) console.log(`skip: vsctl: ${reason}`);
const maybe = reason === undefined ? test : test.skip;
const asRoot = missing({ root: true, tools: ["ovs-vsctl", "ip"] });
if (asRoot !== undefined) console.log(`skip: vsctl with devices: ${asRoot}`);
const maybeRoot = asRoot === undefined ? test : test.skip;

async function withSluice(dummy: boolean, body: (under: Switch) => void | Promise<void>): Promise<void> {
  const under = await startSluice({ dummy });
  try {
    await body(under);
  } finally {
    await under.stop();
  }
}

/** Runs the same commands in both switches and returns what each printed. */
async function inBoth(commands: readonly (readonly string[])[]): Promise<{ ours: string[]; theirs: string[] }> {
  const outputs: string[][] = [];
  for (const start of [startSluice, startOvs]) {
    const under = await start({ dummy: true });
    try {
      outputs.push(
        commands.map((words) => {
          const { status, stdout, stderr } = under.run("ovs-vsctl", "-t", "15", ...words);
          return `$ ovs-vsctl ${words.join(" ")}\n${stdout}${stderr.replaceAll(under.directory, "DIR")}exit ${status}`;
        }),
      );
    } finally {
      await under.stop();
    }
  }
  return { ours: outputs[0] ?? [], theirs: outputs[1] ?? [] };
}

const dummyPort = (name: string, ...more: string[]): string[] => [
  "add-port",
  "br0",
  name,
  "--",
  "set",
  "interface",
  name,
  "type=dummy",
  ...more,
];

maybe("the commands of every day print and end as with Open vSwitch", async () => {
  const { ours, theirs } = await inBoth([
    ["init"],
    ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "other_config:hwaddr=50:54:00:00:00:01"],
    ["--may-exist", "add-br", "br0"],
    ["add-br", "br0"],
    dummyPort("p1", "ofport_request=7"),
    ["--may-exist", "add-port", "br0", "p1"],
    ["add-port", "br0", "p1"],
    dummyPort("p2", "ofport_request=3", "--", "set", "port", "p2", "tag=5"),
    ["list-br"],
    ["list-ports", "br0"],
    ["port-to-br", "p1"],
    ["br-exists", "br0"],
    ["br-exists", "br1"],
    ["get", "interface", "p1", "ofport"],
    ["get", "interface", "p2", "ofport"],
    ["get", "port", "p2", "tag"],
    ["get", "bridge", "br0", "datapath_id"],
    ["set", "port", "p1", "trunks=1,2,3"],
    ["get", "port", "p1", "trunks"],
    ["set", "bridge", "br0", "other_config:mac-aging-time=60", "external-ids:a=b"],
    ["get", "bridge", "br0", "other_config", "external_ids"],
    ["add", "port", "p1", "trunks", "9"],
    ["remove", "port", "p1", "trunks", "1"],
    ["get", "port", "p1", "trunks"],
    ["clear", "port", "p1", "trunks"],
    ["set", "bridge", "br0", "stp_enable=maybe"],
    ["set", "port", "p1", "tag=9999"],
    ["get", "interface", "p1", "nonsense"],
    ["wait-until", "interface", "p1", "ofport=7"],
    ["set-fail-mode", "br0", "secure"],
    ["get-fail-mode", "br0"],
    ["del-fail-mode", "br0"],
    ["set-controller", "br0", "tcp:127.0.0.1:1"],
    ["get-controller", "br0"],
    ["del-controller", "br0"],
    ["br-set-external-id", "br0", "k", "v"],
    ["br-get-external-id", "br0"],
    ["--columns=name,ofport,error,admin_state,link_state,mtu,duplex,link_speed,status", "list", "interface", "p1"],
    ["--format=json", "--columns=name,ofport", "list", "interface", "p2"],
    ["get", "open", ".", "datapath_types"],
    ["del-port", "br0", "p1"],
    ["--if-exists", "del-port", "br0", "p1"],
    ["del-port", "br0", "p1"],
    ["list-ifaces", "br0"],
    ["del-br", "br0"],
    ["--if-exists", "del-br", "br0"],
    ["list-br"],
  ]);
  assert.equal(ours, theirs);
});

maybe("a port that cannot be says so as with Open vSwitch", async () => {
  const { ours, theirs } = await inBoth(
    [
      ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy"],
      ["add-port", "br0", "nosuch"],
      ["get", "interface", "nosuch", "ofport", "error"],
      ["add-port", "br0", "strange", "--", "set", "interface", "strange", "type=foo"],
      ["get", "interface", "strange", "ofport", "error"],
      ["add-port", "br0", "vxlan_sys_4789"],
      ["get", "interface", "vxlan_sys_4789", "ofport", "error"],
      ["add-br", "a/b"],
      ["del-br", "a/b"],
      ["add-br", "odd", "--", "set", "bridge", "odd", "datapath_type=weird"],
      ["get", "bridge", "odd", "datapath_version", "datapath_id"],
      ["add-port", "br0", "lonely", "--", "set", "interface", "lonely", "type=patch", "options:peer=nobody"],
      ["get", "interface", "lonely", "error"],
      ["show"],
    ].map((words) => words),
  );
  const text = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/^[0-9a-f-]{36}$/gm, "UUID"));
  // `show` lists in the order of random ids; its lines are compared sorted.
  const sortLast = (lines: string[]): string[] => [
    ...lines.slice(0, -1),
    (lines.at(-1) ?? "").split("\n").sort().join("\n"),
  ];
  assert.equal(sortLast(text(ours)), sortLast(text(theirs)));
});

maybe("a bridge's own port follows the smallest MTU of the others, and stands alone when they are gone", async () => {
  const { ours, theirs } = await inBoth([
    ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy"],
    [...dummyPort("p1"), "--", "set", "interface", "p1", "mtu_request=1600"],
    ["--timeout=5", "wait-until", "interface", "br0", "mtu=1600"],
    [...dummyPort("p2"), "--", "set", "interface", "p2", "mtu_request=1400"],
    ["--timeout=5", "wait-until", "interface", "br0", "mtu=1400"],
    ["del-port", "br0", "p1", "--", "del-port", "br0", "p2"],
    ["--timeout=5", "wait-until", "interface", "br0", "mtu=1500"],
    ["get", "interface", "br0", "mtu"],
  ]);
  assert.equal(ours, theirs);
  assert.match(ours.at(-1) ?? "", /1500/);
});

maybe("a thousand ports come and go in one transaction each", async () => {
  await withSluice(true, (under) => {
    under.ok("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    const names = Array.from({ length: 1000 }, (_, index) => `p${index + 1}`);
    under.ok("ovs-vsctl", "-t", "60", ...names.flatMap((name) => ["--", ...dummyPort(name)]));
    const numbers = under
      .ok("ovs-vsctl", "--bare", "--columns=ofport", "list", "interface")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
    assert.is(new Set(numbers).size, 1001);
    assert.ok(!numbers.includes("-1"));
    under.ok("ovs-vsctl", "-t", "60", ...names.flatMap((name) => ["--", "del-port", "br0", name]));
    assert.is(under.ok("ovs-vsctl", "list-ports", "br0"), "");
  });
});

maybe("numbers survive a restart, and a freed number is not given again at once", async () => {
  await withSluice(true, (under) => {
    under.ok("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    under.ok("ovs-vsctl", ...dummyPort("a"));
    const first = under.ok("ovs-vsctl", "get", "interface", "a", "ofport").trim();
    under.ok("ovs-vsctl", "del-port", "br0", "a");
    under.ok("ovs-vsctl", ...dummyPort("b"));
    assert.is.not(under.ok("ovs-vsctl", "get", "interface", "b", "ofport").trim(), first);
  });
});

maybe("patch ports join two bridges, and count what passes", async () => {
  await withSluice(true, async (under) => {
    const patch = (bridge: string, name: string, peer: string): string[] => [
      "--",
      "add-port",
      bridge,
      name,
      "--",
      "set",
      "interface",
      name,
      "type=patch",
      `options:peer=${peer}`,
    ];
    under.ok(
      "ovs-vsctl",
      "add-br",
      "br0",
      "--",
      "set",
      "bridge",
      "br0",
      "datapath_type=dummy",
      "--",
      "add-br",
      "br1",
      "--",
      "set",
      "bridge",
      "br1",
      "datapath_type=dummy",
      ...patch("br0", "to1", "to0"),
      ...patch("br1", "to0", "to1"),
      "--",
      ...dummyPort("p1"),
      "--",
      "add-port",
      "br1",
      "p2",
      "--",
      "set",
      "interface",
      "p2",
      "type=dummy",
    );
    assert.is(under.ok("ovs-vsctl", "get", "interface", "to1", "error").trim(), "[]");
    for (let n = 0; n < 3; n++)
      under.ok(
        "ovs-appctl",
        "netdev-dummy/receive",
        "p1",
        "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)",
      );
    under.ok("ovs-appctl", "revalidator/wait");
    assert.match(under.ok("ovs-ofctl", "dump-ports", "br1", "p2"), /tx pkts=3/);
    assert.match(under.ok("ovs-ofctl", "dump-ports", "br0", "to1"), /tx pkts=3/);
    assert.match(under.ok("ovs-ofctl", "dump-ports", "br1", "to0"), /rx pkts=3/);
    assert.match(under.ok("ovs-appctl", "fdb/show", "br1"), /50:54:00:00:00:01/);
  });
});

maybeRoot("devices of the system, internal, tap and AF_XDP ports come up with their columns", async () => {
  const tag = `slv${process.pid % 10000}`;
  const ip = (...args: string[]): number => spawnSync("ip", args).status ?? -1;
  assert.is(ip("link", "add", `${tag}a`, "type", "veth", "peer", "name", `${tag}b`), 0);
  try {
    ip("link", "set", `${tag}a`, "up");
    ip("link", "set", `${tag}b`, "up");
    await withSluice(false, async (under) => {
      const bridge = `${tag}br`;
      under.ok(
        "ovs-vsctl",
        "-t",
        "15",
        "add-br",
        bridge,
        "--",
        "add-port",
        bridge,
        `${tag}a`,
        "--",
        "add-port",
        bridge,
        `${tag}i`,
        "--",
        "set",
        "interface",
        `${tag}i`,
        "type=internal",
        "--",
        "add-port",
        bridge,
        `${tag}t`,
        "--",
        "set",
        "interface",
        `${tag}t`,
        "type=tap",
        "--",
        "add-port",
        bridge,
        `${tag}b`,
        "--",
        "set",
        "interface",
        `${tag}b`,
        "type=afxdp",
      );
      const column = (name: string, key: string): string => under.ok("ovs-vsctl", "get", "interface", name, key).trim();
      for (const name of [`${tag}a`, `${tag}b`, `${tag}i`, `${tag}t`]) {
        assert.is(column(name, "error"), "[]", name);
        assert.match(column(name, "ofport"), /^\d+$/);
        assert.is(column(name, "mtu"), "1500", name);
        assert.match(column(name, "mac_in_use"), /^"[0-9a-f:]{17}"$/);
      }
      assert.match(column(`${tag}b`, "status"), /xdp-mode=(native|generic)/);
      assert.is(column(`${tag}a`, "admin_state"), "up");
      assert.match(column(`${tag}a`, "status"), /driver_name=veth/);
      assert.match(column(`${tag}i`, "status"), /driver_name=tun/);
      assert.is(ip("link", "show", bridge), 0, "the bridge's own device");
      ip("link", "set", `${tag}b`, "down");
      await until("the link's fall is in the database", 3, () => column(`${tag}a`, "link_state") === "down");
      const resets = column(`${tag}a`, "link_resets");
      assert.ok(Number(resets) >= 1);
      ip("link", "del", `${tag}a`);
      await until("the vanished device is reported", 3, () => column(`${tag}a`, "error").includes("No such device"));
      assert.is(column(`${tag}a`, "ofport"), "-1");
      ip("link", "add", `${tag}a`, "type", "veth", "peer", "name", `${tag}c`);
      await until("the device that came back is used again", 3, () => column(`${tag}a`, "error") === "[]");
      assert.is(column(`${tag}a`, "link_resets"), resets, "what came back has not risen yet");
      ip("link", "set", `${tag}a`, "up");
      ip("link", "set", `${tag}c`, "up");
      await until("its link is up", 3, () => column(`${tag}a`, "link_state") === "up");
      assert.is(column(`${tag}a`, "link_resets"), String(Number(resets) + 1), "falls and rises are counted on");
      ip("link", "del", `${tag}a`);
      under.ok("ovs-vsctl", "del-br", bridge);
      assert.is.not(ip("link", "show", bridge), 0, "the bridge's own device is gone");
      assert.is.not(ip("link", "show", `${tag}t`), 0, "the tap device is gone");
    });
  } finally {
    ip("link", "del", `${tag}a`);
  }
});

test.run();
