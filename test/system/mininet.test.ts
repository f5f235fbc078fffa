/** Mininet, which makes its switches with ovs-vsctl and knows nothing of us. */
import { spawn, spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { freePort, missing, startSluice } from "./switch.js";

const exists = (device: string): boolean => spawnSync("ip", ["link", "show", device]).status === 0;
const reason =
  missing({ root: true, tools: ["mn", "ip", "ovs-vsctl", "ovs-testcontroller"] }) ??
  (exists("s1-eth1") ? "another Mininet runs" : undefined);
if (reason !== undefined) console.log(`skip: mininet: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

maybe("every host of a line of switches pings every other", async () => {
  const under = await startSluice();
  try {
    const port = await freePort();
    const args = ["--test", "pingall", "--switch", "ovs", "--controller", `ovsc,port=${port}`, "--topo", "linear,3"];
    const output = await new Promise<string>((resolve) => {
      const child = spawn("mn", args, { env: under.env, stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 });
      let text = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (text += data.toString()));
      child.on("close", () => resolve(text));
    });
    assert.match(output, "Results: 0% dropped (6/6 received)");
    assert.is(under.ok("ovs-vsctl", "list-br"), "", "it has removed its bridges");
  } finally {
    await under.stop();
  }
});

test.run();
