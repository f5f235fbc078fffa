/** Ports that DPDK drives, over its virtual devices: what the database says, and frames through tap and vhost-user. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, root, type Switch, startSluice, until } from "./switch.js";

const lacking =
  missing({ root: true, tools: ["ovs-vsctl", "ip", "ping"] }) ??
  (existsSync(join(root, "build", "Release", "sluice_dpdk.so")) ? undefined : "Sluice was built without DPDK") ??
  (existsSync("/dev/net/tun") ? undefined : "there is no /dev/net/tun");
if (lacking !== undefined) console.log(`skip: DPDK: ${lacking}`);
const maybe = lacking === undefined ? test : test.skip;

const tag = `sld${process.pid % 10000}`;
const extra = (prefix: string): string => `--no-huge -m 256 --no-pci --no-telemetry --file-prefix=${tag}${prefix}`;
const frame = "ffffffffffff0200000000010800450000140000000040000000c0a80001c0a80002";

function addBridge(under: Switch, bridge: string): void {
  under.ok("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=secure");
}

function startDpdk(under: Switch, prefix: string): void {
  const config = ["other_config:dpdk-init=true", `other_config:dpdk-extra="${extra(prefix)}"`];
  under.ok("ovs-vsctl", "set", "open", ".", ...config);
}

const addPort = (under: Switch, bridge: string, name: string, type: string, ...options: string[]): unknown =>
  under.run("ovs-vsctl", "add-port", bridge, name, "--", "set", "interface", name, `type=${type}`, ...options);

const column = (under: Switch, name: string, column: string): string =>
  under.ok("ovs-vsctl", "get", "interface", name, column).trim();

/** Packets that came in by a port. */
const received = (under: Switch, bridge: string, port: string): number =>
  Number(/rx pkts=(\d+)/.exec(under.ok("ovs-ofctl", "dump-ports", bridge, port))?.[1]);

