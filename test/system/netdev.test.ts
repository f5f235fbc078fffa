/** Devices of the host that change, go and come back under a bridge. */
import { execFileSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vsctl", "ip"] });
if (reason !== undefined) console.log(`skip: devices that change: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });
const tag = `sln${process.pid % 10000}`;

maybe("internal ports follow an MTU, and a device that comes back has its number again", async () => {
  const [first, second, bridge] = [`${tag}a`, `${tag}b`, `${tag}r`];
  const veth = (name: string): void => {
    ip("link", "add", name, "type", "veth", "peer", "name", `${name}x`);
    ip("link", "set", name, "up");
  };
  const under = await startSluice();
  const column = (name: string, what: string): string => under.ok("ovs-vsctl", "get", "interface", name, what).trim();
  try {
    veth(first);
    veth(second);
    const ports = [first, second].flatMap((name) => ["--", "add-port", bridge, name]);
    under.ok("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", ...ports);
    const numbers = [first, second].map((name) => column(name, "ofport"));

    ip("link", "set", first, "mtu", "1400");
    await until("the local port has the smaller MTU", 10, () => / mtu 1400 /.test(ip("link", "show", "dev", bridge)));
    ip("link", "set", first, "mtu", "1500");
    await until("the local port has the MTU again", 10, () => / mtu 1500 /.test(ip("link", "show", "dev", bridge)));

    ip("link", "del", first);
    await until("the port is gone", 10, () => column(first, "ofport") === "-1");
    assert.match(column(first, "error"), /could not open network device \S+ \(No such device\)/);
    veth(first);
    await until("the port is back", 10, () => column(first, "ofport") !== "-1");
    assert.equal(
      [first, second].map((name) => column(name, "ofport")),
      numbers,
    );

    // One that was taken out of the database has no claim to its number.
    under.ok("ovs-vsctl", "del-port", first);
    under.ok("ovs-vsctl", "add-port", bridge, first);
    assert.not.ok(numbers.includes(column(first, "ofport")));
    assert.ok(under.alive());
  } finally {
    await under.stop();
    for (const name of [first, second]) ip("link", "del", name);
  }
});

test.run();
