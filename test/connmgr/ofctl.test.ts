import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { systemClock } from "../../ts/clock/index.js";
import { Connmgr } from "../../ts/connmgr/index.js";
import { portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath } from "../../ts/datapath/index.js";
import { silentLog } from "../../ts/log/index.js";
import { localPort10, type Ofproto, Ofprotos, trunkBundle } from "../../ts/ofproto/index.js";
import { device, hello, Peer } from "./bench-switch.js";

/** The real ovs-ofctl against a switch on the native datapath with memory ports. */
const present = spawnSync("ovs-ofctl", ["--version"]).status === 0;
if (!present) console.log("skipped: ovs-ofctl is not installed");

interface Live {
  readonly datapath: Datapath;
  readonly ofproto: Ofproto;
  readonly connmgr: Connmgr;
  readonly socket: string;
  readonly directory: string;
  /** Runs ovs-ofctl; standard output and error together, durations and xids taken out. */
  ofctl(...args: string[]): Promise<string>;
  close(): void;
}

function live(): Live {
  const directory = mkdtempSync(join(tmpdir(), "sluice-ofctl-"));
  const clock = systemClock();
  const datapath = new Datapath({ workers: 1 });
  const all = new Ofprotos({ datapath, clock, log: silentLog });
  datapath.on("packetIn", (event) => all.packetIn(event));
  datapath.on("flowsChanged", () => all.drainChanges());
  const ofproto = all.create({ name: "br0", datapathId: 0x0000aa55aa550000n });
  for (const [index, name] of ["p1", "p2", "br0"].entries()) {
    const dpPort = name === "br0" ? 100 : index + 1;
    new BatchBuilder().portOpen(dpPort, portClass.memory, name).commit(datapath);
    const requestedNumber = name === "br0" ? localPort10 : undefined;
    const port = ofproto.addPort({
      name,
      dpPort,
      requestedNumber,
      shownAs: "dummy",
      ...device(name === "br0" ? 0 : index + 1),
    });
    ofproto.setBundle(index + 1, trunkBundle(name, [port.number]));
  }
  const connmgr = new Connmgr({ ofproto, runDirectory: directory, clock, log: silentLog });
  connmgr.openManagement();
  const socket = join(directory, "br0.mgmt");
  return {
    datapath,
    ofproto,
    connmgr,
    socket,
    directory,
    ofctl: (...args) => run(directory, args),
    close: () => {
      connmgr.close();
      all.remove(ofproto);
      datapath.dispose();
      clock.dispose();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function run(directory: string, args: readonly string[], seconds = 120): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("timeout", [String(seconds), "ovs-ofctl", ...args], {
      env: { ...process.env, OVS_RUNDIR: directory, OVS_LOGDIR: directory },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const keep = (data: Buffer): void => {
      output += data.toString();
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", reject);
    child.on("close", () =>
      resolve(
        output
          .replace(/duration=[\d.]+s/g, "duration=Ds")
          .replace(/xid=0x[0-9a-f]+/g, "xid=X")
          .replace(/idle_age=\d+/g, "idle_age=A"),
      ),
    );
  });
}

function onLive(name: string, body: (bench: Live) => Promise<void>): void {
  if (!present) {
    test.skip(name);
    return;
  }
  test(name, async () => {
    const bench = live();
    try {
      await body(bench);
    } finally {
      bench.close();
    }
  });
}

const releases = ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] as const;
const showPorts = (state: string): string => `
 1(p1): addr:aa:55:aa:55:00:01
     config:     0
     state:      ${state}
     speed: 0 Mbps now, 0 Mbps max
 2(p2): addr:aa:55:aa:55:00:02
     config:     0
     state:      ${state}
     speed: 0 Mbps now, 0 Mbps max
 LOCAL(br0): addr:aa:55:aa:55:00:00
     config:     0
     state:      ${state}
     speed: 0 Mbps now, 0 Mbps max
`;

onLive("show prints what Open vSwitch's switch prints", async ({ ofctl, socket }) => {
  assert.is(
    await ofctl("show", socket),
    `OFPT_FEATURES_REPLY (xid=X): dpid:0000aa55aa550000
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP
actions: output enqueue set_vlan_vid set_vlan_pcp strip_vlan mod_dl_src mod_dl_dst mod_nw_src mod_nw_dst mod_nw_tos mod_tp_src mod_tp_dst${showPorts("0")}OFPT_GET_CONFIG_REPLY (xid=X): frags=normal miss_send_len=0
`,
  );
  for (const [release, tag] of [
    ["OpenFlow13", "OF1.3"],
    ["OpenFlow14", "OF1.4"],
    ["OpenFlow15", "OF1.5"],
  ] as const) {
    const bundles = release === "OpenFlow13" ? "" : " BUNDLES";
    assert.is(
      await ofctl("-O", release, "show", socket),
      `OFPT_FEATURES_REPLY (${tag}) (xid=X): dpid:0000aa55aa550000
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS${bundles}
OFPST_PORT_DESC reply (${tag}) (xid=X):${showPorts("LIVE")}OFPT_GET_CONFIG_REPLY (${tag}) (xid=X): frags=normal miss_send_len=0
`,
    );
  }
});

const flows = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line.includes("cookie="))
    .map((line) => line.replace(/^.*n_bytes=\d+, (idle_age=A, )?/, "").trim())
    .sort();

onLive(
  "flows are added, changed, dumped, counted and deleted in every version",
  async ({ ofctl, socket, directory }) => {
    const file = join(directory, "flows");
    writeFileSync(file, "table=1,priority=9,arp,actions=flood\n# a remark\ntable=2,udp,tp_dst=53,actions=drop\n");
    for (const release of releases) {
      const call = (...args: string[]): Promise<string> => ofctl("-O", release, ...args);
      assert.is(await call("add-flow", socket, "cookie=0x7,priority=5,ip,nw_dst=10.0.0.0/8,actions=output:2"), "");
      assert.is(await call("add-flows", socket, file), "");
      assert.equal(flows(await call("dump-flows", socket)), [
        "priority=5,ip,nw_dst=10.0.0.0/8 actions=output:2",
        "priority=9,arp actions=FLOOD",
        "udp,tp_dst=53 actions=drop",
      ]);
      assert.match(await call("dump-aggregate", socket), "flow_count=3");
      assert.equal(flows(await call("dump-flows", socket, "table=2")), ["udp,tp_dst=53 actions=drop"]);
      assert.equal(flows(await call("dump-flows", socket, "out_port=2")), [
        "priority=5,ip,nw_dst=10.0.0.0/8 actions=output:2",
      ]);
      await call("mod-flows", socket, "ip,nw_dst=10.0.0.0/8,actions=output:1");
      assert.equal(flows(await call("dump-flows", socket, "out_port=1")).length, 1);
      await call("--strict", "del-flows", socket, "table=1,priority=9,arp");
      if (release !== "OpenFlow10") {
        await call("del-flows", socket, "cookie=0x7/-1");
        assert.equal(flows(await call("dump-flows", socket)), ["udp,tp_dst=53 actions=drop"]);
      }
      assert.match(await call("dump-tables", socket), /table 2:\s+active=1/);
      await call("del-flows", socket);
      assert.equal(flows(await call("dump-flows", socket)), []);
    }
  },
);

onLive("ports: descriptions, counters, changes", async ({ ofctl, socket }) => {
  for (const release of releases) {
    const call = (...args: string[]): Promise<string> => ofctl("-O", release, ...args);
    assert.match(await call("dump-ports-desc", socket), "2(p2): addr:aa:55:aa:55:00:02");
    assert.match(
      await call("dump-ports", socket),
      /3 ports\n {2}port {2}1: rx pkts=0, bytes=0, drop=0, errs=0, frame=0, over=0, crc=0\n/,
    );
    assert.match(await call("dump-ports", socket, "2"), "1 ports");
    await call("mod-port", socket, "p1", "no-forward");
    assert.match(await call("dump-ports-desc", socket), "NO_FWD");
    await call("mod-port", socket, "p1", "forward");
    await call("mod-port", socket, "p1", "down");
    assert.match(await call("dump-ports-desc", socket), "PORT_DOWN");
    await call("mod-port", socket, "p1", "up");
    assert.not.match(await call("dump-ports-desc", socket), "PORT_DOWN");
  }
});

onLive("descriptions, fragments, probe and ping", async ({ ofctl, socket }) => {
  assert.match(
    await ofctl("dump-desc", socket),
    "Manufacturer: Nicira, Inc.\nHardware: Open vSwitch\nSoftware: 3.1.0\n",
  );
  assert.is(await ofctl("get-frags", socket), "normal\n");
  assert.is(await ofctl("set-frags", socket, "drop"), "");
  assert.is(await ofctl("get-frags", socket), "drop\n");
  assert.is(await ofctl("probe", socket), "");
  assert.match(await ofctl("ping", socket, "32"), "32 bytes from");
  assert.match(await ofctl("-O", "OpenFlow13", "dump-table-features", socket), "tables 1...252: ditto");
  assert.match(await ofctl("-O", "OpenFlow15", "dump-table-desc", socket), "eviction=off");
  assert.match(await ofctl("queue-stats", socket), "0 queues");
  assert.match(await ofctl("-O", "OpenFlow13", "dump-groups", socket), "OFPST_GROUP_DESC reply");
});

onLive("errors name what was wrong", async ({ ofctl, socket }) => {
  assert.match(await ofctl("add-flow", socket, "table=254,actions=drop"), "OFPBRC_EPERM");
  assert.match(await ofctl("-O", "OpenFlow13", "add-flow", socket, "actions=group:5"), "OFPT_ERROR");
  assert.match(await ofctl("-O", "OpenFlow13", "mod-group", socket, "group_id=1,type=all"), "OFPGMFC_UNKNOWN_GROUP");
  assert.match(await ofctl("-O", "OpenFlow13", "add-flow", socket, "check_overlap,priority=5,ip,actions=drop"), /^$/);
  assert.match(
    await ofctl("-O", "OpenFlow13", "add-flow", socket, "check_overlap,priority=5,tcp,actions=drop"),
    "OFPFMFC_OVERLAP",
  );
});

const packet = "00112233445566778899aabb08004500001400000000401100000a0000010a000002";

onLive(
  "packet-out leaves on the port; a packet-in reaches who asked",
  async ({ ofctl, socket, datapath, ofproto, directory }) => {
    const frames: number[] = [];
    datapath.on("portFrame", (frame) => frames.push(frame.dpPort));
    for (const release of releases) {
      await ofctl("-O", release, "packet-out", socket, `in_port=1 packet=${packet} actions=output:2`);
    }
    for (let tries = 0; tries < 100 && frames.length < 4; tries++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(frames, [2, 2, 2, 2]);
    await ofctl("add-flow", socket, "actions=controller");
    const monitor = run(directory, ["-O", "OpenFlow13", "monitor", socket, "65534"], 2);
    await new Promise((resolve) => setTimeout(resolve, 500));
    new BatchBuilder().portInject(1, Buffer.from(packet.padEnd(120, "0"), "hex")).commit(datapath);
    ofproto.updatePort("p2", { carrier: false });
    const text = await monitor;
    assert.match(text, /NXT_PACKET_IN2 .*cookie=0x0 total_len=60 in_port=1 \(via action\) data_len=60 \(unbuffered\)/);
    assert.match(text, /OFPT_PORT_STATUS .*MOD: 2\(p2\)/);
  },
);

onLive("snoop shows a controller's conversation", async ({ connmgr, directory }) => {
  mkdirSync(join(directory, "sub"));
  // Only controllers that the switch connects to are snooped, as in Open vSwitch.
  const barrier = Uint8Array.from([4, 20, 0, 8, 0, 0, 0, 9]);
  const timers: NodeJS.Timeout[] = [];
  const controller = createServer((socket) => {
    socket.on("data", () => undefined).on("error", () => undefined);
    socket.write(hello(4));
    timers.push(setInterval(() => socket.write(barrier), 100));
  });
  await new Promise<void>((resolve) => controller.listen(join(directory, "ctl"), resolve));
  try {
    connmgr.setControllers([{ target: `unix:${directory}/ctl`, type: "primary" }]);
    const text = await run(directory, ["snoop", join(directory, "br0.snoop")], 5);
    assert.match(text, /OFPT_BARRIER_REQUEST \(OF1.3\).*\n.*OFPT_BARRIER_REPLY \(OF1.3\)/);
  } finally {
    for (const timer of timers) clearInterval(timer);
    connmgr.setControllers([]);
    controller.close();
  }
});

onLive("100,000 flows are added and dumped in flat memory", async ({ ofctl, socket, directory }) => {
  const file = join(directory, "flows");
  const count = 100_000;
  const lines = Array.from(
    { length: count },
    (_, index) =>
      `priority=${100 + (index % 7)},tcp,nw_src=10.${index >> 16}.${(index >> 8) & 255}.${index & 255},tp_dst=${(index % 60000) + 1},actions=output:1`,
  );
  writeFileSync(file, `${lines.join("\n")}\n`);
  await ofctl("add-flows", socket, file);
  assert.match(await ofctl("dump-aggregate", socket), `flow_count=${count}`);
  assert.is(flows(await ofctl("dump-flows", socket)).length, count);
  const before = process.memoryUsage();
  for (let round = 0; round < 3; round++) {
    assert.match(
      await ofctl("-O", "OpenFlow13", "dump-flows", "--no-stats", socket, "nw_src=10.0.0.0/24,tcp"),
      "10.0.0.1",
    );
    await ofctl("-O", "OpenFlow15", "dump-flows", socket).then((text) => text.length);
  }
  const grown = process.memoryUsage().arrayBuffers - before.arrayBuffers;
  assert.ok(grown < 32 * 1024 * 1024, `buffers grew by ${grown} bytes`);
});

if (present) {
  test("bad bytes end at most their own connection, and memory stays flat", async () => {
    const bench = live();
    try {
      const good = await Peer.open(bench.socket, 4);
      let seed = 12345;
      const random = (limit: number): number => {
        seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
        return (seed >>> 8) % limit;
      };
      const flood = async (messages: number): Promise<void> => {
        const peer = await Peer.open(bench.socket, 4);
        const parts: Uint8Array[] = [];
        for (let index = 0; index < messages; index++) {
          const bytes = new Uint8Array(8 + random(80));
          for (let at = 8; at < bytes.length; at++) bytes[at] = random(256);
          bytes[0] = 4;
          bytes[1] = random(40);
          bytes[3] = bytes.length;
          // Flow_mods of random bytes could empty the tables; group and port changes are refused anyway.
          if (bytes[1] === 0 || bytes[1] === 20) bytes[1] = 99;
          parts.push(bytes);
        }
        peer.socket.on("data", () => undefined);
        peer.raw(Buffer.concat(parts));
        await peer.barrier();
        peer.close();
      };
      await flood(50_000);
      const before = process.memoryUsage.rss();
      for (let round = 0; round < 10; round++) await flood(50_000);
      const grown = process.memoryUsage.rss() - before;
      assert.ok(grown < 96 * 1024 * 1024, `grew by ${grown} bytes`);
      for (let round = 0; round < 200; round++) {
        const peer = await Peer.open(bench.socket, 4);
        peer.raw(Uint8Array.from({ length: 300 }, () => random(256)));
        if (round % 2 === 0) peer.raw(hello(4));
        peer.close();
      }
      // On a slow machine the switch probes a connection that was quiet for so long.
      const others = (await good.barrier()).filter((message) => message.type !== "echo_request");
      assert.equal(others, []);
      good.close();
    } finally {
      bench.close();
    }
  });
}

test.run();
