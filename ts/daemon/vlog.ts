import type { Clock } from "../clock/index.js";
import {
  type Level,
  type Logger,
  type LogSource,
  levels,
  type ModuleName,
  modules,
  type Severity,
} from "../log/index.js";
import { systemErrorText } from "./errno.js";
import { LogFile } from "./log-file.js";
import type { SyslogSink } from "./syslog.js";
import { compilePattern, type LogOrigin, type LogRecord } from "./vlog-pattern.js";

/** In the order of `vlog/list`. */
export const destinations = ["console", "syslog", "file"] as const;
export type Destination = (typeof destinations)[number];

const facilities = [
  "kern",
  "user",
  "mail",
  "daemon",
  "auth",
  "syslog",
  "lpr",
  "news",
  "uucp",
  "clock",
  "ftp",
  "ntp",
  "audit",
  "alert",
  "clock2",
  "local0",
  "local1",
  "local2",
  "local3",
  "local4",
  "local5",
  "local6",
  "local7",
] as const;
const daemonFacility = facilities.indexOf("daemon");

const rank: Readonly<Record<Level, number>> = { off: 0, emer: 1, err: 2, warn: 3, info: 4, dbg: 5 };
const syslogSeverity: Readonly<Record<string, number>> = { EMER: 0, ERR: 3, WARN: 4, INFO: 6, DBG: 7 };

const defaultPatterns: Readonly<Record<Destination, string>> = {
  console: "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
  syslog: "ovs|%05N|%c%T|%p|%m",
  file: "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
};
/** What a syslog target wants around a message: RFC 5424, with a byte-order mark to say UTF-8. */
const targetPattern = compilePattern("<%B>1 %D{%Y-%m-%dT%H:%M:%S.###Z} %E %A %P %c - \ufeff%m");

type ModuleLevels = { [D in Destination]: Level } & { limited: boolean };

/** Tokens of a rate limit: a message costs `messageTokens`, a millisecond gives `perMinute`. */
const messageTokens = 60_000;

export interface VlogOptions {
  readonly program: string;
  readonly hostname: string;
  readonly pid: number;
  readonly clock: Clock;
  /** Writes a line to standard error. */
  readonly writeConsole: (line: string) => void;
  readonly defaultLogFile: string;
}

/** Where log messages go: levels by module and destination, patterns, and the destinations themselves. */
export class Vlog {
  private readonly levels = new Map<ModuleName, ModuleLevels>();
  private readonly patterns = { ...defaultPatterns };
  private readonly formats = {
    console: compilePattern(defaultPatterns.console),
    syslog: compilePattern(defaultPatterns.syslog),
    file: compilePattern(defaultPatterns.file),
  };
  private readonly loggers = new Map<ModuleName, Logger>();
  private readonly levelListeners: (() => void)[] = [];
  private readonly origin: LogOrigin;
  private facility = daemonFacility;
  private sequence = 0;
  private file: LogFile | undefined;
  private syslog: SyslogSink | undefined;
  private syslogTarget: SyslogSink | undefined;

  constructor(private readonly options: VlogOptions) {
    for (const name of modules) {
      this.levels.set(name, { console: "info", syslog: "info", file: "info", limited: true });
    }
    this.origin = {
      program: options.program,
      hostname: options.hostname,
      pid: options.pid,
      startedMs: options.clock.wall(),
      priority: (level) => this.facility * 8 + (syslogSeverity[level] ?? 7),
    };
  }

  /** What rooms are given. */
  readonly source: LogSource = (module) => {
    let logger = this.loggers.get(module);
    if (logger === undefined) {
      logger = this.makeLogger(module);
      this.loggers.set(module, logger);
    }
    return logger;
  };

  setSyslog(sink: SyslogSink | undefined): void {
    this.syslog?.close();
    this.syslog = sink;
  }

  setSyslogTarget(sink: SyslogSink | undefined): void {
    this.syslogTarget?.close();
    this.syslogTarget = sink;
  }

  /** Sets one module, or all, at one destination, or all. */
  setLevel(module: ModuleName | undefined, destination: Destination | undefined, level: Level): void {
    for (const name of module === undefined ? modules : [module]) {
      const at = this.levels.get(name)!;
      for (const one of destination === undefined ? destinations : [destination]) at[one] = level;
    }
    for (const listener of this.levelListeners) listener();
  }

