/** `sluice ctl`: starts, stops and restarts the daemon, as ovs-ctl does, and carries flows across. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { versionsOf } from "../connmgr/index.js";
import { directories, getopt } from "../daemon/index.js";
import { FlowSyntaxError } from "../openflow/index.js";
import { parseDatum } from "../ovsdb/datum.js";
import {
  defaultWords,
  findDaemon,
  prepareDaemon,
  type RunningDaemon,
  settingsOf,
  startDaemon,
  stopDaemon,
} from "./ctl-daemon.js";
import { DatabaseSession } from "./database-session.js";
import { Failure } from "./failure.js";
import type { OfctlRun } from "./ofctl-connection.js";
import { type PreparedBridge, prepareBridge, readBridge, type SavedBridge, writeBridge } from "./saved-bridge.js";
import { readSaved, writeSaved } from "./saved-files.js";

const help = `sluice ctl, for starting, stopping and restarting the switch without losing its flows
usage: sluice ctl [OPTIONS] COMMAND [-- OPTION...]

Commands:
  start              start the daemon in the background, unless it runs
  stop               end it
  restart            put a new process in its place: flows, groups, meters and TLV maps stay, and so do port numbers
  status             say whether it runs; exit status 1 if not, 2 if its database does not answer
  save DIRECTORY     write the flows, groups, meters and TLV maps of all bridges into files, which ovs-ofctl reads too
  restore DIRECTORY  put what was saved into the bridges, in place of what they have

What follows -- is given to \`sluice vswitchd\`.  Without it start gives
  --pidfile ${defaultWords.slice(0, 4).join(" ")} ...
and restart gives what the daemon that runs was given.

Options:
  --pidfile=FILE     which daemon is meant (default: ${directories(process.env).run}/ovs-vswitchd.pid)
  --db=DATABASE      where the database is (default: where the daemon has it)
  -q, --quiet        say only what is wrong
  -h, --help         this text

Examples:
  sluice ctl start -- --pidfile --detach --log-file
  sluice ctl restart
  sluice ctl save /var/lib/flows-of-today
`;

interface Call {
  readonly args: readonly string[];
  /** What the daemon is given; undefined: nothing was said. */
  readonly words: readonly string[] | undefined;
  /** As asked for, or as the words say; undefined: the usual one. */
  readonly pidfile: string | undefined;
  /** As asked for; undefined: where the daemon has it. */
  readonly db: string | undefined;
  /** Does a step, and says so. */
  step<T>(text: string, body: () => T | Promise<T>): Promise<T>;
}

const rows: Readonly<Record<string, { readonly args: number; readonly run: (call: Call) => Promise<number> }>> = {
  start: { args: 0, run: start },
  stop: { args: 0, run: stop },
  restart: { args: 0, run: restart },
  status: { args: 0, run: status },
  save: { args: 1, run: save },
  restore: { args: 1, run: restore },
};

const longOptions = [
  { name: "db", argument: "required" },
  { name: "pidfile", argument: "required" },
  { name: "quiet", short: "q", argument: "none" },
  { name: "help", short: "h", argument: "none" },
] as const;

const waitKey = "flow-restore-wait";

/** Resolves to the exit status. */
export async function runCtl(args: readonly string[]): Promise<number> {
  try {
    const end = args.indexOf("--");
    let db: string | undefined;
    let pidfile: string | undefined;
    let isQuiet = false;
    const given: string[] = [];
    for (const event of getopt(end < 0 ? args : args.slice(0, end), longOptions)) {
      if (event.kind === "error") throw new Failure(`${event.text}; use --help for help`);
      if (event.kind === "word") given.push(event.word);
      else if (event.name === "db") db = event.value;
      else if (event.name === "pidfile") pidfile = event.value;
      else if (event.name === "quiet") isQuiet = true;
      else {
        process.stdout.write(help);
        return 0;
      }
    }
    const [name, ...words] = given;
    if (name === undefined) throw new Failure("missing command name; use --help for help");
    const row = rows[name];
    if (row === undefined) throw new Failure(`unknown command '${name}'; use --help for help`);
    if (words.length < row.args) throw new Failure(`'${name}' needs a directory: sluice ctl ${name} DIRECTORY`);
    if (words.length > row.args) throw new Failure(`'${name}' takes no '${words[row.args]}'; use --help for help`);
    const daemonWords = end < 0 ? undefined : args.slice(end + 1);
    return await row.run({
      args: words,
      words: daemonWords,
      pidfile: pidfile ?? settingsOf(daemonWords ?? []).pidfile,
      db,
      step: async (text, body) => {
        const begin = performance.now();
        if (!isQuiet) process.stdout.write(`${text} ...`);
        try {
          const result = await body();
          if (!isQuiet) process.stdout.write(` done (${Math.round(performance.now() - begin)} ms)\n`);
          return result;
        } catch (error) {
          if (!isQuiet) process.stdout.write(" failed\n");
          throw error;
        }
      },
    });
  } catch (error) {
    if (!(error instanceof Failure) && !(error instanceof FlowSyntaxError)) throw error;
    process.stderr.write(`sluice ctl: ${error.message}\n`);
    return error instanceof Failure ? error.status : 1;
  }
}

