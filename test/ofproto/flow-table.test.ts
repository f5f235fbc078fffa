import { test } from "uvu";
import * as assert from "uvu/assert";
import { virtualClock } from "../../ts/clock/index.js";
import { megaflowChange, portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, megaflows, syncStats } from "../../ts/datapath/index.js";
import { silentLog } from "../../ts/log/index.js";
import {
  FlowTable,
  learnedAddresses,
  mirrorStats,
  type Ofproto,
  Ofprotos,
  trunkBundle,
} from "../../ts/ofproto/index.js";
import { device } from "../connmgr/bench-switch.js";

interface Bench {
  readonly datapath: Datapath;
  readonly all: Ofprotos;
  readonly ofproto: Ofproto;
  readonly flows: FlowTable;
  readonly frames: { readonly dpPort: number; readonly packet: Uint8Array }[];
}

function onSwitch(name: string, run: (bench: Bench) => void): void {
  test(name, () => {
    const datapath = new Datapath();
    try {
      const all = new Ofprotos({ datapath, clock: virtualClock(), log: silentLog });
      datapath.on("packetIn", (event) => all.packetIn(event));
      const frames: { dpPort: number; packet: Uint8Array }[] = [];
      datapath.on("portFrame", (frame) => frames.push(frame));
      const ofproto = all.create({ name: "br0", datapathId: 1n });
      for (const dpPort of [1, 2, 3]) {
        new BatchBuilder().portOpen(dpPort, portClass.memory, `p${dpPort}`).commit(datapath);
        const port = ofproto.addPort({ name: `p${dpPort}`, dpPort, shownAs: "memory", ...device(dpPort) });
        ofproto.setBundle(dpPort, trunkBundle(port.name, [port.number]));
      }
      run({ datapath, all, ofproto, flows: new FlowTable(ofproto), frames });
    } finally {
      datapath.dispose();
    }
  });
}

const frame = Buffer.from(
  "50540000000750540000000508004500001c000000004011f96ac0a80001c0a800020008000a00080000".padEnd(120, "0"),
  "hex",
);

onSwitch("flows are added, dumped and removed as ovs-ofctl writes them", ({ flows }) => {
  flows.add("priority=5,tcp,tp_dst=80,actions=output:p2", "table=1,cookie=0x9,arp,actions=flood");
  const texts = (): string[] =>
    [...flows.dump()].map((flow) => flows.format(flow).replace(/^.*n_bytes=0, (idle_age=\d+, )?/, "")).sort();
  assert.equal(texts(), ["arp actions=FLOOD", "priority=5,tcp,tp_dst=80 actions=output:2"]);
  assert.is([...flows.dump("table=1")].length, 1);
  flows.modify("tcp,actions=drop");
  assert.equal(texts()[1], "priority=5,tcp,tp_dst=80 actions=drop");
  assert.is(flows.delete("cookie=0x9/-1"), 1);
  flows.delete();
  assert.equal(texts(), []);
});

onSwitch("a list of flows with a bad one adds none, and the error names it", ({ flows }) => {
  assert.throws(() => flows.add("actions=drop", "actions=frobnicate"));
  assert.throws(() => flows.add("actions=drop", "table=254,actions=drop"), /table 254 belongs to the switch/);
  assert.is([...flows.dump()].length, 0);
});

onSwitch("a frame is switched, counted, traced and sent to the program", ({ datapath, flows, frames }) => {
  flows.add("in_port=p1,udp,actions=p2,controller", "priority=1,actions=NORMAL");
  const seen: number[] = [];
  flows.onPacketIn((event) => seen.push(event.inPort, event.reason, event.packet.length));
  new BatchBuilder().portInject(1, frame).commit(datapath);
  datapath.run();
  assert.equal(
    frames.map(({ dpPort, packet }) => [dpPort, packet.length]),
    [[2, 60]],
  );
  assert.equal(seen, [1, 1, 60]);
  assert.is([...flows.dump("udp")][0]?.packetCount, 1n);
  const traced = flows.trace("in_port=p3,arp", { names: true });
  assert.match(traced.text, " 0. priority 1\n    NORMAL\n     -> no learned MAC for destination, flooding\n");
  assert.match(traced.text, "Datapath actions: p1,p2\n");
  flows.packetOut(frame, "output:p3");
  datapath.run();
  assert.is(frames[1]?.dpPort, 3);
});

