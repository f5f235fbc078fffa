import { isAbsolute, join, resolve } from "node:path";

/** Directories that Open vSwitch's programs share, each with the variable that overrides it. */
export interface Directories {
  readonly run: string;
  readonly log: string;
  readonly db: string;
  readonly sysconf: string;
  readonly pkgdata: string;
}

/** What in the environment says where things are. */
export const directoryVariables = [
  "OVS_RUNDIR",
  "OVS_LOGDIR",
  "OVS_DBDIR",
  "OVS_SYSCONFDIR",
  "OVS_PKGDATADIR",
] as const;

export function directories(env: Readonly<Record<string, string | undefined>>): Directories {
  const or = (name: (typeof directoryVariables)[number], otherwise: string): string => {
    const value = env[name];
    return value === undefined || value === "" ? otherwise : value;
  };
  const sysconf = or("OVS_SYSCONFDIR", "/etc");
  return {
    run: or("OVS_RUNDIR", "/var/run/openvswitch"),
    log: or("OVS_LOGDIR", "/var/log/openvswitch"),
    db: or("OVS_DBDIR", join(sysconf, "openvswitch")),
    sysconf,
    pkgdata: or("OVS_PKGDATADIR", "/usr/share/openvswitch"),
  };
}

/** A name given to an option, below `base` unless it is absolute. */
export function below(base: string, name: string): string {
  return isAbsolute(name) ? name : resolve(base, name);
}

/** The program that we stand in for: it names the pidfile, the control socket, the log and the log's lines. */
export const program = "ovs-vswitchd";
export const versionNumber = "3.1.0";
