/** What a controller is told of ports, byte for byte as by the real Open vSwitch: ports that come, go, change and get
 *  another number, in OpenFlow 1.0, 1.3 and 1.5. */
import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MessageFramer } from "../../ts/connmgr/framer.js";
import { decodeMessage, encodeMessage } from "../../ts/openflow/index.js";
import { decodeMessages } from "./collector.js";
import { missing, type Switch, sleep, startOvs, startSluice, until } from "./switch.js";

const skip = missing({ tools: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"] });
if (skip !== undefined) console.log(`skip: port status: ${skip}`);
const maybe = skip === undefined ? test : test.skip;
const noTshark = skip ?? missing({ tools: ["tshark"] });
// Of OpenFlow 1.0 it reads no such message.
if (noTshark !== undefined) console.log(`skip: port status as tshark reads it: ${noTshark}`);
const noDevices = skip ?? missing({ root: true, tools: ["ip"] });
if (noDevices !== undefined) console.log(`skip: port status of devices: ${noDevices}`);

const portStatusType = 12;
/** Time for a message to come that may not come at all. */
const settleMs = 400;

/** A controller of one version that keeps what it is told of ports. */
class Listener {
  readonly told: string[] = [];
  /** The same, for tshark. */
  readonly messages: Buffer[] = [];
  isUp = false;
  readonly #server: Server;

  constructor(readonly version: number) {
    this.#server = createServer((socket) => {
      const framer = new MessageFramer();
      socket.on("error", () => {});
      socket.write(encodeMessage(version, 1, { type: "hello", versions: 1 << version }));
      socket.write(encodeMessage(version, 2, { type: "features_request" }));
      socket.on("data", (chunk: Uint8Array) => {
        framer.push(chunk);
        for (let bytes = framer.next(); bytes !== undefined; bytes = framer.next()) {
          if (bytes[1] === portStatusType) {
            const text = tidy(bytes);
            this.told.push(text);
            this.messages.push(Buffer.from(text, "hex"));
          }
          const message = bytes[1] === 2 || bytes[1] === 6 ? decodeMessage(bytes) : undefined;
          if (message?.type === "features_reply") this.isUp = true;
          if (message?.type === "echo_request")
            socket.write(encodeMessage(version, message.xid, { type: "echo_reply", data: message.data }));
        }
      });
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => {
        const address = this.#server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  }

  close(): void {
    this.#server.close();
  }
}

/** A message in hexadecimal digits without its transaction id and the address of the port, which is drawn. */
function tidy(bytes: Uint8Array): string {
  const copy = Uint8Array.from(bytes);
  copy.fill(0, 4, 8);
  const addressAt = bytes[0] === 1 ? 18 : 24;
  copy.fill(0, addressAt, addressAt + 6);
  return Buffer.from(copy).toString("hex");
}

/** tshark's words for what a message of OpenFlow 1.3 or later tells of which port. */
function decoded(messages: readonly Buffer[], dissector: string): string[] {
  const text = decodeMessages(messages, dissector);
  assert.not.match(text, /[Mm]alformed|Undecoded/);
  return text
    .split(/^Frame /m)
    .slice(1)
    .map((frame) => {
      const word = (pattern: RegExp): string => pattern.exec(frame)?.[1] ?? "nothing";
      const flags = [...frame.matchAll(/ = OFPP[CS]_(\w+): True/g)].map((match) => match[1]);
      const told = [word(/Reason: OFPPR_(\w+)/), word(/Port no: (\d+)/), word(/ Name: (\S+)/), ...flags];
      return told.join(" ");
    });
}

/** What a controller of OpenFlow 1.3 or 1.5 is told of p9 from its coming to its going. */
const story = [
  "ADD 9 p9",
  "MODIFY 9 p9 LIVE",
  // Its link is taken down and up.
  "MODIFY 9 p9",
  "MODIFY 9 p9 PORT_DOWN LINK_DOWN",
  "MODIFY 9 p9 LIVE",
  // A controller turns it off and on.
  "MODIFY 9 p9 PORT_DOWN",
  "MODIFY 9 p9 PORT_DOWN LINK_DOWN",
  "MODIFY 9 p9 LINK_DOWN",
  "MODIFY 9 p9 LIVE",
  // Its flags.
  "MODIFY 9 p9 NO_RECV LIVE",
  "MODIFY 9 p9 NO_RECV NO_PACKET_IN LIVE",
  "MODIFY 9 p9 NO_RECV NO_FWD NO_PACKET_IN LIVE",
  "MODIFY 9 p9 NO_RECV NO_PACKET_IN LIVE",
  // Another number.
  "DELETE 9 p9 NO_RECV NO_PACKET_IN LIVE",
  "ADD 20 p9",
  "MODIFY 20 p9 LIVE",
  "DELETE 20 p9 LIVE",
];

interface Watched {
  readonly under: Switch;
  readonly listeners: readonly Listener[];
}

async function watch(under: Switch, bridge: string): Promise<Watched> {
  const listeners = [1, 4, 6].map((version) => new Listener(version));
  const targets: string[] = [];
  for (const listener of listeners) targets.push(`tcp:127.0.0.1:${await listener.listen()}`);
  under.ok("ovs-vsctl", "set", "bridge", bridge, "other_config:disable-in-band=true");
  under.ok("ovs-vsctl", "set-controller", bridge, ...targets);
  await until("the controllers are connected", 20, () => listeners.every((one) => one.isUp));
  return { under, listeners };
}

/** Takes the same step in both; asserts that each controller was told the same. */
async function step(both: readonly Watched[], what: string, take: (under: Switch) => void): Promise<number> {
  const before = both.map(({ listeners }) => listeners.map(({ told }) => told.length));
  for (const { under } of both) take(under);
  await sleep(settleMs);
  const after = both.map(({ listeners }, index) =>
    listeners.map(({ version, told }, at) => `${version}: ${told.slice(before[index]?.[at] ?? 0).join(" ")}`),
  );
  assert.equal(after[0], after[1], what);
  return (both[1]?.listeners ?? []).reduce((sum, one) => sum + one.told.length, 0);
}

maybe("ports that come, flap, are changed, get another number and go", async () => {
  const both = await Promise.all([startSluice({ dummy: true }), startOvs({ dummy: true })]);
  const watched: Watched[] = [];
  try {
    for (const under of both) {
      const port = (name: string, number: number): string[] =>
        `-- add-port br0 ${name} -- set interface ${name} type=dummy ofport_request=${number}`.split(" ");
      const columns = "-- set bridge br0 datapath_type=dummy other_config:hwaddr=50:54:00:00:01:00".split(" ");
      under.ok("ovs-vsctl", "add-br", "br0", ...columns, ...port("p1", 1), ...port("p2", 2));
      watched.push(await watch(under, "br0"));
    }
    const vsctl =
      (text: string) =>
      (under: Switch): void =>
        void under.ok("ovs-vsctl", ...text.split(" "));
    const appctl =
      (text: string) =>
      (under: Switch): void =>
        void under.ok("ovs-appctl", ...text.split(" "));
    const ofctl =
      (text: string) =>
      (under: Switch): void =>
        void under.ok("ovs-ofctl", ...text.split(" "));
    await step(watched, "a port comes", vsctl("add-port br0 p9 -- set interface p9 type=dummy ofport_request=9"));
    await step(watched, "a link is taken down", appctl("netdev-dummy/set-admin-state p9 down"));
    await step(watched, "taken down again, nothing is new", appctl("netdev-dummy/set-admin-state p9 down"));
    await step(watched, "and up", appctl("netdev-dummy/set-admin-state p9 up"));
    await step(watched, "a controller turns a port off", ofctl("mod-port br0 9 down"));
    await step(watched, "and on", ofctl("mod-port br0 9 up"));
    for (const flag of ["no-flood", "no-receive", "no-packet-in", "no-forward"])
      await step(watched, `a port gets ${flag}`, ofctl(`mod-port br0 9 ${flag}`));
    await step(watched, "what it has, it gets again", ofctl("mod-port br0 9 no-flood"));
    await step(watched, "in 1.3", ofctl("-O OpenFlow13 mod-port br0 9 forward"));
    await step(watched, "a port gets another number", vsctl("set interface p9 ofport_request=20"));
    await step(watched, "and the number of another", vsctl("set interface p9 ofport_request=2"));
    await step(
      watched,
      "a port that cannot be",
      vsctl("--no-wait add-port br0 nosuch -- set interface nosuch type=foo"),
    );
    await step(watched, "a column that no controller sees", vsctl("set interface p9 external_ids:a=b"));
    await step(watched, "a port with a tag", vsctl("set port p9 tag=7"));
    await step(watched, "a port goes", vsctl("del-port br0 p9"));
    await step(
      watched,
      "two come",
      vsctl(
        "add-port br0 p5 -- set interface p5 type=dummy -- add-port br0 p6 -- set interface p6 type=dummy ofport_request=30",
      ),
    );
    await step(watched, "and go", vsctl("del-port p5 -- del-port p6"));
    const patch = (name: string, peer: string): string => `-- set interface ${name} type=patch options:peer=${peer}`;
    const other = "add-br br1 -- set bridge br1 datapath_type=dummy other_config:hwaddr=50:54:00:00:02:00";
    await step(
      watched,
      "a patch port",
      vsctl(`${other} -- add-port br0 to1 ${patch("to1", "to0")} -- add-port br1 to0 ${patch("to0", "to1")}`),
    );
    await step(watched, "whose other end is another port", vsctl("set interface to1 options:peer=nobody"));
    await step(watched, "and the same as before", vsctl("set interface to1 options:peer=to0"));
    await step(watched, "and one that cannot be", vsctl("set interface to1 options:peer=to1"));
    const total = await step(watched, "and one that can", vsctl("set interface to1 options:peer=to0"));
    assert.ok(total > 3 * 15, `${total} messages`);
    if (noTshark !== undefined) return;
    for (const [index, dissector] of [[1, "openflow_v4"] as const, [2, "openflow_v6"] as const]) {
      const [ours = [], theirs = []] = watched.map(({ listeners }) =>
        decoded(listeners[index]?.messages ?? [], dissector),
      );
      assert.equal(ours, theirs);
      assert.equal(theirs.slice(0, story.length), story);
    }
  } finally {
    for (const { listeners } of watched) for (const listener of listeners) listener.close();
    await Promise.all(both.map((under) => under.stop()));
  }
});

maybe("a port with LACP is live once its partner is synchronized, and does not waver before", async () => {
  const both = await Promise.all([startSluice({ dummy: true }), startOvs({ dummy: true })]);
  const watched: Watched[] = [];
  try {
    for (const under of both) {
      const br0 = "add-br br0 -- set bridge br0 datapath_type=dummy other_config:hwaddr=50:54:00:00:01:00";
      const br1 = "add-br br1 -- set bridge br1 datapath_type=dummy other_config:hwaddr=50:54:00:00:02:00";
      under.ok("ovs-vsctl", ...`${br0} -- ${br1} -- set bridge br1 fail_mode=secure`.split(" "));
      watched.push(await watch(under, "br0"));
      const bond = (index: number): string => {
        const names = [1, 2].map((n) => `b${index}p${n}`);
        const peer = (n: number): string => `options:peer=b${1 - index}p${n}`;
        return [
          `add-bond br${index} bond${index} ${names.join(" ")} bond_mode=balance-tcp lacp=active other_config:lacp-time=fast`,
          ...[1, 2].map((n) => `set interface b${index}p${n} type=patch ofport_request=${n} ${peer(n)}`),
        ].join(" -- ");
      };
      under.ok("ovs-vsctl", ...`${bond(0)} -- ${bond(1)}`.split(" "));
      const isUp = (): boolean => under.ok("ovs-appctl", "bond/show", "bond0").split("may_enable: true").length === 3;
      await until(`both links of ${under.kind} are used`, 10, isUp);
    }
    await sleep(settleMs);
    // Which of the two members comes first is not said.
    const told = watched.map(({ listeners }) => listeners.map((one) => [...one.told].sort()));
    assert.equal(told[0], told[1]);
    for (const messages of told[0] ?? []) assert.ok(messages.length >= 2);
  } finally {
    for (const { listeners } of watched) for (const listener of listeners) listener.close();
    await Promise.all(both.map((under) => under.stop()));
  }
});

(noDevices === undefined ? test : test.skip)(
  "devices of the host whose link goes and comes, and that vanish",
  async () => {
    const ip = (text: string): void =>
      void execFileSync("ip", text.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
    const both = await Promise.all([startSluice(), startOvs()]);
    const watched: Watched[] = [];
    // Bridges and devices of both are in one host; their names are of one length, and those in messages are made the same.
    const prefixes = ["rpsa", "rpsb"] as const;
    const same = (told: string): string =>
      told.replaceAll(Buffer.from("rpsb").toString("hex"), Buffer.from("rpsa").toString("hex"));
    try {
      for (const [index, under] of both.entries()) {
        const prefix = prefixes[index as 0 | 1];
        ip(`link add ${prefix}1 type veth peer name ${prefix}1x`);
        ip(`link set ${prefix}1 up`);
        ip(`link set ${prefix}1x up`);
        under.ok(
          "ovs-vsctl",
          ...`add-br ${prefix}br -- set bridge ${prefix}br datapath_type=netdev -- add-port ${prefix}br ${prefix}1`.split(
            " ",
          ),
        );
        watched.push(await watch(under, `${prefix}br`));
      }
      await sleep(settleMs);
      const begin = watched.map(({ listeners }) => listeners.map(({ told }) => told.length));
      const each = async (take: (prefix: string, under: Switch) => void): Promise<void> => {
        for (const [index, { under }] of watched.entries()) take(prefixes[index as 0 | 1], under);
        await sleep(settleMs);
      };
      await each((prefix) => ip(`link set ${prefix}1x down`));
      await each((prefix) => ip(`link set ${prefix}1x up`));
      await each((prefix, under) => void under.ok("ovs-ofctl", "mod-port", `${prefix}br`, `${prefix}1`, "down"));
      await each((prefix, under) => void under.ok("ovs-ofctl", "mod-port", `${prefix}br`, `${prefix}1`, "up"));
      await each((prefix, under) => void under.ok("ovs-vsctl", "del-port", `${prefix}1`));
      const told = watched.map(({ listeners }, index) =>
        listeners.map((one, at) => one.told.slice(begin[index]?.[at]).map(same)),
      );
      assert.equal(told[0], told[1]);
      assert.ok((told[1]?.[0]?.length ?? 0) >= 5);
    } finally {
      for (const { listeners } of watched) for (const listener of listeners) listener.close();
      await Promise.all(both.map((under) => under.stop()));
      for (const prefix of prefixes) {
        try {
          ip(`link del ${prefix}1`);
        } catch {
          // It was not made.
        }
      }
    }
  },
);

test.run();
