import { test } from "uvu";
import * as assert from "uvu/assert";
import { inBandChange, inBandRules, nextHopRefreshMs } from "../../ts/connmgr/in-band.js";
import { findNextHop } from "../../ts/connmgr/next-hop.js";

const text = (rules: ReturnType<typeof inBandRules>): string[] => rules.map((rule) => `${rule.priority} ${rule.match}`);
const remote = (ip: string, port: number, nextHopMac?: string) => ({ ip, port, nextHopMac });

test("one remote makes nine kinds of rules", () => {
  const rules = inBandRules("02:00:00:00:00:01", [remote("10.0.0.9", 6653, "02:00:00:00:00:09")]);
  assert.equal(text(rules), [
    "180000 in_port=LOCAL,udp,dl_src=02:00:00:00:00:01,tp_src=68,tp_dst=67",
    "180001 arp,dl_dst=02:00:00:00:00:01,arp_op=2",
    "180002 arp,dl_src=02:00:00:00:00:01,arp_op=1",
    "180003 arp,dl_dst=02:00:00:00:00:09,arp_op=2",
    "180004 arp,dl_src=02:00:00:00:00:09,arp_op=1",
    "180005 arp,arp_op=2,arp_tpa=10.0.0.9",
    "180006 arp,arp_op=1,arp_spa=10.0.0.9",
    "180007 tcp,nw_dst=10.0.0.9,tp_dst=6653",
    "180008 tcp,nw_src=10.0.0.9,tp_src=6653",
  ]);
});

test("rules wait for the addresses that they need, and none is made twice", () => {
  assert.equal(inBandRules("02:00:00:00:00:01", []), []);
  assert.is(inBandRules(undefined, [remote("10.0.0.9", 6653)]).length, 4);
  const two = inBandRules(undefined, [remote("10.0.0.9", 6653), remote("10.0.0.9", 6640)]);
  assert.is(two.length, 6);
  assert.is(nextHopRefreshMs([remote("10.0.0.9", 1), remote("10.0.0.8", 1, "02:00:00:00:00:08")]), 1000);
  assert.is(nextHopRefreshMs([remote("10.0.0.8", 1, "02:00:00:00:00:08")]), 10_000);
});

test("a change keeps what stays", () => {
  const before = inBandRules("02:00:00:00:00:01", [remote("10.0.0.9", 6653)]);
  const after = inBandRules("02:00:00:00:00:01", [remote("10.0.0.9", 6653, "02:00:00:00:00:09")]);
  const { remove, add } = inBandChange(before, after);
  assert.equal(remove, []);
  assert.is(add.length, 2);
});

const files: Record<string, string> = {
  "/proc/net/route": [
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
    "eth1\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
  ].join("\n"),
  "/proc/net/arp": [
    "IP address       HW type     Flags       HW address            Mask     Device",
    "192.168.2.7      0x1         0x2         02:AA:00:00:00:07     *        eth1",
    "192.168.2.8      0x1         0x0         00:00:00:00:00:00     *        eth1",
    "192.168.1.1      0x1         0x2         02:aa:00:00:00:01     *        eth0",
  ].join("\n"),
};
const read = (path: string): string => {
  const found = files[path];
  if (found === undefined) throw new Error(path);
  return found;
};

test("the next hop is a neighbour, or the gateway", () => {
  const direct = { found: true, device: "eth1", ip: "192.168.2.7", mac: "02:aa:00:00:00:07" };
  assert.equal(findNextHop("192.168.2.7", read), direct);
  assert.equal(findNextHop("192.168.2.8", read), { found: true, device: "eth1", ip: "192.168.2.8", mac: undefined });
  const routed = { found: true, device: "eth0", ip: "192.168.1.1", mac: "02:aa:00:00:00:01" };
  assert.equal(findNextHop("203.0.113.5", read), routed);
  const without = findNextHop("203.0.113.5", (path) => (path.endsWith("route") ? "Iface\n" : ""));
  assert.equal(without, { found: false, error: "No such device or address" });
});

test.run();
