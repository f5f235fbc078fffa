/** Controllers in numbers, controllers that do not read, and one that is only reached through the bridge it controls. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { connect, createServer, type Server, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeMessage, inPortMatch, ofpp, parseActions } from "../../ts/openflow/index.js";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { missing, type Switch, sleep, startSluice, until } from "./switch.js";

const reason = missing({ tools: ["ovs-vsctl", "ovs-ofctl"] });
if (reason !== undefined) console.log(`skip: controllers live: ${reason}`);
const plain = reason === undefined ? test : test.skip;

const rootReason = missing({ root: true, tools: ["ovs-vsctl", "ip", "ping", "ovs-testcontroller"] });
if (rootReason !== undefined) console.log(`skip: controllers live, in hosts: ${rootReason}`);
const withHosts = rootReason === undefined ? test : test.skip;

const hello = Uint8Array.of(4, 0, 0, 8, 0, 0, 0, 1);

interface Controllers {
  readonly port: number;
  readonly sockets: Set<Socket>;
  close(): void;
}

/** Listens on all of the loopback; `joined` gets every connection after our hello went out. */
async function listenAll(joined: (socket: Socket) => void): Promise<Controllers> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.write(hello);
    joined(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    sockets,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function addDummyBridge(under: Switch, ...targets: string[]): void {
  const bridge = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure"];
  under.ok("ovs-vsctl", "-t", "30", ...bridge, "--", "set-controller", "br0", ...targets);
}

plain("a hundred controllers hear of a port, and leave when they are told to", async () => {
  const count = 100;
  const portStatus = 12;
  const told = new Set<Socket>();
  const controllers = await listenAll((socket) => {
    // Messages of one turn come in one piece here; only the kind of each matters.
    socket.on("data", (chunk: Buffer) => {
      for (let at = 0; at + 8 <= chunk.length; at += Math.max(8, chunk.readUInt16BE(at + 2))) {
        if (chunk[at + 1] === portStatus) told.add(socket);
      }
    });
  });
  const under = await startSluice({ dummy: true });
  try {
    const targets = Array.from({ length: count }, (_, index) => `tcp:127.0.1.${index + 1}:${controllers.port}`);
    addDummyBridge(under, ...targets);
    await until("all have connected", 30, () => controllers.sockets.size === count);
    await until("all are connected as the log says", 30, () => {
      return (
        under
          .log()
          .split("\n")
          .filter((line) => /br0<->tcp:.*: connected$/.test(line)).length === count
      );
    });
    under.ok("ovs-vsctl", "-t", "30", "add-port", "br0", "p1", "--", "set", "interface", "p1", "type=dummy");
    await until("all have heard of the port", 30, () => told.size === count);
    under.ok("ovs-vsctl", "-t", "30", "del-controller", "br0");
    await until("all have been left", 30, () => controllers.sockets.size === 0);
    assert.ok(under.alive());
  } finally {
    await under.stop();
    controllers.close();
  }
});

/** Sends through BRIDGE.mgmt, in OpenFlow 1.3; resolves when the switch has handled it all. */
function send(under: Switch, messages: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(`${under.directory}/br0.mgmt`);
    const barrierReply = 21;
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      for (let at = 0; at + 8 <= chunk.length; at += Math.max(8, chunk.readUInt16BE(at + 2))) {
        if (chunk[at + 1] !== barrierReply) continue;
        socket.destroy();
        resolve();
      }
    });
    socket.write(Buffer.concat([hello, ...messages, encodeMessage(4, 1, { type: "barrier_request" })]));
  });
}

