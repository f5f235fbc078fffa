/** What becomes of connections to controllers that behave badly, beside the real Open vSwitch: the same peers for both,
 *  and what both say in the log, show in the database and do with their flows compared. */
import { createServer, type Server, type Socket } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { noOvs, type Pair, withPair } from "./pair.js";
import { type Switch, sleep, until } from "./switch.js";

const test = suite("controller states");

type Peer = (socket: Socket) => void;

const hello13 = Uint8Array.of(4, 0, 0, 8, 0, 0, 0, 1);
const barrier13 = Uint8Array.of(4, 20, 0, 8, 0, 0, 0, 9);
/** Of version 9 alone, by bitmap. */
const helloUnknown = Uint8Array.of(9, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 2, 0);

/** Bridges are named after what their controller does. */
const peers: Readonly<Record<string, Peer | undefined>> = {
  refuses: undefined,
  hangs: () => undefined,
  silent: (socket) => void socket.write(hello13),
  closes: (socket) => void socket.once("data", () => socket.end()),
  unknown: (socket) => void socket.write(helloUnknown),
  short: (socket) => void socket.write(Uint8Array.of(4, 0, 0, 4, 0, 0, 0, 1)),
  cuts: (socket) => {
    socket.write(hello13);
    socket.once("data", () => socket.end(Uint8Array.of(4, 2, 0, 12)));
  },
};

async function serve(peer: Peer): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => undefined);
    peer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: typeof address === "object" && address !== null ? address.port : 0, close };
}

/** A port on which nobody listens. */
async function nobody(): Promise<number> {
  const { port, close } = await serve(() => undefined);
  close();
  return port;
}

