import { test } from "uvu";
import * as assert from "uvu/assert";
import { createSwitch, type SwitchBridge } from "../../ts/index.js";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
/** 10.0.0.1 to 10.0.0.2, UDP 1 to 2. */
const frame = hex(
  "505400000002 505400000001 0800 4500001c000100004011 66ce 0a000001 0a000002 0001 0002 0008 0000 000000000000000000000000000000000000",
);
const back = hex(
  "505400000001 505400000002 0800 4500001c000100004011 66ce 0a000002 0a000001 0002 0001 0008 0000 000000000000000000000000000000000000",
);

async function code(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return "none";
}

async function withBridge(body: (bridge: SwitchBridge, advance: (ms: number) => void) => Promise<void>): Promise<void> {
  const sw = await createSwitch({ clock: "virtual" });
  try {
    await body(sw.addBridge("br0"), (ms) => sw.advance(ms));
  } finally {
    await sw.dispose();
  }
}

test("a frame goes where a flow sends it, and is counted", async () => {
  await withBridge(async (bridge) => {
    const a = bridge.addPort("a");
    const b = bridge.addPort("b", { number: 7 });
    bridge.addFlow("in_port=a,udp,actions=mod_nw_tos:32,output:b");
    a.send(frame);
    const out = await b.receive();
    assert.is(out[15], 32);
    assert.is(b.number, 7);
    const [flow] = bridge.dumpFlows();
    assert.is(flow?.packets, 1n);
    assert.is(flow?.match, "udp,in_port=1");
    assert.is(flow?.actions, "mod_nw_tos:32,output:7");
    assert.is(a.statistics().rxPackets, 1n);
    assert.is(b.statistics().txPackets, 1n);
    assert.is(flow?.bytes, BigInt(frame.length));
  });
});

test("a flow given as an object is the flow given as text", async () => {
  await withBridge(async (bridge) => {
    bridge.addFlow({
      table: 1,
      priority: 5,
      cookie: 3n,
      match: { eth_type: 0x0800, ip_src: ["10.0.0.0", "255.0.0.0"] },
      actions: [{ type: "output", port: 2 }],
    });
    bridge.addFlow("table=1,priority=5,cookie=0x4,ip,nw_src=10.0.0.0/8,actions=output:2");
    const flows = bridge.dumpFlows("table=1");
    assert.is(flows.length, 1);
    assert.is(flows[0]?.cookie, 4n);
    assert.is(bridge.deleteFlows("table=1"), 1);
  });
});

test("standalone bridges learn", async () => {
  const sw = await createSwitch({ clock: "virtual" });
  const bridge = sw.addBridge("br0", { failMode: "standalone" });
  const [a, b, c] = ["a", "b", "c"].map((name) => bridge.addPort(name));
  a?.send(frame);
  assert.is(b?.take().length, 1);
  assert.is(c?.take().length, 1);
  b?.send(back);
  assert.is(a?.take().length, 1);
  assert.is(c?.take().length, 0);
  assert.is(bridge.learned().length, 2);
  sw.advance(400_000);
  assert.is(bridge.learned().length, 0);
  await sw.dispose();
});

test("timeouts expire on a virtual clock", async () => {
  await withBridge(async (bridge, advance) => {
    bridge.addPort("a");
    bridge.addFlow("hard_timeout=10,actions=drop");
    advance(9_000);
    assert.is(bridge.dumpFlows().length, 1);
    advance(2_000);
    assert.is(bridge.dumpFlows().length, 0);
  });
});

test("packets for the controller reach a listener, and packet-outs go out", async () => {
  await withBridge(async (bridge) => {
    const a = bridge.addPort("a");
    const reasons: number[] = [];
    bridge.onPacketIn((event) => reasons.push(event.packet.length));
    bridge.addFlow("actions=controller");
    a.send(frame);
    assert.equal(reasons, [frame.length]);
    bridge.packetOut(frame, "output:a");
    assert.is((await a.receive()).length, frame.length);
  });
});