async function start(call: Call): Promise<number> {
  const daemon = findDaemon(call.pidfile);
  if (daemon === undefined) await call.step("Starting", () => startDaemon(call.words ?? defaultWords, call.pidfile));
  else await call.step(`Runs already, with pid ${daemon.pid}`, () => {});
  return 0;
}

async function stop(call: Call): Promise<number> {
  const daemon = findDaemon(call.pidfile);
  if (daemon === undefined) await call.step("Does not run", () => {});
  else await call.step(`Ending process ${daemon.pid}`, () => stopDaemon(daemon));
  return 0;
}

const databaseSilent = 2;

async function status(call: Call): Promise<number> {
  const daemon = findDaemon(call.pidfile);
  process.stdout.write(
    daemon === undefined ? "ovs-vswitchd is not running\n" : `ovs-vswitchd is running with pid ${daemon.pid}\n`,
  );
  if (daemon === undefined) return 1;
  let database: DatabaseSession;
  try {
    database = await DatabaseSession.open(databaseOf(call, daemon), answerMsMax);
  } catch (error) {
    throw error instanceof Failure ? new Failure(error.message, databaseSilent) : error;
  }
  try {
    if (otherConfig(database).has(waitKey))
      process.stdout.write(
        `It forwards nothing until its flows are restored: \`sluice ctl restore DIRECTORY\`, or \`sluice vsctl remove open . other_config ${waitKey}\`\n`,
      );
  } finally {
    database.close();
  }
  return 0;
}

/** How long whoever asks how things are waits for the database. */
const answerMsMax = 5000;

/** Where the daemon has its database. */
function databaseOf(call: Call, daemon: RunningDaemon): string {
  return call.db ?? settingsOf(daemon.words).database ?? `unix:${directories(process.env).run}/db.sock`;
}

function otherConfig(database: DatabaseSession): Map<string, string> {
  const { keys, values } = database.get(database.root(), "other_config");
  return new Map(keys.map((key, at) => [String(key), String(values?.[at])]));
}

/** Sets or clears flow-restore-wait; `settle` waits until the switch has seen it. */
async function setWait(db: string, isOn: boolean, settle: boolean): Promise<void> {
  const database = await DatabaseSession.open(db);
  try {
    const config = otherConfig(database);
    if (isOn) config.set(waitKey, "true");
    else config.delete(waitKey);
    const { type } = database.column("Open_vSwitch", "other_config");
    database.set(database.root(), "other_config", parseDatum(["map", [...config]], type));
    const nextCfg = await database.commit(`sluice ctl: ${waitKey} ${isOn ? "on" : "off"}`);
    if (nextCfg !== undefined && settle) await database.settle(nextCfg);
  } finally {
    database.close();
  }
}

const everyVersion = 0b1111110;

const ofctl = (versions: number): OfctlRun => ({ versions, xid: 1, remark: () => {} });

/** What is in all bridges that run, each asked in the highest version that it speaks.  A bridge that the switch refuses, for its
 *  name or its type, has nothing to save. */