/** What the log says of a controller, from the modules about connections. */
function said(under: Switch, port: number, modules: RegExp): string[] {
  return (
    under
      .log()
      .split("\n")
      .map((line) => line.split("|").slice(2).join("|"))
      .filter((line) => modules.test(line) && line.includes(`:${port}`))
      .map((line) => line.replaceAll(String(port), "PORT"))
      // What is there at once, a message or the end, breaks off what the real one still calls an attempt.
      .map((line) =>
        line.replace(
          /(INFO|WARN)(.*) connection (failed|dropped) (\((?:Protocol error|Connection reset).*)/,
          "$2 broke off $4",
        ),
      )
  );
}

function addBridges(pair: Pair, ports: ReadonlyMap<string, number>): void {
  const words = [...ports].flatMap(([name, port], index) => [
    ...["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=dummy"],
    `other_config:hwaddr=50:54:00:00:01:0${index}`,
    ...["--", "set-controller", name, `tcp:127.0.0.1:${port}`],
  ]);
  for (const under of pair.both) under.ok("ovs-vsctl", "-t", "20", ...words.slice(1));
}

/** The flows that controllers do not see, in ovs-ofctl's form, without what counts. */
function hiddenFlows(under: Switch, bridge: string): string[] {
  return under
    .ok("ovs-appctl", "bridge/dump-flows", bridge)
    .split("\n")
    .filter((line) => !line.includes("table_id=254"))
    .map((line) => line.replace(/duration=\d+s, n_packets=\d+, n_bytes=\d+, /, ""))
    .sort();
}

/** What becomes of DHCP, a reply and a request, from the local port and from elsewhere. */
function traced(under: Switch): string[] {
  const packets = [
    "udp,in_port=1,udp_src=67,udp_dst=68",
    "udp,in_port=1,udp_src=68,udp_dst=67",
    "tcp,in_port=1,tcp_src=67,tcp_dst=68",
  ];
  return packets.map((packet) => {
    const text = under.ok("ovs-appctl", "ofproto/trace", "br0", packet);
    return /Datapath actions: .*/.exec(text)?.[0] ?? text;
  });
}

if (noOvs !== undefined) console.log(`skip: controller states, ${noOvs}`);
else {
  test("the log tells the same of every kind of bad controller, and so does the database", async () => {
    const servers = new Map<string, { port: number; close: () => void }>();
    for (const [name, peer] of Object.entries(peers)) {
      servers.set(name, peer === undefined ? { port: await nobody(), close: () => undefined } : await serve(peer));
    }
    try {
      await withPair(async (pair) => {
        const ports = new Map([...servers].map(([name, { port }]) => [name, port]));
        addBridges(pair, ports);
        await sleep(12_000);
        for (const [name, port] of ports) {
          const modules = /^(rconn|vconn)\|/;
          const [ours = [], theirs = []] = pair.both.map((under) => said(under, port, modules));
          // How far each got in the time is not compared.
          const lines = Math.min(ours.length, theirs.length);
          assert.ok(lines >= 2, `${name}: ${ours.join("\n")}\n---\n${theirs.join("\n")}`);
          assert.equal(ours.slice(0, lines), theirs.slice(0, lines), name);
        }
        for (const [name, port] of ports) {
          const columns = pair.both.map((under) => {
            const target = `target="tcp:127.0.0.1:${port}"`;
            const shown = under.ok(
              "ovs-vsctl",
              "--bare",
              "--columns=is_connected,status",
              "find",
              "controller",
              target,
            );
            // Seconds differ, and so may the moment.
            return shown
              .replace(/="?\d+"?/g, "=N")
              .replace(/state=\w+/, "state")
              .replace("true", "false");
          });
          if (name !== "silent") assert.is(columns[0], columns[1], name);
        }
      });
    } finally {
      for (const { close } of servers.values()) close();
    }
  });

  test("a lost controller: fail-open after three intervals, its rule, in-band rules, and recovery", async () => {
    const port = await nobody();
    await withPair(async (pair) => {
      addBridges(pair, new Map([["br0", port]]));
      for (const under of pair.both) {
        under.ok("ovs-vsctl", "set", "controller", "br0", "inactivity_probe=1000");
        under.ok("ovs-ofctl", "add-flow", "br0", "priority=7,actions=drop");
      }
      const open = "priority=15790320";
      const isOpen = (under: Switch): boolean => hiddenFlows(under, "br0").some((line) => line.includes(open));
      for (const under of pair.both) await until("it has failed open", 15, () => isOpen(under));
      const [ours, theirs] = pair.both.map((under) => hiddenFlows(under, "br0"));
      assert.equal(ours, theirs);
      assert.is(
        ours?.some((line) => line.includes("priority=7")),
        false,
      );
      const sentence = /Could not connect to controller .* for 3 seconds, failing open/;
      for (const under of pair.both) assert.match(under.log(), sentence);
      // A controller that does something with the switch has accepted it.
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket);
        socket.on("error", () => undefined);
        socket.write(hello13);
        socket.once("data", () => socket.write(barrier13));
        socket.on("data", () => undefined);
      });
      await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
      for (const under of pair.both) await until("it has recovered", 20, () => !isOpen(under));
      for (const under of pair.both) assert.match(under.log(), "fail_open|WARN|No longer in fail-open mode");
      for (const socket of sockets) socket.destroy();
      server.close();
    });
  });

  test("in-band rules follow the options that turn them off", async () => {
    const port = await nobody();
    await withPair(async (pair) => {
      addBridges(pair, new Map([["br0", port]]));
      for (const under of pair.both) {
        under.ok(
          "ovs-vsctl",
          "add-port",
          "br0",
          "p1",
          "--",
          "set",
          "interface",
          "p1",
          "type=dummy",
          "ofport_request=1",
        );
      }
      const [bridge, controller] = [
        ["set", "bridge", "br0"],
        ["set", "controller", "br0"],
      ];
      const steps = [
        [...(bridge ?? []), "fail_mode=secure"],
        [...(controller ?? []), "connection_mode=out-of-band"],
        [...(controller ?? []), "connection_mode=in-band"],
        [...(bridge ?? []), "other_config:disable-in-band=true"],
        ["remove", "bridge", "br0", "other_config", "disable-in-band"],
        ["set-manager", "tcp:192.0.2.7", "tcp:127.0.0.1:9"],
        ["del-controller", "br0"],
      ];
      for (const step of steps) {
        const flows = pair.both.map((under) => {
          under.ok("ovs-vsctl", "-t", "20", ...step);
          return under;
        });
        await sleep(1500);
        const [ours, theirs] = flows.map((under) => [...hiddenFlows(under, "br0"), ...traced(under)]);
        assert.equal(ours, theirs, step.join(" "));
      }
    });
  });
}

test.run();
