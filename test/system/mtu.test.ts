/** Which MTU devices have and internal ports follow, one change after the other, in Sluice and in Open vSwitch. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noOvs, type Pair, withPair } from "./pair.js";
import { type Switch, sleep } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: MTUs beside Open vSwitch: ${noOvs}`);

const dummy = (name: string, ...columns: string[]): string =>
  `add-port br0 ${name} -- set interface ${name} type=dummy ${columns.join(" ")}`.trimEnd();
const internal = (name: string, ...columns: string[]): string =>
  `add-port br0 ${name} -- set interface ${name} type=internal ${columns.join(" ")}`.trimEnd();

const history = [
  "add-br br0 -- set bridge br0 datapath_type=dummy",
  dummy("p1"),
  "set interface p1 mtu_request=1400",
  dummy("p2", "mtu_request=9000"),
  "del-port p1",
  // Refused: the device keeps what it has, and the local port follows the device, not the request.
  "set interface p2 mtu_request=60",
  "clear interface p2 mtu_request",
  "del-port p2",
  // A request that is taken back leaves the MTU until there is something to follow.
  "set interface br0 mtu_request=1400",
  "clear interface br0 mtu_request",
  dummy("p3"),
  // An internal port that asks for an MTU is one that the others follow.
  "set interface br0 mtu_request=1300",
  internal("i1"),
  "clear interface br0 mtu_request",
  "set interface p3 mtu_request=1200",
  internal("i2", "mtu_request=1000"),
  "set interface i2 mtu_request=1100",
  "clear interface i2 mtu_request",
  "set interface p3 mtu_request=1250",
  // What has no MTU takes no request, and nothing comes of it.
  "add-port br0 pa -- set interface pa type=patch options:peer=pb mtu_request=900",
  "add-port br0 t1 -- set interface t1 type=vxlan options:remote_ip=1.2.3.4 mtu_request=800",
  "set interface i1 mtu_request=2000",
  "del-port p3",
  "set interface i1 mtu_request=2500",
  "del-port i1",
  internal("i3"),
  "del-port i2",
  "set interface i3 mtu_request=9000",
  "clear interface i3 mtu_request",
  internal("i4"),
  dummy("p4", "mtu_request=9000"),
  "set interface p4 mtu_request=70000",
  "set interface p4 mtu_request=68",
];

function mtus(under: Switch): string {
  const rows = under.ok("ovs-vsctl", "-f", "csv", "--no-headings", "--columns=name,mtu", "list", "interface");
  return rows.trim().split("\n").sort().join(" ");
}

/** The MTUs of both, when they are the same, or when they are not after a time in which they would be. */
async function settled({ ours, theirs }: Pair): Promise<readonly [ours: string, theirs: string]> {
  const end = Date.now() + 3000;
  for (;;) {
    const pair = [mtus(ours), mtus(theirs)] as const;
    if (pair[0] === pair[1] || Date.now() > end) return pair;
    await sleep(50);
  }
}

(noOvs === undefined ? test : test.skip)("requests, refusals and what internal ports follow", async () => {
  await withPair(async (pair) => {
    const seen = new Set<string>();
    for (const step of history) {
      for (const under of pair.both) under.ok("ovs-vsctl", "-t", "10", ...step.split(" "));
      const [ours, theirs] = await settled(pair);
      assert.is(ours, theirs, step);
      seen.add(theirs);
    }
    assert.ok(seen.size > 20, `${seen.size} different states`);
    const refusals = pair.both.map((under) =>
      [...under.log().matchAll(/\|(netdev\|WARN\|failed to set MTU .*)/g)].map((match) => match[1]),
    );
    assert.equal(refusals[0], refusals[1]);
    assert.is(refusals[1]?.length, 2);
  });
});

test.run();
