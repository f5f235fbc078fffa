/** The process: options, logging, pidfile, control socket, database, switch, "ready"; and the way back. */
import { existsSync, mkdirSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { constants, hostname } from "node:os";
import { dirname, join } from "node:path";
import type { UnixctlCommand } from "../appctl/index.js";
import { type AdjustableClock, systemClock } from "../clock/index.js";
import { CoverageCounters, coverageCommands } from "./coverage.js";
import type { Database } from "./database.js";
import {
  announceReady,
  crashesVariable,
  type Respawn,
  type Role,
  roleOf,
  signalName,
  spawnRole,
  waitForChild,
} from "./detach.js";
import { errnoText, systemErrorText } from "./errno.js";
import { gateVariable, hasGate, waitAtGate } from "./gate.js";
import { knownCounters } from "./known-counters.js";
import { MainLoop } from "./main-loop.js";
import { MemoryMonitor, memoryCommands } from "./memory.js";
import { monitor } from "./monitor.js";
import { type DaemonOptions, parseOptions } from "./options.js";
import { directories, program, versionNumber } from "./paths.js";
import { Pidfile, PidfileError, pidfileHolder } from "./pidfile.js";
import { loadProcessCalls, type ProcessCalls, packageRoot } from "./process-calls.js";
import type { RunningSwitch, StartSwitch } from "./switch.js";
import { openSyslog, openSyslogTarget } from "./syslog.js";
import { timeCommands } from "./time-commands.js";
import { CommandTable, UnixctlServer } from "./unixctl.js";
import { changeUser } from "./user.js";
import { Vlog } from "./vlog.js";
import { vlogCommands } from "./vlog-commands.js";

/** Signals that end the daemon. */
const endingSignals = ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"] as const;
/** A switch that does not end by itself in this time is left behind. */
const closeMsMax = 10_000;

/** The first line is what scripts that look for Open vSwitch's version read. */
export function versionText(): string {
  const own = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string };
  return `${program} (Open vSwitch) ${versionNumber}\nSluice ${own.version}\n`;
}

function writeAll(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text);
  } catch {
    // Nobody reads it any more.
  }
}

/** Ends the process with Open vSwitch's form of a last word. */
class Fatal extends Error {
  constructor(
    message: string,
    readonly status = 1,
  ) {
    super(message);
    this.name = "Fatal";
  }
}

export interface VswitchdOptions {
  readonly args: readonly string[];
  readonly respawn: Respawn;
  readonly startSwitch: StartSwitch;
  /** Loads the switch's modules; without it they are loaded when the switch starts. */
  readonly preload?: () => Promise<void>;
}

/** Runs `sluice vswitchd`.  Resolves to an exit status when there is nothing to stay for; a daemon ends the process. */
export async function vswitchd(start: VswitchdOptions): Promise<number> {
  const role = roleOf(process.env);
  const clock = systemClock();
  const vlog = new Vlog({
    program,
    hostname: hostname(),
    pid: process.pid,
    clock,
    writeConsole: (line) => writeAll(2, `${line}\n`),
    defaultLogFile: join(directories(process.env).log, `${program}.log`),
  });
  // Until it is in the background a detaching daemon says nothing but what keeps it from starting.
  if (start.args.some((arg) => /^--deta?c?h?$/.test(arg))) vlog.setLevel(undefined, "console", "emer");
  const parsed = parseOptions(start.args, {
    directories: directories(process.env),
    workingDirectory: process.cwd(),
    versionText: versionText(),
    setVerbosity: (spec) => vlog.set(spec === "" ? "any:any:dbg" : spec),
  });
  if (parsed.kind === "exit") {
    writeAll(1, parsed.stdout);
    writeAll(2, parsed.stderr);
    return parsed.status;
  }
  const { options } = parsed;
  try {
    const calls = loadCalls();
    if (role === "starter" && options.detach) return await startInBackground(options, start.respawn, calls);
    if (hasGate(process.env) && !(role !== "worker" && options.monitor)) {
      await start.preload?.();
      await waitAtGate(process.env);
    }
    openLogs(vlog, options, calls);
    if ((role === "starter" || role === "monitor") && options.monitor) {
      return await watch(role, options, start.respawn, clock, vlog, calls);
    }
    const daemon = new Daemon(role, options, clock, vlog, calls);
    await daemon.run(start.startSwitch);
    return await new Promise<never>(() => {});
  } catch (error) {
    if (!(error instanceof Fatal || error instanceof PidfileError)) throw error;
    vlog.close();
    writeAll(2, `${program}: ${error.message}\n`);
    return error instanceof Fatal ? error.status : 1;
  }
}

function loadCalls(): ProcessCalls {
  try {
    return loadProcessCalls();
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Fatal(`the native addon is not there, run \`npm run build\` first (${why})`);
  }
}

