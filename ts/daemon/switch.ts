import type { UnixctlCommand } from "../appctl/index.js";
import type { AdjustableClock } from "../clock/index.js";
import type { Coverage, LogSource } from "../log/index.js";
import type { Idl, VswitchTables } from "../ovsdb/index.js";
import type { DummyLevel, TlsFiles } from "./options.js";
import type { Directories } from "./paths.js";
import type { ProcessCalls } from "./process-calls.js";

/** What the process gives the switch that runs in it. */
export interface SwitchSurroundings {
  readonly idl: Idl<VswitchTables>;
  readonly clock: AdjustableClock;
  readonly log: LogSource;
  readonly coverage: Coverage;
  readonly directories: Directories;
  readonly dummy: DummyLevel;
  /** No `system` datapath. */
  readonly disableSystem: boolean;
  /** `--disable-system-route`: tunnels use only routes that a user adds. */
  readonly disableSystemRoute: boolean;
  readonly dummyNuma: readonly number[] | undefined;
  /** Calls `listener` after each change of what the log lets through. */
  readonly onLogLevels: (listener: () => void) => void;
  /** What `Open_vSwitch.ovs_version` should hold when nobody has set it. */
  readonly versionNumber: string;
  /** This process's. */
  readonly pidfile?: string | undefined;
  /** Keys and certificates that the command line names. */
  readonly tls: TlsFiles;
  readonly calls: ProcessCalls;
  /** Asks for a pass of the main loop. */
  readonly wake: () => void;
}

/** The running switch as the process sees it: the bridge room's work. */
export interface RunningSwitch {
  readonly commands: readonly UnixctlCommand[];
  /** One pass: brings the bridges to what the database wants.  Resolves when that is done and written back. */
  run(): Promise<void>;
  /** The devices' part of a pass, after the commands. */
  runDevices(): void;
  memoryUsage(): Readonly<Record<string, number>>;
  counters(): Readonly<Record<string, number>>;
  /** Ends it.  With `cleanup` nothing stays behind in the system; without, what outlives a process may. */
  close(cleanup: boolean): Promise<void>;
}

export type StartSwitch = (surroundings: SwitchSurroundings) => Promise<RunningSwitch>;
