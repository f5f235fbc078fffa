/** How every room logs, without knowing where it goes.
 *
 *  A room takes a `LogSource` when it is made (default: `silentLog`) and asks it for the loggers of its modules:
 *
 *  ```ts
 *  const log = source("bridge");
 *  const limited = log.limited(5, 20);           // at most 5 a minute, bursts of 20
 *  log.info(`bridge ${name}: added interface ${port}`, { bridge: name, port });
 *  if (log.enabled("dbg")) log.dbg(expensiveText());
 *  ```
 *
 *  The text is a whole sentence as a person reads it in the log; `fields` repeat its parts for machines. */
import type { ModuleName } from "./modules.js";

/** From least to most talkative. */
export const levels = ["off", "emer", "err", "warn", "info", "dbg"] as const;
export type Level = (typeof levels)[number];
/** A level that a message can have. */
export type Severity = Exclude<Level, "off">;

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  emer(text: string, fields?: LogFields): void;
  err(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  dbg(text: string, fields?: LogFields): void;
  /** Whether a message of this severity would go anywhere: ask before making an expensive text. */
  enabled(severity: Severity): boolean;
  /** A logger to the same module that lets through `perMinute` messages, `burst` at once, and tells how many it dropped.
   *  Make it once and keep it: the limit is the object's. */
  limited(perMinute: number, burst: number): Logger;
}

export type LogSource = (module: ModuleName) => Logger;

const nothing = (): void => {};

/** A logger that says nothing. */
export const silentLogger: Logger = {
  emer: nothing,
  err: nothing,
  warn: nothing,
  info: nothing,
  dbg: nothing,
  enabled: () => false,
  limited: () => silentLogger,
};

/** The default of every room that takes a LogSource. */
export const silentLog: LogSource = () => silentLogger;