  /** Calls `listener` after each change of a level. */
  onLevels(listener: () => void): void {
    this.levelListeners.push(listener);
  }

  /** Starts to log to `path`, or to the file named before, or to the default one.  Logs what came of it. */
  openFile(path?: string): Error | undefined {
    const name = path ?? this.file?.path ?? this.options.defaultLogFile;
    const log = this.source("vlog");
    const file = new LogFile(name);
    try {
      file.open();
    } catch (error) {
      log.warn(`failed to open ${name} for logging: ${systemErrorText(error)}`);
      return error instanceof Error ? error : new Error(String(error));
    }
    this.file?.close();
    this.file = file;
    log.info(`opened log file ${name}`);
    return undefined;
  }

  /** Opens the file again under its name, for logrotate.  Undefined when done, or why not. */
  reopen(): string | undefined {
    if (this.file === undefined) return "Logging to file not configured";
    const error = this.openFile(this.file.path);
    return error === undefined ? undefined : systemErrorText(error);
  }

  closeFile(): void {
    this.file?.close();
  }

  /** Writes what is buffered. */
  flush(): void {
    this.file?.flush();
  }

  close(): void {
    this.file?.close();
    this.setSyslog(undefined);
    this.setSyslogTarget(undefined);
  }

  /** Takes one argument of `vlog/set` or `-v`.  Undefined when done, or Open vSwitch's words for what is wrong. */
  set(spec: string): string | undefined {
    const words = spec.split(/[ ,:\t]+/).filter((word) => word !== "");
    const first = words[0]?.toLowerCase();
    if (first === "pattern") return this.setPattern(spec.trim().replace(/^pattern[ ,:\t]*/i, ""));
    if (first === "facility") return this.setFacility(words[1] ?? "");

    let module: ModuleName | undefined;
    let destination: Destination | undefined;
    let level: Level | undefined;
    for (const word of words) {
      const lower = word.toLowerCase();
      if (lower === "any") continue;
      if (isOneOf(destinations, lower)) {
        if (destination !== undefined) return "cannot specify multiple destinations";
        destination = lower;
      } else if (isOneOf(levels, lower)) {
        if (level !== undefined) return "cannot specify multiple levels";
        level = lower;
      } else if (isOneOf(modules, lower)) {
        if (module !== undefined) return "cannot specify multiple modules";
        module = lower;
      } else {
        return `no destination, level, or module "${word}"`;
      }
    }
    this.setLevel(module, destination, level ?? "dbg");
    return undefined;
  }

  /** Switches the rate limits of modules off or on.  The name that is unknown, if one is. */
  setRateLimits(names: readonly string[], limited: boolean): string | undefined {
    for (const name of names) {
      const lower = name.toLowerCase();
      if (lower !== "any" && !isOneOf(modules, lower)) return name;
    }
    const wanted = names.map((name) => name.toLowerCase());
    const all = wanted.length === 0 || wanted.includes("any");
    for (const [name, at] of this.levels) if (all || wanted.includes(name)) at.limited = limited;
    return undefined;
  }

  /** As `vlog/list` prints it. */
  list(): string {
    const lines = ["                 console    syslog    file", "                 -------    ------    ------"];
    for (const name of [...modules].sort()) {
      const at = this.levels.get(name)!;
      const [console, syslog, file] = destinations.map((destination) => at[destination].toUpperCase());
      const unlimited = at.limited ? "" : "    (rate limiting disabled)";
      lines.push(
        `${name.padEnd(16)}  ${console!.padStart(4)}       ${syslog!.padStart(4)}       ${file!.padStart(4)}${unlimited}`,
      );
    }
    return `${lines.join("\n")}\n`;
  }

  /** The same as data. */
  levelTable(): Readonly<Record<string, Readonly<Record<Destination, Level>>>> {
    return Object.fromEntries(
      [...this.levels].map(([name, { console, syslog, file }]) => [name, { console, syslog, file }]),
    );
  }

  /** As `vlog/list-pattern` prints it. */
  listPatterns(): string {
    const row = (name: string, prefix: string, format: string): string =>
      `${name.padEnd(8)} ${prefix.padEnd(33)} ${format}`;
    return [
      "         prefix                            format",
      "         ------                            ------",
      row("SYSLOG", "<%B> %D{%h %e %T} %E %A:", this.patterns.syslog),
      row("CONSOLE", "none", this.patterns.console),
      row("FILE", "none", this.patterns.file),
      "",
    ].join("\n");
  }