function openLogs(vlog: Vlog, options: DaemonOptions, calls: ProcessCalls): void {
  const method = options.syslogMethod ?? "libc";
  const sink = openSyslog(method, program, calls);
  if (sink === undefined) throw new Fatal(`unsupported syslog method: ${method}`);
  vlog.setSyslog(sink);
  if (options.syslogTarget !== undefined) vlog.setSyslogTarget(openSyslogTarget(options.syslogTarget));
  if (options.logFile !== undefined) vlog.openFile(options.logFile);
}

async function startInBackground(options: DaemonOptions, respawn: Respawn, calls: ProcessCalls): Promise<number> {
  // Found out here, it is told before anything is started.
  if (options.pidfile !== undefined && !options.overwritePidfile && !hasGate(process.env)) {
    const pid = pidfileHolder(options.pidfile, calls);
    if (pid !== 0) throw new Fatal(`${options.pidfile}: already running as pid ${pid}, aborting`);
  }
  const { status, stderr } = await waitForChild(spawnRole(options.monitor ? "monitor" : "worker", respawn, true));
  if (stderr !== "") writeAll(2, `${program}: ${stderr}\n`);
  return status;
}

/** The process that `--monitor` leaves behind. */
function watch(
  role: Role,
  options: DaemonOptions,
  respawn: Respawn,
  clock: AdjustableClock,
  vlog: Vlog,
  calls: ProcessCalls,
): Promise<number> {
  return monitor({
    spawn: (crashes) => {
      process.env[crashesVariable] = String(crashes);
      return spawnRole("worker", respawn, false);
    },
    clock,
    log: vlog.source("daemon_unix"),
    onReady: () => {
      // A worker that follows one that crashed takes nobody's place.
      delete process.env[gateVariable];
      announceReady(role, calls, false);
      if (role !== "starter") vlog.setLevel(undefined, "console", "off");
      if (options.chdir) process.chdir("/");
    },
  }).finally(() => vlog.close());
}

/** One running daemon, from its pidfile to its end. */
class Daemon {
  private readonly coverage: CoverageCounters;
  private readonly memory: MemoryMonitor;
  private readonly commands = new CommandTable();
  private readonly loop: MainLoop;
  private pidfile: Pidfile | undefined;
  private unixctl: UnixctlServer | undefined;
  private unixctlPath: string | undefined;
  private database: Database | undefined;
  private running: RunningSwitch | undefined;
  private isReady = false;
  private ending = false;
  private toldOfOther = false;

  constructor(
    private readonly role: Role,
    private readonly options: DaemonOptions,
    private readonly clock: AdjustableClock,
    private readonly vlog: Vlog,
    private readonly calls: ProcessCalls,
  ) {
    this.coverage = new CoverageCounters(clock);
    this.coverage.declare(...knownCounters);
    this.memory = new MemoryMonitor(clock, vlog.source("memory"));
    this.loop = new MainLoop({
      stages: [
        { name: "bridge", run: () => this.runSwitch() },
        { name: "netdev", run: () => this.running?.runDevices() },
      ],
      onError: (stage, error) => this.fault(`${stage} pass`, error),
    });
  }

  /** Resolves when everything is started; being ready may come later. */
  async run(startSwitch: StartSwitch): Promise<void> {
    const { options, vlog } = this;
    process.on("uncaughtException", (error) => this.crash(error));
    process.on("unhandledRejection", (error) => this.crash(error));
    this.lockMemory();
    if (options.user !== undefined) {
      const error = changeUser(options.user, this.calls);
      if (error !== undefined) throw new Fatal(`${options.pidfile ?? "(null)"}: ${error}`);
    }
    makeDirectory(options.directories.run);
    if (options.pidfile !== undefined) {
      this.pidfile = Pidfile.create(options.pidfile, options.overwritePidfile, this.calls);
    }
    for (const signal of endingSignals) process.on(signal, () => void this.endBySignal(signal));
    try {
      await this.openUnixctl();
      this.database = await this.openDatabase();
      this.running = await startSwitch({
        idl: this.database.idl,
        clock: this.clock,
        log: vlog.source,
        coverage: this.coverage,
        directories: options.directories,
        dummy: options.dummy,
        disableSystem: options.disableSystem,
        disableSystemRoute: options.disableSystemRoute,
        dummyNuma: options.dummyNuma,
        versionNumber,
        tls: options.tls,
        pidfile: options.pidfile,
        calls: this.calls,
        onLogLevels: (listener) => vlog.onLevels(listener),
        wake: () => void this.loop.wake(),
      });
    } catch (error) {
      await this.release();
      throw error;
    }
    const { running } = this;
    this.commands.add(...running.commands);
    const { idl } = this.database;
    this.memory.add(() => ({ ...running.memoryUsage(), "idl-cells-Open_vSwitch": idl.cellCount }));
    this.coverage.addReader(() => running.counters());
    this.database.idl.onChange(() => void this.loop.wake());
    void this.loop.wake();
  }

  private async openDatabase(): Promise<Database> {
    try {
      const { options, clock, vlog, calls } = this;
      const { openDatabase } = await import("./database.js");
      return await openDatabase({ options, clock, log: vlog.source, calls });
    } catch (error) {
      throw new Fatal(error instanceof Error ? error.message : String(error));
    }
  }

