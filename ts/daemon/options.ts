import { join } from "node:path";
import { getopt, type LongOption } from "./getopt.js";
import { below, type Directories, program } from "./paths.js";

/** What `sluice vswitchd` takes, which is what ovs-vswitchd(8) takes.  The order is that of the ambiguity message. */
const rows: readonly LongOption[] = [
  { name: "help", short: "h", argument: "none" },
  { name: "version", short: "V", argument: "none" },
  { name: "mlockall", argument: "none" },
  { name: "unixctl", argument: "required" },
  { name: "detach", argument: "none" },
  { name: "no-self-confinement", argument: "none" },
  { name: "no-chdir", argument: "none" },
  { name: "pidfile", argument: "optional" },
  { name: "overwrite-pidfile", argument: "none" },
  { name: "monitor", argument: "none" },
  { name: "user", argument: "required" },
  { name: "verbose", short: "v", argument: "optional" },
  { name: "log-file", argument: "optional" },
  { name: "syslog-method", argument: "required" },
  { name: "syslog-target", argument: "required" },
  { name: "private-key", short: "p", argument: "required" },
  { name: "certificate", short: "c", argument: "required" },
  { name: "ca-cert", short: "C", argument: "required" },
  { name: "ssl-protocols", argument: "required" },
  { name: "ssl-ciphers", argument: "required" },
  { name: "peer-ca-cert", argument: "required" },
  { name: "bootstrap-ca-cert", argument: "required" },
  { name: "enable-dummy", argument: "optional" },
  { name: "disable-system", argument: "none" },
  { name: "disable-system-route", argument: "none" },
  { name: "dpdk", argument: "optional" },
  { name: "dummy-numa", argument: "required" },
];

/** How far `--enable-dummy` goes. */
export type DummyLevel = "none" | "plain" | "override" | "system";

export interface TlsFiles {
  readonly privateKey?: string;
  readonly certificate?: string;
  readonly caCert?: string;
  readonly bootstrapCaCert?: string;
  readonly peerCaCert?: string;
  readonly protocols?: string;
  readonly ciphers?: string;
}

export interface DaemonOptions {
  readonly directories: Directories;
  /** As given; undefined means the socket of the run directory, or the embedded database when nobody answers there. */
  readonly database: string | undefined;
  /** Undefined: no pidfile. */
  readonly pidfile: string | undefined;
  readonly overwritePidfile: boolean;
  readonly detach: boolean;
  readonly monitor: boolean;
  readonly chdir: boolean;
  readonly user: string | undefined;
  readonly lockMemory: boolean;
  /** Undefined: the default name, which has the pid in it.  "none": no control socket. */
  readonly unixctl: string | undefined;
  /** Undefined: no log file. */
  readonly logFile: string | undefined;
  readonly syslogMethod: string | undefined;
  readonly syslogTarget: string | undefined;
  readonly tls: TlsFiles;
  readonly dummy: DummyLevel;
  readonly disableSystem: boolean;
  readonly disableSystemRoute: boolean;
  /** NUMA node of each CPU, to play a larger machine in tests. */
  readonly dummyNuma: readonly number[] | undefined;
}

export type ParsedOptions =
  | { readonly kind: "run"; readonly options: DaemonOptions }
  | { readonly kind: "exit"; readonly status: number; readonly stdout: string; readonly stderr: string };

