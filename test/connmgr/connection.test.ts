import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPortMatch, type Message, type Version } from "../../ts/openflow/index.js";
import { type BenchSwitch, benchSwitch, device, flowAdd, hello, Peer } from "./bench-switch.js";

/** Runs a test on a fresh switch and removes it, whatever happens. */
function onSwitch(name: string, run: (bench: BenchSwitch) => Promise<void>): void {
  test(name, async () => {
    const bench = benchSwitch();
    try {
      await run(bench);
    } finally {
      bench.close();
    }
  });
}

const versions: readonly Version[] = [1, 4, 5, 6];
const types = (messages: readonly Message[]): string[] => messages.map((message) => message.type);

onSwitch("every version gets features, and ports in its own way", async ({ management }) => {
  for (const version of versions) {
    const peer = await Peer.open(management, version);
    peer.send({ type: "features_request" });
    const features = await peer.next();
    assert.is(features?.type, "features_reply");
    if (features?.type !== "features_reply") continue;
    assert.is(features.datapathId, 0x0000aa55aa550000n);
    assert.is(features.nTables, 254);
    assert.is(features.nBuffers, 0);
    assert.is(features.ports.length, version === 1 ? 3 : 0);
    if (version > 1) {
      peer.send({ type: "port_desc_request", port: 0xffffffff });
      const ports = await peer.next();
      assert.equal(ports?.type === "port_desc_reply" ? ports.ports.map((port) => port.name) : [], ["p1", "p2", "br0"]);
    }
    peer.close();
  }
});

onSwitch(
  "replies keep the order of requests, errors of a batch of flow_mods included",
  async ({ management, datapath }) => {
    const peer = await Peer.open(management, 4);
    const before = datapath.submits;
    const xids = [
      peer.send({ type: "echo_request", data: Uint8Array.of(1) }),
      peer.send(flowAdd(1)),
      peer.send(flowAdd(2, { tableId: 254 })),
      peer.send(flowAdd(3, { bufferId: 7 })),
      peer.send(flowAdd(4)),
      peer.send({ type: "echo_request", data: Uint8Array.of(2) }),
    ];
    const seen = await peer.barrier();
    assert.equal(types(seen), ["echo_reply", "error", "error", "echo_reply"]);
    assert.equal(
      seen.map((message) => message.xid),
      [xids[0], xids[2], xids[3], xids[5]],
    );
    const errors = seen.filter((message) => message.type === "error");
    assert.equal(
      errors.map((message) => message.error),
      ["OFPBRC_EPERM", "OFPBRC_BUFFER_UNKNOWN"],
    );
    assert.is(errors[0]?.data.length, 56);
    assert.is(datapath.submits - before, 1);
    assert.equal(
      [...(datapath.rules.get(1)?.values() ?? [])].filter((rule) => rule.table === 0).map((rule) => rule.priority),
      [0, 1, 4],
    );
    peer.close();
  },
);

onSwitch("a failed hello says what both speak, then the connection ends", async ({ management, connmgr }) => {
  connmgr.setVersions((1 << 1) | (1 << 4));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const peer = new Peer(connect({ path: management }), 6);
  peer.raw(hello(6, 1 << 6));
  assert.is((await peer.next())?.type, "hello");
  const error = await peer.next();
  assert.is(error?.type === "error" ? error.error : "", "OFPHFC_INCOMPATIBLE");
  assert.is(
    error?.type === "error" ? new TextDecoder().decode(error.data) : "",
    "We support versions 0x01, 0x04, you support version 0x06, no common versions.",
  );
  assert.is(await peer.next(), undefined);
});

onSwitch("a message of another version is refused in its own, echo apart", async ({ management }) => {
  const peer = await Peer.open(management, 4);
  peer.raw(Uint8Array.of(1, 5, 0, 8, 0, 0, 0, 9));
  const error = await peer.next();
  assert.is(error?.version, 1);
  assert.is(error?.xid, 9);
  assert.is(error?.type === "error" ? error.error : "", "OFPBRC_BAD_VERSION");
  peer.raw(Uint8Array.of(1, 2, 0, 9, 0, 0, 0, 10, 65));
  const echo = await peer.next();
  assert.is(echo?.type, "echo_reply");
  peer.close();
});

onSwitch("a message shorter than a header ends the connection, and only that one", async ({ management }) => {
  const other = await Peer.open(management, 4);
  const peer = await Peer.open(management, 4);
  peer.raw(Uint8Array.of(4, 2, 0, 4, 0, 0, 0, 5));
  assert.is(await peer.next(), undefined);
  assert.equal(await other.barrier(), []);
  other.close();
});