  private async openUnixctl(): Promise<void> {
    const { options, vlog } = this;
    if (options.unixctl === "none") return;
    this.commands.add(...this.ownCommands());
    const path = options.unixctl ?? join(options.directories.run, `${program}.${process.pid}.ctl`);
    try {
      this.unixctl = await UnixctlServer.listen({
        path,
        commands: this.commands,
        log: vlog.source("unixctl"),
        coverage: this.coverage,
        // What the database asked for before the command is in effect when the command looks.
        beforeCommand: () => (this.ending ? undefined : this.loop.wake()),
        beforeReply: () => vlog.flush(),
      });
      this.unixctlPath = path;
    } catch (error) {
      await this.release();
      // libuv tells of a directory that is not there as of one that is forbidden.
      const why = existsSync(dirname(path)) ? systemErrorText(error) : errnoText(constants.errno.ENOENT);
      throw new Fatal(`${path}: could not initialize control socket (${why})`);
    }
  }

  private ownCommands(): readonly UnixctlCommand[] {
    return [
      { name: "version", usage: "", minArgs: 0, maxArgs: 0, handler: () => versionText() },
      {
        name: "exit",
        usage: "[--cleanup]",
        minArgs: 0,
        maxArgs: 1,
        handler: async (args) => {
          await this.end(args[0] === "--cleanup");
          // The reply leaves in this turn of the event loop, and the process after it.
          setImmediate(() => setImmediate(() => process.exit(0)));
          return "";
        },
      },
      ...vlogCommands(this.vlog),
      ...coverageCommands(this.coverage),
      ...memoryCommands(this.memory),
      ...timeCommands(this.clock, () => this.loop.wake()),
    ];
  }

  private lockMemory(): void {
    if (!this.options.lockMemory) return;
    const status = this.calls.lockMemory();
    if (status < 0) this.vlog.source("vswitchd").err(`mlockall failed: ${errnoText(status)}`);
  }

  /** The bridge stage of a pass. */
  private async runSwitch(): Promise<void> {
    const idl = this.database?.idl;
    if (idl === undefined || this.running === undefined) return;
    if (idl.lockContended) {
      if (!this.toldOfOther) {
        const text = `another ovs-vswitchd process is running, disabling this process (pid ${process.pid}) until it goes away`;
        this.vlog.source("bridge").err(text);
      }
      this.toldOfOther = true;
    } else if (idl.hasLock) {
      this.toldOfOther = false;
    }
    await this.running.run();
    // The first configuration is done and written back; an empty database is configured by doing nothing.
    if (idl.hasLock && idl.seqno > 0) this.ready();
  }

  private ready(): void {
    if (this.isReady) return;
    this.isReady = true;
    this.vlog.source("bridge").info(`${program} (Open vSwitch) ${versionNumber}`);
    this.vlog.flush();
    announceReady(this.role, this.calls, !this.options.detach);
    if (this.options.detach) {
      this.vlog.setLevel(undefined, "console", "off");
      if (this.options.chdir) process.chdir("/");
    }
    const notify = process.env.NOTIFY_SOCKET;
    if (notify !== undefined) this.calls.sendDatagram(notify, Buffer.from("READY=1\n"));
  }

  /** Closes the switch, the database and the logs; the control socket stays for the reply. */
  private async end(cleanup: boolean): Promise<void> {
    if (this.ending) return;
    this.ending = true;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeMsMax);
    });
    const closing = (async () => {
      await this.loop.stop();
      await this.running?.close(cleanup);
    })();
    try {
      await Promise.race([closing, limit]);
    } catch (error) {
      this.fault("closing", error);
    }
    clearTimeout(timer);
    await this.release();
  }

  /** Gives back what other processes see: sockets, pidfile, log. */
  private async release(): Promise<void> {
    await this.database?.close().catch((error: unknown) => this.fault("closing the database", error));
    if (this.unixctlPath !== undefined) {
      await this.unixctl?.close(false);
      removeQuietly(this.unixctlPath);
    }
    this.pidfile?.remove(this.calls);
    this.pidfile = undefined;
    this.coverage.close();
    this.memory.close();
    this.vlog.flush();
  }

  private async endBySignal(signal: (typeof endingSignals)[number]): Promise<void> {
    if (this.ending) return;
    const text = `terminating with signal ${constants.signals[signal]} (${signalName(signal)})`;
    this.vlog.source("fatal_signal").warn(text);
    await this.end(false);
    this.vlog.close();
    for (const name of endingSignals) process.removeAllListeners(name);
    // Whoever waits for us sees what ended us.
    process.kill(process.pid, signal);
  }

  private fault(where: string, error: unknown): void {
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.vlog.source("vswitchd").err(`${where} failed by an internal error: ${trace}`);
  }

  /** Our own fault, nobody knows in which state: die so that `--monitor` starts afresh. */
  private crash(error: unknown): void {
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.vlog.source("util").emer(`unexpected error, aborting: ${trace}`);
    this.vlog.close();
    process.abort();
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch {
    // What is to be put into it will say so, by its own name.
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone.
  }
}