  private setPattern(rest: string): string | undefined {
    const match = /^([^ :,\t]+)[ :,\t]?([\s\S]*)$/.exec(rest);
    if (match === null) return "missing destination";
    const name = match[1]!.toLowerCase();
    const pattern = match[2] ?? "";
    if (name !== "any" && !isOneOf(destinations, name)) return `unknown destination "${match[1]}"`;
    for (const destination of isOneOf(destinations, name) ? [name] : destinations) {
      this.patterns[destination] = pattern;
      this.formats[destination] = compilePattern(pattern);
    }
    return undefined;
  }

  private setFacility(name: string): string | undefined {
    const lower = name.toLowerCase();
    if (!isOneOf(facilities, lower)) return "invalid facility";
    this.facility = facilities.indexOf(lower);
    return undefined;
  }

  private makeLogger(module: ModuleName): Logger {
    const at = this.levels.get(module)!;
    const enabled = (severity: Severity): boolean => {
      const wanted = rank[severity];
      return (
        rank[at.console] >= wanted ||
        (rank[at.file] >= wanted && this.file?.isOpen === true) ||
        (rank[at.syslog] >= wanted && (this.syslog ?? this.syslogTarget) !== undefined)
      );
    };
    const write = (severity: Severity, text: string): void => {
      if (enabled(severity)) this.write(module, at, severity, text);
    };
    return {
      ...severities(write),
      enabled,
      limited: (perMinute, burst) => this.makeLimited(at, enabled, write, perMinute, burst),
    };
  }

  /** A token bucket before `write`.  What it drops is told with the next message that it lets through. */
  private makeLimited(
    at: ModuleLevels,
    enabled: (severity: Severity) => boolean,
    write: (severity: Severity, text: string) => void,
    perMinute: number,
    burst: number,
  ): Logger {
    const { clock } = this.options;
    const full = burst * messageTokens;
    let tokens = full;
    let filledAt = clock.monotonic();
    let dropped = 0;
    let firstDropped = 0;
    let lastDropped = 0;
    const limitedWrite = (severity: Severity, text: string): void => {
      if (!enabled(severity)) return;
      if (at.limited) {
        const now = clock.monotonic();
        tokens = Math.min(full, tokens + (now - filledAt) * perMinute);
        filledAt = now;
        if (tokens < messageTokens) {
          if (dropped === 0) firstDropped = now;
          lastDropped = now;
          dropped++;
          return;
        }
        tokens -= messageTokens;
        if (dropped > 0) {
          const since = Math.floor((now - firstDropped) / 1000);
          const recent = Math.floor((now - lastDropped) / 1000);
          const text = `Dropped ${dropped} log messages in last ${since} seconds (most recently, ${recent} seconds ago) due to excessive rate`;
          dropped = 0;
          write(severity, text);
        }
      }
      write(severity, text);
    };
    return {
      ...severities(limitedWrite),
      enabled,
      limited: (rate, most) => this.makeLimited(at, enabled, write, rate, most),
    };
  }

  private write(module: ModuleName, at: ModuleLevels, severity: Severity, text: string): void {
    const { origin, formats } = this;
    this.sequence++;
    const level = severity.toUpperCase();
    const record: LogRecord = { wallMs: this.options.clock.wall(), sequence: this.sequence, module, level, text };
    const wanted = rank[severity];
    if (rank[at.console] >= wanted) this.options.writeConsole(formats.console(record, origin));
    if (rank[at.syslog] >= wanted && (this.syslog ?? this.syslogTarget) !== undefined) {
      for (const line of text.split("\n")) {
        const one = { ...record, text: line };
        this.syslog?.send(origin.priority(level), formats.syslog(one, origin));
        this.syslogTarget?.send(origin.priority(level), targetPattern(one, origin));
      }
    }
    if (rank[at.file] >= wanted) {
      this.file?.append(formats.file(record, origin));
      // The next thing may be that the process ends.
      if (severity === "emer") this.file?.flush();
    }
  }
}

function severities(write: (severity: Severity, text: string) => void) {
  return {
    emer: (text: string) => write("emer", text),
    err: (text: string) => write("err", text),
    warn: (text: string) => write("warn", text),
    info: (text: string) => write("info", text),
    dbg: (text: string) => write("dbg", text),
  };
}

function isOneOf<T extends string>(list: readonly T[], word: string): word is T {
  return (list as readonly string[]).includes(word);
}