plain("a controller that never reads costs no memory: packet-ins are dropped, requests are not read", async () => {
  let deaf: Socket | undefined;
  const controllers = await listenAll((socket) => {
    deaf = socket;
    socket.pause();
  });
  const under = await startSluice({ dummy: true });
  try {
    addDummyBridge(under, `tcp:127.0.0.1:${controllers.port}`);
    // It is silent for longer than a probe allows on a slow machine.
    under.ok("ovs-vsctl", "set", "controller", "br0", "inactivity_probe=0");
    await until("it has connected", 20, () => /br0<->tcp:.*: connected$/m.test(under.log()));
    const out = encodeMessage(4, 1, {
      type: "packet_out",
      bufferId: 0xffffffff,
      inPort: ofpp.CONTROLLER,
      match: inPortMatch(ofpp.CONTROLLER),
      actions: parseActions("CONTROLLER:65535"),
      packet: new Uint8Array(1400).fill(1),
    });
    const outs = Array.from({ length: 2000 }, () => out);
    await send(under, outs);
    const before = under.residentKiB();
    for (let round = 0; round < 20; round++) await send(under, outs);
    const grownByPackets = under.residentKiB() - before;
    assert.ok(grownByPackets < 60_000, `${grownByPackets} KiB more for 56 MB of packet-ins`);
    assert.match(under.log(), "dropping packet-in due to queue overflow");
    // Requests whose replies are not read: echoes of 60 kB.
    const echo = Buffer.alloc(60_000);
    echo.set([4, 2, 60_000 >> 8, 60_000 & 0xff, 0, 0, 0, 7]);
    for (let index = 0; index < 2000; index++) deaf?.write(echo);
    await sleep(3000);
    const grown = under.residentKiB() - before;
    assert.ok(grown < 100_000, `${grown} KiB more after 120 MB of echo requests`);
    assert.ok((deaf?.writableLength ?? 0) > 50_000_000, "the switch has stopped reading");
    under.ok("ovs-ofctl", "dump-flows", "br0");
  } finally {
    await under.stop();
    controllers.close();
  }
});

/** ovs-testcontroller in a host, or beside the switch. */
function startController(host: Host | undefined, listen: string): ChildProcess {
  const command = ["ovs-testcontroller", "-vconsole:off", "--unixctl=none", listen];
  if (host === undefined) return spawn(command[0] ?? "", command.slice(1), { stdio: "ignore" });
  return spawn("ip", ["netns", "exec", host.name, ...command], { stdio: "ignore" });
}

const connectedTo = (under: Switch, bridge: string): boolean =>
  under.ok("ovs-vsctl", "get", "controller", bridge, "is_connected").trim() === "true";

withHosts("ovs-testcontroller teaches a switch with an empty table", async () => {
  const hosts = makeHosts("slt", 2);
  const under = await startSluice();
  const bridge = `slt${process.pid % 10000}`;
  const { port, close } = await listenAll(() => undefined);
  close();
  const controller = startController(undefined, `ptcp:${port}:127.0.0.1`);
  try {
    const ports = hosts.flatMap((host) => ["--", "add-port", bridge, host.port]);
    under.ok("ovs-vsctl", "add-br", bridge, "--", "set-fail-mode", bridge, "secure", ...ports);
    under.ok("ovs-vsctl", "set-controller", bridge, `tcp:127.0.0.1:${port}`);
    await until("the controller is connected", 30, () => connectedTo(under, bridge));
    const [first, second] = hosts as [Host, Host];
    assert.match(first.exec("ping", "-c", "3", "-W", "2", second.address).stdout, /[123] received/);
    assert.match(under.ok("ovs-ofctl", "dump-flows", bridge), "idle_timeout=60");
  } finally {
    controller.kill();
    await under.stop();
    removeHosts(hosts);
  }
});

withHosts("a controller behind the bridge is reached through an empty flow table, unless in-band is off", async () => {
  const hosts = makeHosts("sli", 1);
  const host = hosts[0] as Host;
  const under = await startSluice();
  const bridge = `sli${process.pid % 10000}`;
  const address = "10.77.0.250";
  const controller = startController(host, "ptcp:6653");
  try {
    const add = ["add-br", bridge, "--", "set-fail-mode", bridge, "secure", "--", "add-port", bridge, host.port];
    under.ok("ovs-vsctl", ...add, "--", "set", "bridge", bridge, "other_config:disable-in-band=true");
    under.ok("ovs-vsctl", "set-controller", bridge, `tcp:${host.address}:6653`);
    // The row gives the local port its address, which brings it up, too.
    under.ok("ovs-vsctl", "set", "controller", bridge, `local_ip=${address}`, "local_netmask=255.255.255.0");
    await until("the local port has its address", 10, () =>
      spawnSync("ip", ["addr", "show", bridge], { encoding: "utf8" }).stdout.includes(`${address}/24`),
    );
    await sleep(4000);
    assert.not.ok(connectedTo(under, bridge));
    under.ok("ovs-vsctl", "remove", "bridge", bridge, "other_config", "disable-in-band");
    await until("the controller is connected", 40, () => connectedTo(under, bridge));
    const flows = under.ok("ovs-appctl", "bridge/dump-flows", bridge);
    for (let priority = 180000; priority <= 180008; priority++) assert.match(flows, `priority=${priority},`);
    assert.match(under.log(), `configured IP address ${address}, netmask 255.255.255.0`);
  } finally {
    controller.kill();
    await under.stop();
    removeHosts(hosts);
  }
});

test.run();
