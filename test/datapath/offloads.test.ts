/** What senders leave to a device passes between ports on network devices: TCP of both IP versions, and
 *  tagged.  The receiving host judges every checksum. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, portStats } from "../../ts/datapath/index.js";
import { type Host, makeHosts, removeHosts } from "../system/hosts.js";
import { addFlow, makeBridge, output } from "./bridge-setup.js";

const canMakeDevices = process.getuid?.() === 0 && spawnSync("ip", ["-V"]).status === 0;
if (!canMakeDevices) console.log("skip: offloads of network devices need root and iproute2");

const mebibytes = 8;
const server = `
const net = require("node:net"), { createHash } = require("node:crypto");
const hash = createHash("sha1");
net.createServer((socket) => socket.on("data", (data) => hash.update(data)).on("end", () => { console.log(hash.digest("hex")); process.exit(); }))
  .listen(5000, "::", () => console.log("ready"));
setTimeout(() => process.exit(1), 30000);`;
const client = `
const socket = require("node:net").connect(5000, process.argv[1]), { createHash } = require("node:crypto");
const hash = createHash("sha1");
let left = ${mebibytes};
const more = () => {
  while (left > 0) {
    const data = Buffer.alloc(1 << 20, "piece " + left-- + " of what does not repeat with a power of two");
    hash.update(data);
    if (!socket.write(data)) return socket.once("drain", more);
  }
  socket.end();
};
socket.on("connect", more).on("close", () => { console.log(hash.digest("hex")); process.exit(); });
socket.on("error", (error) => { console.log(error.message); process.exit(1); });
setTimeout(() => process.exit(1), 30000);`;

/** Starts a script in a host; what it prints comes by `lines` and all of it when it ends. */
function start(host: Host, script: string, ...args: string[]): { child: ChildProcess; said: Promise<string> } {
  const command = ["netns", "exec", host.name, process.execPath, "-e", script, ...args];
  const child = spawn("ip", command, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout?.on("data", (data: Buffer) => {
    text += data.toString();
  });
  return { child, said: new Promise((resolve) => child.on("close", () => resolve(text))) };
}

/** Sends from one host to an address of another; both must have seen the same bytes. */
async function transfer(from: Host, to: Host, address: string): Promise<void> {
  const listening = start(to, server);
  await new Promise((resolve) => listening.child.stdout?.once("data", resolve));
  const sending = start(from, client, address);
  const sent = (await sending.said).trim();
  assert.is((await listening.said).replace("ready", "").trim(), sent);
  assert.is(sent.length, 40, sent);
}

function inHost(host: Host, ...args: string[]): void {
  assert.is(host.exec("ip", ...args).status, 0, `ip ${args.join(" ")}`);
}

const normal = 0xfffffffa;

async function withPorts(
  ports: readonly [first: number, second: number],
  body: (hosts: readonly [Host, Host], datapath: Datapath) => Promise<void>,
): Promise<void> {
  const hosts = makeHosts("slf", 2);
  const datapath = new Datapath({ workers: 1 });
  try {
    makeBridge(
      datapath,
      hosts.map((host, index) => [ports[index]!, host.port] as const),
    );
    const batch = new BatchBuilder();
    const all = new BigUint64Array(64).fill(0xffffffffffffffffn);
    for (const port of [1, 2]) {
      batch.bundleSet(
        { bridge: 1, bundle: port, vlanMode: 1, tag: 0, qinqEthtype: 0, bundleFlags: 0, trunks: all, cvlans: all },
        [port],
      );
    }
    addFlow(batch, 1, output(normal)).commit(datapath);
    await body([hosts[0]!, hosts[1]!], datapath);
  } finally {
    datapath.dispose();
    removeHosts(hosts);
  }
}

for (const [name, ports] of [
  ["packet and packet", [portClass.packet, portClass.packet]],
  ["packet and afxdp", [portClass.packet, portClass.afxdp]],
  ["afxdp and afxdp", [portClass.afxdp, portClass.afxdp]],
] as const) {
  (canMakeDevices ? test : test.skip)(`IPv6 and tagged frames pass ${name} ports`, async () => {
    await withPorts(ports, async (hosts, datapath) => {
      const addresses = hosts.map((host, index) => {
        const number = index + 1;
        inHost(host, "addr", "add", `fd77::${number}/64`, "dev", "eth0", "nodad");
        const over = [["10.78.0", "tagged", "link", "eth0", "type", "vlan", "id", "5"]] as const;
        const made = over.filter(([network, device, ...how]) => {
          if (host.exec("ip", "link", "add", device, ...how).status !== 0) return false;
          inHost(host, "addr", "add", `${network}.${number}/24`, "dev", device);
          inHost(host, "link", "set", device, "up");
          return true;
        });
        const missing = over.filter((each) => !made.includes(each)).map(([, device]) => device);
        if (missing.length !== 0) console.log(`skip: the kernel has no devices for ${missing.join(" and ")} frames`);
        return [`fd77::${number}`, ...made.map(([network]) => `${network}.${number}`)];
      });
      for (const [from, to] of [
        [0, 1],
        [1, 0],
      ] as const) {
        for (const address of addresses[to]!) await transfer(hosts[from], hosts[to], address);
      }
      for (const port of [1, 2]) assert.is(portStats(datapath, port)?.txErrors, 0n);
    });
  });
}

test.run();