test("a trace says why, as text and as a tree", async () => {
  await withBridge(async (bridge) => {
    bridge.addPort("a");
    bridge.addFlow("ip,actions=resubmit(,1)");
    bridge.addFlow("table=1,actions=drop");
    const { text, ...tree } = bridge.trace("in_port=a,ip");
    assert.match(text, /resubmit\(,1\)/);
    assert.match(text, /Datapath actions: drop/);
    const rule = (table: number, match: string, children: unknown[]): unknown => {
      return { kind: "rule", table, match, priority: 32768, cookie: "0", children };
    };
    const second = rule(1, "", [{ kind: "action", text: "drop", children: [] }]);
    const children = [rule(0, "ip", [{ kind: "action", text: "resubmit(,1)", children: [second] }])];
    assert.equal(JSON.parse(JSON.stringify(tree)), {
      flow: "ip,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=0.0.0.0,nw_dst=0.0.0.0,nw_proto=0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no",
      nodes: [{ kind: "bridge", name: bridge.name, children }],
      finalFlow: null,
      megaflow: "recirc_id=0,eth,ip,in_port=1,nw_frag=no",
      datapathActions: "drop",
      failure: null,
      slow: [],
    });
  });
});

test("a trace only tells, unless it is asked to generate a packet or is given one", async () => {
  await withBridge(async (bridge) => {
    bridge.addPort("a");
    bridge.addPort("b");
    bridge.addFlow("udp,actions=controller,NORMAL");
    const seen: number[] = [];
    bridge.onPacketIn((event) => seen.push(event.packet.length));
    const flow = "in_port=a,dl_src=02:00:00:00:00:01,udp";
    bridge.trace(flow);
    assert.equal([seen, bridge.learned().length], [[], 0]);
    const { nodes } = bridge.trace(flow, { generate: true, payload: Uint8Array.of(1, 2, 3) });
    assert.match(
      JSON.stringify(nodes),
      /"name":"learnedSource","text":"-> learned that 02:00:00:00:00:01 is on port a/,
    );
    bridge.trace("in_port=a", { packet: frame });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal([seen, bridge.learned().length], [[14 + 20 + 8 + 3, frame.length], 2]);
  });
});

test("addresses learned on a port that goes are forgotten by the other bridges, too", async () => {
  const sw = await createSwitch({ clock: "virtual" });
  try {
    const [near, far] = [sw.addBridge("near"), sw.addBridge("far")];
    for (const bridge of [near, far]) bridge.addFlow("actions=NORMAL");
    near.addPort("a").send(frame);
    const other = Uint8Array.from(frame);
    other.set([2, 0, 0, 0, 0, 9], 6);
    const b = far.addPort("b");
    b.send(frame);
    b.send(other);
    assert.equal([near.learned().length, far.learned().length], [1, 2]);
    near.removePort("a");
    assert.equal([near.learned().length, far.learned().length], [0, 1]);
  } finally {
    await sw.dispose();
  }
});

test("what is wrong is named: syntax, refusals, ports, silence", async () => {
  await withBridge(async (bridge) => {
    const a = bridge.addPort("a");
    assert.is(await code(() => bridge.addFlow("nonsense=1,actions=drop")), "FLOW_SYNTAX");
    assert.is(await code(() => bridge.addFlow("actions=group:1")), "OFPBAC_BAD_OUT_GROUP");
    assert.is(await code(() => bridge.addPort("a")), "NETDEV");
    assert.is(await code(() => bridge.addPort("x", { type: "strange" })), "NETDEV");
    assert.is(await code(() => a.receive({ timeoutMs: 10 })), "PORT_SILENT");
  });
});

test("a closed switch says so", async () => {
  const sw = await createSwitch({ clock: "virtual" });
  const bridge = sw.addBridge("br0");
  const a = bridge.addPort("a");
  const waiting = code(() => a.receive({ timeoutMs: 5000 }));
  await sw.dispose();
  await sw.dispose();
  assert.is(await waiting, "PORT_CLOSED");
  assert.is(await code(() => a.send(frame)), "PORT_CLOSED");
  assert.is(await code(() => sw.addBridge("br1")), "SWITCH_CLOSED");
  assert.is(await code(() => sw.advance(1)), "SWITCH_CLOSED");
});

test("with workers frames come out by themselves", async () => {
  const sw = await createSwitch();
  const bridge = sw.addBridge("br0");
  const a = bridge.addPort("a");
  const b = bridge.addPort("b");
  bridge.addFlow("in_port=a,actions=b");
  for (let n = 0; n < 100; n++) a.send(frame);
  for (let n = 0; n < 100; n++) assert.is((await b.receive({ timeoutMs: 5000 })).length, frame.length);
  assert.is(await code(() => sw.advance(1)), "SWITCH_CLOCK");
  await sw.dispose();
});

test.run();
