/** Ports that go from the datapath behind the database's back, as in Open vSwitch. */
import { test } from "uvu";
import { addBridge, noOvs, same, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: ports that go: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

maybe("a port that is taken from the datapath is back after the next reconfiguration", async () => {
  await withPair(async (pair) => {
    addBridge(pair, 3);
    await same(pair, [
      "ovs-appctl dpif/show",
      "ovs-appctl dpctl/del-if dummy@ovs-dummy p1",
      "ovs-appctl dpctl/del-if dummy@ovs-dummy 3",
      "ovs-appctl dpif/show",
      "ovs-ofctl dump-ports br0 p1",
      "ovs-ofctl dump-ports br0 p2",
      "ovs-appctl dpctl/del-if dummy@ovs-dummy p1",
      "ovs-appctl dpctl/del-if dummy@ovs-dummy nosuch p1 p2",
      "ovs-appctl dpctl/del-if dummy@nosuch p1",
      "ovs-appctl dpctl/del-if dummy@ovs-dummy",
      "ovs-appctl dpctl/del-if dummy@ovs-dummy ovs-dummy",
      "ovs-appctl dpif/show",
      "ovs-vsctl -t 10 set bridge br0 other_config:forward-bpdu=false",
      "ovs-appctl dpif/show",
      "ovs-ofctl dump-ports-desc br0 p1",
    ]);
  });
});

test.run();