onSwitch("roles: stale claims are refused, and a new primary demotes the old one", async ({ management }) => {
  const first = await Peer.open(management, 4);
  const second = await Peer.open(management, 4);
  const ask = async (peer: Peer, role: number, generationId: bigint): Promise<Message | undefined> => {
    peer.send({ type: "role_request", standard: true, role, generationId });
    return await peer.next();
  };
  const granted = await ask(first, 2, 5n);
  assert.equal(granted?.type === "role_reply" ? [granted.role, granted.generationId] : [], [2, 5n]);
  const stale = await ask(second, 3, 4n);
  assert.is(stale?.type === "error" ? stale.error : "", "OFPRRFC_STALE");
  await ask(second, 2, 6n);
  const status = await first.next();
  assert.equal(status?.type === "role_status" ? [status.role, status.reason] : [], [3, 0]);
  first.send(flowAdd(1));
  const refused = await first.barrier();
  assert.is(refused[0]?.type === "error" ? refused[0].error : "", "OFPBRC_IS_SECONDARY");
  const query = await ask(first, 0, 0n);
  assert.equal(query?.type === "role_reply" ? [query.role, query.generationId] : [], [3, 6n]);
  first.close();
  second.close();
});

onSwitch("a service connection hears of ports only after it set a length", async ({ management, ofproto }) => {
  const peer = await Peer.open(management, 4);
  await peer.barrier();
  ofproto.updatePort("p1", { carrier: false });
  assert.equal(await peer.barrier(), []);
  peer.send({ type: "set_config", fragMode: 0, invalidTtlToController: undefined, missSendLen: 128 });
  await peer.barrier();
  ofproto.updatePort("p1", { carrier: true });
  ofproto.addPort({ name: "p3", dpPort: 3, shownAs: "dummy", ...device(3) });
  ofproto.updatePort("p3", { up: false, carrier: false });
  ofproto.removePort("p3");
  const seen = await peer.barrier();
  assert.equal(
    seen.map((message) =>
      message.type === "port_status"
        ? [message.reason, message.port.name, message.port.config, message.port.state]
        : [],
    ),
    [
      [2, "p1", 0, 4],
      [0, "p3", 0, 0],
      [2, "p3", 0, 4],
      [2, "p3", 0, 0],
      [2, "p3", 1, 1],
      [1, "p3", 1, 1],
    ],
  );
  peer.close();
});

onSwitch("OpenFlow 1.0 hears nothing of a change that it cannot see", async ({ management, ofproto }) => {
  const peer = await Peer.open(management, 1);
  peer.send({ type: "set_config", fragMode: 0, invalidTtlToController: undefined, missSendLen: 128 });
  await peer.barrier();
  ofproto.addPort({ name: "p3", dpPort: 3, shownAs: "dummy", ...device(3) });
  assert.equal(
    (await peer.barrier()).map((message) => (message.type === "port_status" ? message.reason : -1)),
    [0],
  );
  peer.close();
});

onSwitch(
  "a port_mod is not told to who asked before OpenFlow 1.5, but to all others",
  async ({ management, ofproto }) => {
    const asking = await Peer.open(management, 4);
    const modern = await Peer.open(management, 6);
    for (const peer of [asking, modern]) {
      peer.send({ type: "set_config", fragMode: 0, invalidTtlToController: undefined, missSendLen: 128 });
      await peer.barrier();
    }
    const hwAddr = ofproto.findPort("p1")!.device.hwAddr;
    const mod = { type: "port_mod", port: 1, hwAddr, config: 64, mask: 64, advertise: 0 } as const;
    asking.send(mod);
    assert.equal(await asking.barrier(), []);
    assert.equal(types(await modern.barrier()), ["port_status"]);
    modern.send({ ...mod, config: 0 });
    assert.equal(types(await modern.barrier()), ["port_status"]);
    modern.send({ ...mod, hwAddr: new Uint8Array(6) });
    const refused = await modern.barrier();
    assert.is(refused[0]?.type === "error" ? refused[0].error : "", "OFPPMFC_BAD_HW_ADDR");
    asking.close();
    modern.close();
  },
);