async function readBridges(db: string): Promise<SavedBridge[]> {
  const database = await DatabaseSession.open(db);
  try {
    const bridges: SavedBridge[] = [];
    const names = database.table("Bridge").map((row) => ({
      name: String(database.get(row, "name").keys[0]),
      versions: versionsOf(database.get(row, "protocols").keys.map(String)),
    }));
    const isRunning = (name: string): boolean => existsSync(join(directories(process.env).run, `${name}.mgmt`));
    for (const { name, versions } of names
      .filter((row) => isRunning(row.name))
      .sort((one, other) => (one.name < other.name ? -1 : 1)))
      bridges.push(await readBridge(ofctl(versions === 0 ? everyVersion : versions), name));
    return bridges;
  } finally {
    database.close();
  }
}

function sum(bridges: readonly SavedBridge[]): string {
  const count = (what: (bridge: SavedBridge) => readonly unknown[]): number =>
    bridges.reduce((total, bridge) => total + what(bridge).length, 0);
  const several = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`;
  return [
    several(
      count((bridge) => bridge.flows),
      "flow",
    ),
    several(
      count((bridge) => bridge.groups),
      "group",
    ),
    several(
      count((bridge) => bridge.meters),
      "meter",
    ),
    `${several(
      count((bridge) => bridge.options),
      "tunnel option",
    )} of ${several(bridges.length, "bridge")}`,
  ].join(", ");
}

function needDaemon(call: Call): RunningDaemon {
  const daemon = findDaemon(call.pidfile);
  if (daemon !== undefined) return daemon;
  throw new Failure(`no daemon runs in ${directories(process.env).run}: \`sluice ctl start\` starts one`);
}

async function save(call: Call): Promise<number> {
  const [directory = ""] = call.args;
  const db = databaseOf(call, needDaemon(call));
  const bridges = await call.step("Reading the bridges", () => readBridges(db));
  await call.step(`Saving ${sum(bridges)} to ${directory}`, () => writeSaved(directory, bridges));
  return 0;
}

async function writeBridges(bridges: readonly PreparedBridge[]): Promise<void> {
  for (const bridge of bridges) await writeBridge(ofctl(1 << bridge.saved.version), bridge);
}

async function restore(call: Call): Promise<number> {
  const [directory = ""] = call.args;
  const bridges = await call.step("Reading what was saved", () => readSaved(directory));
  const db = databaseOf(call, needDaemon(call));
  await call.step(`Restoring ${sum(bridges)}`, () => writeBridges(bridges.map(prepareBridge)));
  await setWait(db, false, true);
  return 0;
}

async function restart(call: Call): Promise<number> {
  const daemon = findDaemon(call.pidfile);
  if (daemon === undefined) return start(call);
  const db = databaseOf(call, daemon);
  const bridges = await call.step("Reading the bridges", () => readBridges(db));
  const directory = mkdtempSync(join(directories(process.env).run, "saved-"));
  await call.step(`Saving ${sum(bridges)} to ${directory}`, () => writeSaved(directory, bridges));
  const prepared = bridges.map(prepareBridge);
  const next = await call.step("Loading a new daemon", () => prepareDaemon(call.words ?? daemon.words, call.pidfile));
  let begin: number;
  try {
    await setWait(db, true, false);
    begin = performance.now();
    await call.step(`Ending process ${daemon.pid}`, () => stopDaemon(daemon));
  } catch (error) {
    next.cancel();
    // The old daemon runs on, with all that it has.
    await setWait(db, false, false).catch(() => {});
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  try {
    await call.step("Starting", () => next.begin());
    await call.step("Restoring", () => writeBridges(prepared));
  } catch (error) {
    const isRunning = findDaemon(call.pidfile) !== undefined;
    // A switch that runs forwards without the flows rather than not at all; for one that does not, restoring will say so.
    if (isRunning) await setWait(db, false, false).catch(() => {});
    const remedy = `${isRunning ? "" : "`sluice ctl start`, then "}\`sluice ctl restore ${directory}\``;
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(`${why}\nwhat was saved is in ${directory}: mend what is wrong, and ${remedy}`);
  }
  await setWait(db, false, true);
  rmSync(directory, { recursive: true, force: true });
  await call.step(`Forwards again after ${Math.round(performance.now() - begin)} ms`, () => {});
  return 0;
}
