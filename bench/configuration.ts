/** How long does a switch take to do what the database asks: many ports, many bridges, a restart, a link that goes down? */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { call, connectTo, readPid, sleep } from "./process.js";
import type { Case, Metric } from "./question.js";
import { sourceRules } from "./rules.js";
import type { Daemon, Side } from "./side.js";
import { root } from "./sluice.js";

const time: Metric = { name: "ms", unit: "ms", better: "less" };

interface Result {
  readonly error?: string;
  readonly details?: string;
  readonly rows?: readonly Readonly<Record<string, unknown>>[];
}

/** One connection to a database.  Both sides have their own server, and the time that it takes is part of the figures. */
class Database {
  #text = "";
  #wake: (() => void) | undefined;
  #seen = 0;

  private constructor(private readonly socket: Socket) {
    socket.on("data", (chunk) => {
      this.#text += String(chunk);
      this.#wake?.();
    });
  }

  static async open(daemon: Daemon): Promise<Database> {
    const database = new Database(await connectTo(join(daemon.env.OVS_RUNDIR ?? "", "db.sock")));
    await database.transact([]);
    return database;
  }

  async transact(operations: readonly object[]): Promise<readonly Result[]> {
    this.socket.write(JSON.stringify({ id: 1, method: "transact", params: ["Open_vSwitch", ...operations] }));
    for (;;) {
      try {
        const { result } = JSON.parse(this.#text) as { result: (Result | null)[] };
        this.#text = "";
        const failed = result.find((one) => one?.error !== undefined);
        if (failed) throw new Error(`the database refused: ${failed.error}: ${failed.details}`);
        return result.map((one) => one ?? {});
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Does it, and waits until the switch has done it. */
  async configure(operations: readonly object[]): Promise<void> {
    const results = await this.transact([
      ...operations,
      { op: "mutate", table: "Open_vSwitch", where: [], mutations: [["next_cfg", "+=", 1]] },
      { op: "select", table: "Open_vSwitch", where: [], columns: ["next_cfg", "cur_cfg"] },
    ]);
    const wanted = Number(results.at(-1)?.rows?.[0]?.next_cfg);
    while (this.#seen < wanted) {
      const columns = ["cur_cfg"];
      const wait = { op: "wait", table: "Open_vSwitch", where: [], columns, until: "!=", timeout: 60_000 };
      const answer = await this.transact([
        { ...wait, rows: [{ cur_cfg: this.#seen }] },
        { op: "select", table: "Open_vSwitch", where: [], columns },
      ]);
      this.#seen = Number(answer.at(-1)?.rows?.[0]?.cur_cfg);
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

const port = (name: string, type: string): object[] => [
  { op: "insert", table: "Interface", "uuid-name": `i_${name}`, row: { name, type } },
  { op: "insert", table: "Port", "uuid-name": `p_${name}`, row: { name, interfaces: ["named-uuid", `i_${name}`] } },
];
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

function addPorts(first: number, count: number): object[] {
  const names = numbers(count).map((index) => `q${first + index}`);
  const ports = ["set", names.map((name) => ["named-uuid", `p_${name}`])];
  const where = [["name", "==", "br0"]];
  return [
    ...names.flatMap((name) => port(name, "dummy")),
    { op: "mutate", table: "Bridge", where, mutations: [["ports", "insert", ports]] },
  ];
}

function addBridges(count: number): object[] {
  const names = numbers(count).map((index) => `b${index}`);
  const bridges = ["set", names.map((name) => ["named-uuid", `b_${name}`])];
  return [
    ...names.flatMap((name) => [
      ...port(name, "internal"),
      {
        op: "insert",
        table: "Bridge",
        "uuid-name": `b_${name}`,
        row: { name, datapath_type: "dummy", ports: ["named-uuid", `p_${name}`] },
      },
    ]),
    { op: "mutate", table: "Open_vSwitch", where: [], mutations: [["bridges", "insert", bridges]] },
  ];
}

/** A daemon with a connection to its database, as long as `body` goes on. */
async function withDatabase<T>(side: Side, body: (database: Database, daemon: Daemon) => Promise<T>): Promise<T> {
  const daemon = await side.startDaemon();
  try {
    const database = await Database.open(daemon);
    try {
      return await body(database, daemon);
    } finally {
      database.close();
    }
  } finally {
    await daemon.stop();
  }
}

function configureCase(
  id: string,
  text: string,
  work: (database: Database) => Promise<void>,
  prepare: (database: Database) => Promise<void> = async () => {},
): Case {
  return {
    id,
    text,
    metrics: [time],
    quick: true,
    missing: (side) => side.daemonMissing(),
    measure: (side) =>
      withDatabase(side, async (database) => {
        await prepare(database);
        const started = performance.now();
        await work(database);
        return { ms: performance.now() - started };
      }),
  };
}

const oneAtATime = async (database: Database, first: number, count: number): Promise<void> => {
  for (const index of numbers(count)) await database.configure(addPorts(first + index, 1));
};

/** A frame from a third port, whose flow is a group that fails over from port 1 to the second one. */
const failover: Case = {
  id: "failover",
  text: "Link down until a fast-failover group's packets leave by its other port",
  metrics: [time],
  quick: true,
  missing: (side) => side.daemonMissing(),
  measure: (side) =>
    withDatabase(side, async (database, daemon) => {
      const directory = daemon.env.OVS_RUNDIR ?? "";
      const control = join(directory, `ovs-vswitchd.${readPid(directory, "ovs-vswitchd")}.ctl`);
      await database.configure(addPorts(0, 2));
      await tool(daemon, "ovs-ofctl", [
        ...["-O", "OpenFlow13", "add-group", "br0"],
        "group_id=1,type=ff,bucket=watch_port:p1,actions=output:p1,bucket=watch_port:q0,actions=output:q0",
      ]);
      await tool(daemon, "ovs-ofctl", ["-O", "OpenFlow13", "add-flow", "br0", "in_port=q1,actions=group:1"]);
      const sent = async (name: string): Promise<number> => {
        await call(control, "netdev-dummy/receive", [
          "q1",
          "in_port(1),eth(src=1:2:3:4:5:6,dst=1:2:3:4:5:7),eth_type(0x1234)",
        ]);
        const shown = String(await call(control, "dpctl/show", ["-s"]));
        return Number(new RegExp(`: ${name} \\(dummy\\)[^]*?TX packets:(\\d+)`).exec(shown)?.[1] ?? 0);
      };
      for (let round = 0; round < 20 && (await sent("p1")) === 0; round++) await sleep(10);
      const before = await sent("q0");
      const started = performance.now();
      await call(control, "netdev-dummy/set-admin-state", ["p1", "down"]);
      while ((await sent("q0")) === before) if (performance.now() > started + 10_000) throw new Error("no failover");
      return { ms: performance.now() - started };
    }),
};

/** Runs a tool to its end; resolves to what it printed, without its complaints of being slow. */
async function tool(daemon: Daemon, command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { env: daemon.env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let complaints = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
  });
  child.stderr.on("data", (chunk) => {
    complaints += String(chunk);
  });
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new Error(`${command} ${args[0]} ended with ${status}: ${output}${complaints}`);
  return output;
}

const manyPorts = 1000;
const manyFlows = 100_000;

/** Open vSwitch's way, as ovs-ctl goes it; the time is that from the old daemon's end until the new one has all flows. */
async function restartOvs(daemon: Daemon): Promise<number> {
  const directory = daemon.env.OVS_RUNDIR ?? "";
  const flows = join(directory, "flows");
  const pid = readPid(directory, "ovs-vswitchd");
  const dump = await tool(daemon, "ovs-ofctl", ["-O", "OpenFlow14", "dump-flows", "--no-names", "--no-stats", "br0"]);
  writeFileSync(flows, dump.replace(/^.*(NXST|OFPST).*\n/gm, ""));
  await tool(daemon, "ovs-vsctl", ["--no-wait", "set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true"]);
  const started = performance.now();
  await tool(daemon, "ovs-appctl", ["-t", "ovs-vswitchd", "exit"]);
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      break;
    }
    await sleep(2);
  }
  const options = ["--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off"];
  await tool(daemon, "ovs-vswitchd", [...options, "--enable-dummy", "--disable-system"]);
  await tool(daemon, "ovs-ofctl", ["-O", "OpenFlow14", "--bundle", "replace-flows", "br0", flows]);
  await tool(daemon, "ovs-vsctl", ["remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait"]);
  return performance.now() - started;
}

async function restartSluice(daemon: Daemon): Promise<number> {
  const said = await tool(daemon, process.execPath, [join(root, "bin", "sluice"), "ctl", "restart"]);
  return Number(/Forwards again after (\d+) ms/.exec(said)?.[1]);
}

const restart: Case = {
  id: "restart",
  text: "Restart with 1,000 ports and 100k flows: end of the old daemon until all flows are back",
  metrics: [time],
  quick: true,
  missing: (side) => side.daemonMissing(),
  measure: async (side) => {
    const daemon = await side.startDaemon();
    try {
      const database = await Database.open(daemon);
      await database.configure(addPorts(0, manyPorts));
      database.close();
      await daemon.client.pipeline(sourceRules(manyFlows));
      await daemon.client.barrier();
      return { ms: side.name === "ovs" ? await restartOvs(daemon) : await restartSluice(daemon) };
    } finally {
      await tool(daemon, "ovs-appctl", ["-t", "ovs-vswitchd", "exit"]).catch(() => "");
      await daemon.stop().catch(() => {});
    }
  },
};

export const configurations: readonly Case[] = [
  configureCase("ports-at-once", "1,000 ports added in one transaction", (database) =>
    database.configure(addPorts(0, manyPorts)),
  ),
  configureCase("ports-one-by-one", "1,000 ports added one at a time", (database) =>
    oneAtATime(database, 0, manyPorts),
  ),
  configureCase(
    "port-beside-1000",
    "100 ports added one at a time beside 1,000",
    (database) => oneAtATime(database, manyPorts, 100),
    (database) => database.configure(addPorts(0, manyPorts)),
  ),
  configureCase("bridges-at-once", "100 bridges added in one transaction", (database) =>
    database.configure(addBridges(100)),
  ),
  restart,
  failover,
];