onSwitch("packet-ins go to their controller id, with the reason of the version", async ({ management, ofproto }) => {
  const peers: Peer[] = [];
  for (const version of versions) {
    const peer = await Peer.open(management, version);
    peer.send({ type: "set_config", fragMode: 0, invalidTtlToController: undefined, missSendLen: 128 });
    await peer.barrier();
    peers.push(peer);
  }
  const event = {
    inPort: 1,
    table: 3,
    controllerId: 0,
    maxLen: 65535,
    cookie: 9n,
    totalLen: 60,
    match: inPortMatch(1),
    userdata: new Uint8Array(0),
    packet: new Uint8Array(60),
  };
  for (const reason of [1, 5, 6, 7]) ofproto.packetIn({ ...event, reason });
  ofproto.packetIn({ ...event, reason: 1, controllerId: 8 });
  const reasons = await Promise.all(
    peers.map(async (peer) =>
      (await peer.barrier()).map((message) => (message.type === "packet_in" ? message.reason : -1)),
    ),
  );
  assert.equal(reasons, [
    [1, 1, 1, 0],
    [1, 1, 0],
    [1, 5, 0],
    [1, 5, 0],
  ]);
  assert.ok(ofproto.settings.packetInOnMiss);
  peers[0]?.close();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.not.ok(ofproto.settings.packetInOnMiss);
  for (const peer of peers) peer.close();
});

onSwitch("flows that ask for it are reported when deleted, before the barrier's reply", async ({ management }) => {
  const peer = await Peer.open(management, 4);
  peer.send({ type: "set_config", fragMode: 0, invalidTtlToController: undefined, missSendLen: 128 });
  peer.send(flowAdd(7, { flags: 1 }));
  peer.send(flowAdd(7, { command: 4 }));
  const seen = await peer.barrier();
  assert.equal(
    seen.map((message) => (message.type === "flow_removed" ? [message.priority, message.reason] : [])),
    [[7, 2]],
  );
  peer.close();
});

onSwitch("a peer that does not read gets no more replies than fit, and loses nothing", async ({ management }) => {
  const peer = await Peer.open(management, 4);
  peer.socket.pause();
  const count = 20_000;
  for (let index = 0; index < count; index++) peer.send({ type: "echo_request", data: new Uint8Array(500) });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(peer.socket.writableLength > 0, "the switch has stopped reading");
  peer.socket.resume();
  assert.is((await peer.barrier()).length, count);
  peer.close();
});

onSwitch(
  "controllers: connected to, probed for status, reconnected; flows flushed when the first comes",
  async (bench) => {
    const { connmgr, directory, datapath } = bench;
    const path = join(directory, "controller");
    const sockets: Peer[] = [];
    const server = createServer((socket) => {
      const peer = new Peer(socket, 4);
      peer.raw(hello(4));
      sockets.push(peer);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const visible = (): number =>
      [...(datapath.rules.get(1)?.values() ?? [])].filter((rule) => rule.table === 0).length;
    assert.is(visible(), 1, "standalone: the NORMAL flow");
    connmgr.setControllers([{ target: `unix:${path}` }]);
    assert.is(visible(), 0);
    const until = async (condition: () => boolean): Promise<void> => {
      for (let tries = 0; tries < 200 && !condition(); tries++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.ok(condition());
    };
    const status = () => connmgr.status().get(`unix:${path}`);
    await until(() => status()?.isConnected === true);
    assert.is(status()?.role, "other");
    assert.is(status()?.status.get("state"), "ACTIVE");
    assert.is(status()?.status.get("sec_since_connect"), "0");
    connmgr.reconnect();
    await until(() => sockets.length === 2 && status()?.isConnected === true);
    connmgr.setControllers([]);
    assert.is(visible(), 1);
    assert.is(connmgr.status().size, 0);
    server.close();
    for (const peer of sockets) peer.close();
  },
);

onSwitch("unix sockets outside the run directory are refused", async ({ connmgr, log, directory }) => {
  connmgr.setControllers([
    { target: "unix:/tmp/elsewhere" },
    { target: "unix:../elsewhere" },
    { target: `punix:${directory}/other.sock` },
    { target: `punix:${directory}/br0.x/../y` },
    { target: "foo" },
  ]);
  assert.is(connmgr.status().size, 0);
  const told = (text: string): number => log.filter((line) => line.includes(text)).length;
  assert.is(told("Not connecting to socket controller"), 2);
  assert.is(told("Not adding Unix domain socket controller"), 2);
  assert.is(told('unsupported controller "foo"'), 1);
});

test.run();
