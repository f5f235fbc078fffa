/** What the database is told: the columns that follow from a running switch.  Pure: from states to rows. */
import type { DeviceState } from "../netdev/index.js";
import type { InterfaceInput } from "../ovsdb/index.js";
import { cfmColumns, type LinkMonitor } from "./link-monitor.js";

/** Columns of an interface whose link nothing watches. */
const unwatched: InterfaceInput = { bfd_status: new Map(), ...cfmColumns(undefined) };

/** Columns of an interface that runs. */
export function runningColumns(
  ofport: number,
  error: string | undefined,
  state: DeviceState,
  status: ReadonlyMap<string, string>,
  carrierResets: number,
  lacpCurrent: boolean | undefined,
  monitor: LinkMonitor | undefined,
): InterfaceInput {
  return {
    ofport,
    error,
    admin_state: state.up ? "up" : "down",
    link_state: state.carrier ? "up" : "down",
    link_resets: carrierResets,
    lacp_current: lacpCurrent,
    mac_in_use: [...state.mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":"),
    mtu: state.mtu,
    ifindex: state.ifindex,
    link_speed: state.speedMbps === undefined ? undefined : state.speedMbps * 1_000_000,
    duplex: state.duplex,
    status,
    ...(monitor?.columns() ?? unwatched),
  };
}

/** Columns of an interface that could not be made. */
export function failedColumns(error: string | undefined): InterfaceInput {
  return {
    ofport: -1,
    error,
    admin_state: undefined,
    link_state: undefined,
    link_resets: undefined,
    lacp_current: undefined,
    mac_in_use: undefined,
    mtu: undefined,
    ifindex: undefined,
    link_speed: undefined,
    duplex: undefined,
    status: new Map(),
    ...unwatched,
    statistics: new Map(),
  };
}
