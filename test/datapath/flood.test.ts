import { test } from "uvu";
import * as assert from "uvu/assert";
import { type EventFlood, portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, floodedRules, missStats, portStats } from "../../ts/datapath/index.js";
import { formatMatch, parseMatch } from "../../ts/openflow/index.js";
import { addFlow, makeBridge, output } from "./bridge-setup.js";

test("a port that sends nothing but new flows is held back, told of with its rule, and not starved", async () => {
  const datapath = new Datapath({ workers: 1 });
  try {
    const told = new Promise<EventFlood>((resolve) => {
      datapath.on("flood", resolve);
    });
    datapath.ref();
    makeBridge(datapath, [
      [portClass.null, "good", { flows: "1000" }],
      [portClass.null, "sink"],
      [portClass.null, "sink of the attack"],
      [portClass.null, "attacker", { flows: String(2 ** 24), order: "random" }],
    ]);
    const batch = new BatchBuilder();
    addFlow(batch, 1, output(2), { inPort: 1 });
    addFlow(batch, 2, output(3), { match: parseMatch("in_port=4,ip,nw_src=0.0.0.1/0.255.255.255") });
    addFlow(batch, 1, output(3), { inPort: 4 });
    batch.commit(datapath);
    const event = await told;
    assert.is(event.dpPort, 4);
    assert.ok(event.nMisses > 0n && event.nMegaflows > 0);
    const [worst] = floodedRules(datapath, 4);
    assert.is(formatMatch(worst!.match), "in_port=4");
    assert.is(worst!.priority, 1);
    assert.is(worst!.nMegaflows, worst!.nSeen);
    const stats = new Map([...missStats(datapath)].map((info) => [info.dpPort, info]));
    assert.ok(stats.get(4)!.nHeld > 100n * stats.get(1)!.nHeld);
    assert.ok(portStats(datapath, 2)!.txPackets > portStats(datapath, 3)!.txPackets);
    assert.ok(portStats(datapath, 3)!.txPackets > 0n);
  } finally {
    datapath.dispose();
  }
});

test.run();
