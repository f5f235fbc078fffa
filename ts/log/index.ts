/** Logging and counting as rooms see it: interfaces and silent defaults.  The daemon has what stands behind them. */
export type { Coverage, MemoryUsage } from "./coverage.js";
export { uncounted } from "./coverage.js";
export type { Level, LogFields, Logger, LogSource, Severity } from "./logger.js";
export { levels, silentLog, silentLogger } from "./logger.js";
export type { ModuleName } from "./modules.js";
export { modules } from "./modules.js";
