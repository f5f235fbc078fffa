/** The daemon as `sluice ctl` sees it: whether it runs, how it was started, how it is stopped, and how another one is
 *  made ready to take its place. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { basename, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import {
  below,
  directories,
  directoryVariables,
  gateVariable,
  loadProcessCalls,
  PidfileError,
  parseOptions,
  pidfileHolder,
} from "../daemon/index.js";
import { exchange } from "./appctl.js";
import { Failure } from "./failure.js";

const program = "ovs-vswitchd";
const pollMs = 2;
/** How long a daemon may take to end that was asked to. */
const askMs = 4000;

export interface RunningDaemon {
  readonly pid: number;
  /** Options and arguments that it was started with. */
  readonly words: readonly string[];
  /** It is Open vSwitch's own, which leaves its datapath and its devices behind unless it is asked not to. */
  readonly isOvs: boolean;
  /** Its control socket; undefined when it has none. */
  readonly unixctl: string | undefined;
}

/** What a daemon makes of its words, as far as whoever starts and stops it must know.  Words that it refuses, it says. */
export function settingsOf(words: readonly string[]): { pidfile?: string; unixctl?: string; database?: string } {
  const parsed = parseOptions(words, {
    directories: directories(process.env),
    workingDirectory: process.cwd(),
    versionText: "",
    setVerbosity: () => undefined,
  });
  if (parsed.kind === "exit") return {};
  const { pidfile, unixctl, database } = parsed.options;
  return {
    ...(pidfile === undefined ? {} : { pidfile }),
    ...(unixctl === undefined ? {} : { unixctl }),
    ...(database === undefined ? {} : { database }),
  };
}

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** The daemon that holds the pidfile; undefined when none does.  Its directories are ours from then on, wherever it was told
 *  that they are. */
export function findDaemon(pidfile = `${program}.pid`): RunningDaemon | undefined {
  const pid = holderOf(below(directories(process.env).run, pidfile));
  if (pid === 0) return undefined;
  const stringsOf = (file: string): string[] => readFileSync(`/proc/${pid}/${file}`, "utf8").split("\0").slice(0, -1);
  const environment = new Map(stringsOf("environ").map((text) => [text.split("=", 1)[0], text.replace(/^.*?=/s, "")]));
  for (const name of directoryVariables) {
    const value = environment.get(name);
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  const all = stringsOf("cmdline");
  const isOvs = basename(all[0] ?? "") === program;
  // The other daemon, ovs-vswitchd, takes the same options.
  const words = all.slice(isOvs ? 1 : all.indexOf("vswitchd") + 1);
  const { unixctl = join(directories(process.env).run, `${program}.${pid}.ctl`) } = settingsOf(words);
  return { pid, isOvs, words, unixctl: unixctl === "none" ? undefined : unixctl };
}

function holderOf(path: string): number {
  try {
    return pidfileHolder(path, loadProcessCalls());
  } catch (error) {
    if (!(error instanceof PidfileError)) throw error;
    throw new Failure(`${error.message}: whoever runs the daemon may look`);
  }
}

/** Waits until the process is gone; false when it is still there after `ms`. */
async function gone(pid: number, ms: number): Promise<boolean> {
  const end = performance.now() + ms;
  while (isThere(pid)) {
    if (performance.now() > end) return false;
    await setTimeout(pollMs);
  }
  return true;
}

/** Asks it to end, then tells it, then makes it. */
export async function stopDaemon({ pid, isOvs, unixctl }: RunningDaemon): Promise<void> {
  const asked =
    unixctl !== undefined &&
    exchange(unixctl, [["exit", isOvs ? ["--cleanup"] : []]]).then(
      () => true,
      () => false,
    );
  // Whoever cannot be asked is told at once.
  const isAsked = await Promise.race([asked, gone(pid, askMs)]);
  if (isAsked && (await gone(pid, askMs))) return;
  for (const [signal, ms] of [
    ["SIGTERM", 8000],
    ["SIGKILL", 30_000],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      // It went meanwhile.
    }
    if (await gone(pid, ms)) return;
  }
  throw new Failure(`process ${pid} does not end, not even when killed: look at /proc/${pid}/stack for what holds it`);
}

/** Words for a daemon in the background, besides its pidfile. */
export const defaultWords = [
  ...["--detach", "--monitor", "--no-chdir", "--log-file"],
  ...["-vconsole:emer", "-vsyslog:err", "-vfile:info"],
];

/** Resolves when the daemon has done its first configuration. */
function run(words: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    const args = [...process.execArgv, process.argv[1] ?? "", "vswitchd", ...words];
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", (error) => reject(new Failure(`cannot start the daemon: ${error.message}`)));
    child.once("exit", (status, signal) => {
      if (status === 0) resolve();
      else
        reject(
          new Failure(`the daemon did not start (${signal ?? `status ${status}`}): its words and its log say why`),
        );
    });
  });
}

/** With what whoever starts and stops a daemon needs. */
function inBackground(words: readonly string[], pidfile: string | undefined): readonly string[] {
  const has = (option: string): boolean => words.some((one) => one === option || one.startsWith(`${option}=`));
  return [
    ...(has("--detach") ? [] : ["--detach"]),
    ...(has("--pidfile") ? [] : [pidfile === undefined ? "--pidfile" : `--pidfile=${pidfile}`]),
    ...words,
  ];
}

export function startDaemon(words: readonly string[], pidfile: string | undefined): Promise<void> {
  return run(inBackground(words, pidfile), process.env);
}

export interface PreparedDaemon {
  /** Lets it begin.  Resolves when it has done its first configuration. */
  begin(): Promise<void>;
  cancel(): void;
}

/** How long a process may take to load before the other one is stopped all the same. */
const loadMsMax = 10_000;

/** Starts a daemon that loads everything and then waits, so that this time is over when the other one stops. */
export async function prepareDaemon(words: readonly string[], pidfile: string | undefined): Promise<PreparedDaemon> {
  const directory = mkdtempSync(join(directories(process.env).run, "gate-"));
  const path = join(directory, "gate");
  let waiting: Socket | undefined;
  const server = createServer();
  const loaded = new Promise<void>((resolve) => {
    server.once("connection", (socket) => {
      waiting = socket.on("error", () => {});
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new Failure(`${path}: ${error.message}`)));
    server.listen(path, resolve);
  });
  const over = (): void => {
    waiting?.destroy();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  };
  const started = run(inBackground(words, pidfile), { ...process.env, [gateVariable]: path });
  started.catch(() => {});
  const late = new AbortController();
  try {
    await Promise.race([loaded, started, setTimeout(loadMsMax, undefined, { signal: late.signal }).catch(() => {})]);
  } catch (error) {
    over();
    throw error;
  } finally {
    late.abort();
  }
  return {
    begin: () => {
      over();
      return started;
    },
    cancel: over,
  };
}