onSwitch("a mirror copies what comes in and goes out, cut and counted, and its port is for nothing else", (bench) => {
  const { datapath, ofproto, flows, frames } = bench;
  flows.add("in_port=p1,actions=output:p2", "priority=1,actions=NORMAL");
  ofproto.setMirror(3, {
    selectAll: false,
    sources: [1],
    destinations: [2],
    vlans: [],
    output: { bundle: 3 },
    snaplen: 20,
  });
  new BatchBuilder().portInject(1, frame).portInject(3, frame).commit(datapath);
  datapath.run();
  assert.equal(
    frames.map(({ dpPort, packet }) => [dpPort, packet.length]),
    [
      [3, 20],
      [2, 60],
    ],
  );
  const counted = mirrorStats(datapath, ofproto.bridge, 3);
  assert.equal([counted?.nPackets, counted?.nBytes], [1n, 60n]);
  ofproto.removeMirror(3);
  assert.is(mirrorStats(datapath, ofproto.bridge, 3), undefined);
});

onSwitch("nothing is learned on a VLAN that is to be flooded", ({ datapath, ofproto }) => {
  ofproto.setFloodVlans([0]);
  new FlowTable(ofproto).add("actions=NORMAL");
  new BatchBuilder().portInject(1, frame).commit(datapath);
  datapath.run();
  assert.equal(learnedAddresses(ofproto), []);
  ofproto.setFloodVlans([]);
  new BatchBuilder().portInject(1, frame).commit(datapath);
  datapath.run();
  assert.is(learnedAddresses(ofproto).length, 1);
});

onSwitch("a sweep brings a megaflow level with changed flows; who asked is told of each step", (bench) => {
  const { datapath, all, flows } = bench;
  const told: string[] = [];
  datapath.on("miss", ({ dpPort }) => told.push(`miss on ${dpPort}`));
  datapath.on("megaflow", ({ change }) =>
    told.push(Object.entries(megaflowChange).find(([, n]) => n === change)?.[0] ?? ""),
  );
  const receive = (): void => {
    new BatchBuilder().portInject(1, frame).commit(datapath);
    datapath.run();
  };
  all.settings.change({ tell: true });
  flows.add("in_port=p1,actions=output:p2");
  receive();
  receive();
  assert.equal(
    [...megaflows(datapath)].map((one) => one.nPackets),
    [1n],
  );
  flows.add("in_port=p1,actions=output:p3");
  syncStats(datapath);
  datapath.run();
  assert.equal(
    [...megaflows(datapath)].map((one) => one.nPackets),
    [1n],
  );
  receive();
  assert.equal(
    [...megaflows(datapath)].map((one) => one.nPackets),
    [2n],
  );
  // What now is read of a packet is not in the megaflow's match.
  flows.add("priority=40000,in_port=p1,udp,actions=output:p2");
  syncStats(datapath);
  datapath.run();
  assert.equal([...megaflows(datapath)], []);
  assert.equal(told, ["miss on 1", "add", "modify", "delete"]);
});

onSwitch("without megaflows a cached flow covers one flow", ({ datapath, all, flows }) => {
  flows.add("actions=output:p2");
  all.settings.change({ megaflows: false });
  const other = Buffer.from(frame);
  other[11] = 9;
  new BatchBuilder().portInject(1, frame).portInject(1, other).commit(datapath);
  datapath.run();
  assert.is([...megaflows(datapath)].length, 2);
});

test.run();