const threadOf = (pid: number, key: string): string | undefined =>
  new RegExp(`^${key}:\\s*(\\S+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

maybe("DPDK starts when the database asks, and leaves the process as it was", async () => {
  const bridge = `${tag}a`;
  const under = await startSluice();
  try {
    addBridge(under, bridge);
    addPort(under, bridge, "null0", "dpdk", "options:dpdk-devargs=net_null0,no-rx=1");
    const unknown = "could not open network device null0 (Address family not supported by protocol)";
    assert.is(column(under, "null0", "error"), JSON.stringify(unknown));
    assert.is(under.ok("ovs-vsctl", "get", "open", ".", "dpdk_initialized", "dpdk_version"), "false\nnone\n");

    const before = ["Cpus_allowed_list", "SigCgt", "SigIgn"].map((key) => threadOf(under.pid, key));
    startDpdk(under, "a");
    assert.match(
      under.ok("ovs-vsctl", "get", "open", ".", "dpdk_initialized", "dpdk_version"),
      /^true\n"DPDK \d+\.\d+/,
    );
    assert.match(
      under.ok("ovs-vsctl", "get", "open", ".", "iface_types"),
      /\bdpdk, dpdkvhostuser, dpdkvhostuserclient\b/,
    );
    assert.is(column(under, "null0", "error"), "[]");
    assert.is(column(under, "null0", "link_state"), "up");
    assert.equal(
      ["Cpus_allowed_list", "SigCgt", "SigIgn"].map((key) => threadOf(under.pid, key)),
      before,
    );

    const refused: readonly (readonly [name: string, device: string | undefined, error: string])[] = [
      ["foo", "net_foo0", "Error attaching device 'net_foo0' to DPDK"],
      ["twice", "net_null0", "'twice' is trying to use device 'net_null0' which is already in use by 'null0'"],
      ["none", undefined, "'none' is missing 'options:dpdk-devargs'. The old 'dpdk<port_id>' names are not supported"],
    ];
    for (const [name, device, error] of refused) {
      addPort(under, bridge, name, "dpdk", ...(device === undefined ? [] : [`options:dpdk-devargs=${device}`]));
      assert.is(column(under, name, "error"), JSON.stringify(error));
    }
    // A device can be given back and taken again.
    under.ok("ovs-vsctl", "del-port", "null0", "--", "del-port", "twice");
    addPort(under, bridge, "again", "dpdk", "options:dpdk-devargs=net_null0,no-rx=1", "options:n_rxq=2");
    assert.is(column(under, "again", "error"), "[]");
    // What a device is opened with takes effect when it changes.
    assert.is(received(under, bridge, "again"), 0);
    under.ok("ovs-vsctl", "set", "interface", "again", "options:dpdk-devargs=net_null9");
    assert.is(column(under, "again", "error"), "[]");
    await until("frames from the other device", 20, () => received(under, bridge, "again") > 0);
    // What is no number is as if it were not there, as Open vSwitch reads options.
    under.ok("ovs-vsctl", "set", "interface", "again", "options:n_rxq=many");
    assert.is(column(under, "again", "error"), "[]");
    // Other buffers while frames pass; the device stays the same.
    const address = column(under, "again", "mac_in_use");
    for (const mtu of ["9000", "1500"]) {
      under.ok("ovs-vsctl", "set", "interface", "again", `mtu_request=${mtu}`);
      assert.equal([column(under, "again", "mtu"), column(under, "again", "mac_in_use")], [mtu, address]);
      const before = received(under, bridge, "again");
      await until(`frames with an MTU of ${mtu}`, 20, () => received(under, bridge, "again") > before);
    }
  } finally {
    await under.stop();
  }
});

maybe("hosts on DPDK's tap devices reach each other", async () => {
  const bridge = `${tag}b`;
  const under = await startSluice();
  const hosts = [1, 2].map((number) => ({ space: `${tag}h${number}`, device: `${tag}t${number}`, number }));
  const ip = (...words: string[]): void => assert.is(spawnSync("ip", words).status, 0, `ip ${words.join(" ")}`);
  try {
    startDpdk(under, "b");
    addBridge(under, bridge);
    under.ok("ovs-ofctl", "add-flow", bridge, "actions=normal");
    for (const { space, device, number } of hosts) {
      addPort(under, bridge, device, "dpdk", `options:dpdk-devargs=net_tap${number},iface=${device}`);
      assert.is(column(under, device, "error"), "[]");
      ip("netns", "add", space);
      ip("link", "set", device, "netns", space);
      ip("-n", space, "addr", "add", `10.78.0.${number}/24`, "dev", device);
      ip("-n", space, "link", "set", device, "up");
    }
    const ping = ["netns", "exec", hosts[0]!.space, "ping", "-c", "5", "-i", "0.2", "-W", "3", "10.78.0.2"];
    const pinged = spawnSync("ip", ping, { encoding: "utf8" });
    assert.match(pinged.stdout, / 0% packet loss/);
    assert.ok(received(under, bridge, hosts[1]!.device) >= 5);
  } finally {
    await under.stop();
    for (const { space } of hosts) spawnSync("ip", ["netns", "del", space]);
  }
});

maybe("a vhost-user port carries frames to the device of a virtual machine, which comes later and goes", async () => {
  const [host, guest] = [`${tag}c`, `${tag}d`];
  const under = await startSluice();
  let machine: Switch | undefined;
  try {
    const socket = join(under.directory, "vhost.sock");
    startDpdk(under, "c");
    addBridge(under, host);
    addPort(under, host, "vhost", "dpdkvhostuserclient", `options:vhost-server-path=${socket}`);
    assert.is(column(under, "vhost", "error"), "[]");
    assert.is(column(under, "vhost", "link_state"), "down");

    machine = await startSluice();
    const inside = machine;
    startDpdk(inside, "d");
    addBridge(inside, guest);
    const device = `net_virtio_user0,path=${socket},server=1,queues=1,queue_size=256`;
    addPort(inside, guest, "virtio", "dpdk", `options:dpdk-devargs=${device}`);
    assert.is(column(inside, "virtio", "error"), "[]");
    await until("the link", 20, () => column(under, "vhost", "link_state") === "up");

    const [toGuest, toHost] = [received(inside, guest, "virtio"), received(under, host, "vhost")];
    const send = (from: Switch, bridge: string, port: string, count: number): void => {
      for (let time = 0; time < count; time++)
        from.ok("ovs-ofctl", "packet-out", bridge, `in_port=local,packet=${frame},actions=output:${port}`);
    };
    send(under, host, "vhost", 3);
    await until("frames in the guest", 20, () => received(inside, guest, "virtio") >= toGuest + 3);
    send(inside, guest, "virtio", 2);
    await until("frames from the guest", 20, () => received(under, host, "vhost") >= toHost + 2);

    await inside.stop();
    machine = undefined;
    await until("the link's end", 20, () => column(under, "vhost", "link_state") === "down");
    assert.ok(under.alive());
  } finally {
    await machine?.stop();
    await under.stop();
  }
});

maybe("frames pass DPDK's capture and ring devices", async () => {
  const bridge = `${tag}e`;
  const under = await startSluice();
  try {
    const at = (name: string): string => join(under.directory, name);
    startDpdk(under, "e");
    addBridge(under, bridge);
    const devices: readonly (readonly [port: string, devargs: string])[] = [
      ["pcap0", `net_pcap0,rx_pcap=${at("in.pcap")},tx_pcap=${at("out.pcap")}`],
      ["ring0", "net_ring0"],
    ];
    writeCapture(at("in.pcap"), 20, Buffer.from(frame.padEnd(120, "0"), "hex"));
    for (const [index, [port, devargs]] of devices.entries()) {
      addPort(under, bridge, port, "dpdk", `options:dpdk-devargs="${devargs}"`, `ofport_request=${index + 1}`);
      assert.is(column(under, port, "error"), "[]");
    }
    // What the capture holds may come before the bridge knows the port, so that it only counts.
    await until("the frames of the capture", 20, () => received(under, bridge, "pcap0") === 20);
    // Into the ring, whose frames come back by it, and from there into the other capture.
    under.ok("ovs-ofctl", "add-flow", bridge, "in_port=ring0,actions=pcap0");
    for (let time = 0; time < 5; time++) {
      under.ok(
        "ovs-ofctl",
        "packet-out",
        bridge,
        `in_port=local,packet=${frame.padEnd(120, "0")},actions=output:ring0`,
      );
    }
    await until("the frames from the ring", 20, () => received(under, bridge, "ring0") === 5);
    under.ok("ovs-vsctl", "del-port", "pcap0");
    const written = readFileSync(at("out.pcap"));
    assert.is(written.length, 24 + 5 * (16 + 60));
    assert.is(written.subarray(24 + 16, 24 + 16 + 34).toString("hex"), frame);
  } finally {
    await under.stop();
  }
});

/** A capture of one frame, `count` times. */
function writeCapture(path: string, count: number, bytes: Buffer): void {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20);
  const record = Buffer.alloc(16);
  record.writeUInt32LE(bytes.length, 8);
  record.writeUInt32LE(bytes.length, 12);
  writeFileSync(path, Buffer.concat([header, ...new Array<Buffer[]>(count).fill([record, bytes]).flat()]));
}

test.run();