export interface OptionSurroundings {
  readonly directories: Directories;
  readonly workingDirectory: string;
  readonly versionText: string;
  /** Applies one `-v` argument; returns what is wrong with it. */
  readonly setVerbosity: (spec: string) => string | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Raised inside to leave the walk over the arguments. */
class Leave {
  constructor(readonly parsed: ParsedOptions) {}
}

function die(text: string): never {
  throw new Leave({ kind: "exit", status: 1, stdout: "", stderr: `${program}: ${text}\n` });
}

/** Reads the command line.  Never touches the system. */
export function parseOptions(args: readonly string[], around: OptionSurroundings): ParsedOptions {
  try {
    return { kind: "run", options: walk(args, around) };
  } catch (thrown) {
    if (thrown instanceof Leave) return thrown.parsed;
    throw thrown;
  }
}

function walk(args: readonly string[], around: OptionSurroundings): DaemonOptions {
  const { directories } = around;
  const tls: Mutable<TlsFiles> = {};
  const options: Mutable<DaemonOptions> = {
    directories,
    database: undefined,
    pidfile: undefined,
    overwritePidfile: false,
    detach: false,
    monitor: false,
    chdir: true,
    user: undefined,
    lockMemory: false,
    unixctl: undefined,
    logFile: undefined,
    syslogMethod: undefined,
    syslogTarget: undefined,
    tls,
    dummy: "none",
    disableSystem: false,
    disableSystemRoute: false,
    dummyNuma: undefined,
  };
  const words: string[] = [];
  for (const event of getopt(args, rows)) {
    if (event.kind === "error") die(event.text);
    if (event.kind === "word") words.push(event.word);
    else apply(options, tls, event.name, event.value, around);
  }
  if (words.length > 1) die("at most one non-option argument accepted; use --help for usage");
  options.database = words[0];
  return options;
}

function apply(
  options: Mutable<DaemonOptions>,
  tls: Mutable<TlsFiles>,
  name: string,
  value: string | undefined,
  around: OptionSurroundings,
): void {
  const { directories } = around;
  const text = value ?? "";
  switch (name) {
    case "help":
      throw new Leave({ kind: "exit", status: 0, stdout: usage(directories), stderr: "" });
    case "version":
      throw new Leave({ kind: "exit", status: 0, stdout: around.versionText, stderr: "" });
    case "mlockall":
      options.lockMemory = true;
      return;
    case "unixctl":
      options.unixctl = text === "none" ? text : below(directories.run, text);
      return;
    case "detach":
      options.detach = true;
      return;
    case "no-self-confinement":
      return;
    case "no-chdir":
      options.chdir = false;
      return;
    case "pidfile":
      options.pidfile = below(directories.run, value ?? `${program}.pid`);
      return;
    case "overwrite-pidfile":
      options.overwritePidfile = true;
      return;
    case "monitor":
      options.monitor = true;
      return;
    case "user":
      options.user = text;
      return;
    case "verbose": {
      const error = around.setVerbosity(text);
      if (error !== undefined) die(`processing "${text}": ${error}`);
      return;
    }
    case "log-file":
      options.logFile =
        value === undefined ? join(directories.log, `${program}.log`) : below(around.workingDirectory, value);
      return;
    case "syslog-method":
      options.syslogMethod = text;
      return;
    case "syslog-target":
      options.syslogTarget = text;
      return;
    case "enable-dummy":
      options.dummy = dummyLevel(value);
      return;
    case "disable-system":
      options.disableSystem = true;
      return;
    case "disable-system-route":
      options.disableSystemRoute = true;
      return;
    case "dpdk":
      die("Using --dpdk to configure DPDK is not supported.");
      break;
    case "dummy-numa":
      options.dummyNuma = text.split(",").map((node) => Number.parseInt(node, 10) || 0);
      return;
    default:
      applyTls(tls, name, text, around);
  }
}

function applyTls(tls: Mutable<TlsFiles>, name: string, value: string, around: OptionSurroundings): void {
  const file = below(around.workingDirectory, value);
  switch (name) {
    case "private-key":
      tls.privateKey = file;
      return;
    case "certificate":
      tls.certificate = file;
      return;
    case "ca-cert":
      tls.caCert = file;
      return;
    case "peer-ca-cert":
      tls.peerCaCert = file;
      return;
    case "bootstrap-ca-cert":
      tls.bootstrapCaCert = file;
      return;
    case "ssl-protocols":
      tls.protocols = value;
      return;
    case "ssl-ciphers":
      tls.ciphers = value;
      return;
    default:
      throw new Error(`The option --${name} has a row but nothing that applies it.`);
  }
}

function dummyLevel(value: string | undefined): DummyLevel {
  if (value === undefined || value === "") return "plain";
  if (value === "override" || value === "system") return value;
  return die(`${value}: unknown dummy level`);
}

function usage(directories: Directories): string {
  return `${program}: Open vSwitch daemon
usage: ${program} [OPTIONS] [DATABASE]
where DATABASE is a socket on which ovsdb-server is listening
      (default: "unix:${directories.run}/db.sock").

Active DATABASE connection methods:
  tcp:HOST:PORT           PORT at remote HOST
  ssl:HOST:PORT           SSL PORT at remote HOST
  unix:FILE               Unix domain socket named FILE
PKI configuration (required to use SSL):
  -p, --private-key=FILE  file with private key
  -c, --certificate=FILE  file with certificate for private key
  -C, --ca-cert=FILE      file with peer CA certificate
  --bootstrap-ca-cert=FILE  file with peer CA certificate to read or create
SSL options:
  --ssl-protocols=PROTOS  list of SSL protocols to enable
  --ssl-ciphers=CIPHERS   list of SSL ciphers to enable

Daemon options:
  --detach                run in background as daemon
  --monitor               creates a process to monitor this daemon
  --user=username[:group] changes the effective daemon user:group
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: ${directories.run}/${program}.pid)
  --overwrite-pidfile     with --pidfile, start even if already running

Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: ${directories.log}/${program}.log)
  --syslog-method=(libc|null|unix:file|udp:ip:port)
                           specify how to send messages to syslog daemon
  --syslog-target=HOST:PORT  also send syslog msgs to HOST:PORT via UDP

Other options:
  --unixctl=SOCKET          override default control socket name
  --enable-dummy[=LEVEL]    provide the dummy datapath, for tests
  -h, --help                display this help message
  -V, --version             display version information

Without DATABASE, when no ovsdb-server listens on the default socket, the database
is kept in ${directories.db}/conf.db and served on that socket by this process.
`;
}
