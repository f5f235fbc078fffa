/** What the log says of packets whose translation runs into something, in Sluice and in Open vSwitch. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, equal, noOvs, say, withPair } from "./pair.js";
import type { Switch } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: the log of translations: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

/** Warnings of translations and remarks about learning, and what belongs to them, in order. */
function told(under: Switch): string {
  const lines = under.log().split("\n");
  const out: string[] = [];
  let isOurs = false;
  for (const line of lines) {
    const head = /^\d{4}-\d\d-\d\dT[^|]*\|\d+\|(.*)$/.exec(line);
    if (head !== null)
      isOurs = /^(ofproto_dpif_(xlate|upcall)(\([a-z0-9]+\))?\|WARN|ofproto(\([a-z0-9]+\))?\|INFO\|Learn)/.test(
        head[1] ?? "",
      );
    // Threads have names of their own.
    if (isOurs) out.push((head?.[1] ?? line).replace(/^(\w+)\([a-z0-9]+\)/, "$1"));
  }
  return out.join("\n").trimEnd();
}

const waitFor = async (under: Switch, done: (text: string) => boolean): Promise<void> => {
  for (let tries = 0; tries < 50 && !done(under.log()); tries++)
    await new Promise((resolve) => setTimeout(resolve, 100));
};

const packet = (port: number, host: number): string =>
  `in_port(${port}),eth(src=50:54:00:00:00:0${host},dst=50:54:00:00:00:0a),eth_type(0x0800),` +
  "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";

maybe("packets that go around, pop too much or learn too many are told as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair, 3);
    const learn = "learn(table=5,limit=1,cookie=0x1234,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
    const flows = [
      "table=0,in_port=1,ip,actions=pop:NXM_OF_IP_DST[],push:NXM_NX_REG1[],output:2",
      `table=0,in_port=2,actions=mod_nw_src:1.2.3.4,output:1,${learn},output:3`,
      "table=0,in_port=3,actions=mod_nw_src:1.2.3.4,output:1,resubmit(,1)",
      "table=1,actions=resubmit(,2)",
      "table=2,actions=resubmit(,1)",
    ];
    const texts = await Promise.all(
      pair.both.map(async (under) => {
        for (const flow of flows) await say(under, ["ovs-ofctl", "add-flow", "br0", flow]);
        const receive = (port: number, host: number): Promise<string> =>
          say(under, ["ovs-appctl", "netdev-dummy/receive", `p${port}`, packet(port, host)]);
        await receive(1, 1);
        await waitFor(under, (text) => text.includes("stack underflow"));
        await receive(2, 2);
        await new Promise((resolve) => setTimeout(resolve, 300));
        await receive(2, 3);
        await waitFor(under, (text) => text.includes("Learn limit"));
        await receive(3, 4);
        await waitFor(under, (text) => text.includes("packet is dropped"));
        return told(under);
      }),
    );
    assert.match(texts[1] ?? "", /stack underflow.*Learn limit.*packet is dropped/s);
    equal([texts[0] ?? ""], [texts[1] ?? ""]);
  });
});

test.run();
