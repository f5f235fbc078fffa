/** What the database shows of a spanning tree.  Pure. */
import {
  addressOf,
  type BridgeId,
  priorityOf,
  type RstpState,
  rstpRoleText,
  rstpStateText,
  type StpState,
  stpPortId,
  stpRole,
} from "../protocols/index.js";

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");

/** `8000.aa66aa660000` */
function idText(id: BridgeId): string {
  return `${hex(priorityOf(id), 4)}.${hex(addressOf(id), 12)}`;
}

/** Bridge.status. */
export function stpBridgeStatus(stp: StpState | undefined): ReadonlyMap<string, string> {
  if (stp === undefined) return new Map();
  return new Map([
    ["stp_bridge_id", idText(stp.bridgeId)],
    ["stp_designated_root", idText(stp.designatedRoot)],
    ["stp_root_path_cost", String(stp.rootPathCost)],
  ]);
}

/** Port.status of the port of an interface. */
export function stpPortStatus(stp: StpState | undefined, name: string, now: number): ReadonlyMap<string, string> {
  const port = stp?.ports.find((each) => each.name === name);
  if (stp === undefined || port === undefined) return new Map();
  return new Map([
    ["stp_port_id", String(stpPortId(port))],
    ["stp_state", port.state],
    ["stp_sec_in_state", String(Math.floor((now - port.enteredMs) / 1000))],
    ["stp_role", stpRole(stp, port)],
  ]);
}

/** Port.statistics. */
export function stpPortStatistics(stp: StpState | undefined, name: string): ReadonlyMap<string, number> {
  const port = stp?.ports.find((each) => each.name === name);
  if (port === undefined) return new Map();
  return new Map([
    ["stp_tx_count", port.txCount],
    ["stp_rx_count", port.rxCount],
    ["stp_error_count", port.errorCount],
  ]);
}

/** `8.000.aa66aa660000` */
function rapidIdText(id: BridgeId): string {
  const priority = priorityOf(id);
  return `${hex(priority >> 12, 1)}.${hex(priority & 0xfff, 3)}.${hex(addressOf(id), 12)}`;
}

/** Bridge.rstp_status. */
export function rstpBridgeStatus(rstp: RstpState | undefined): ReadonlyMap<string, string> {
  if (rstp === undefined) return new Map();
  const { rootPriority } = rstp;
  return new Map([
    ["rstp_bridge_id", rapidIdText(rstp.bridgeId)],
    ["rstp_root_path_cost", String(rootPriority.cost)],
    ["rstp_root_id", rapidIdText(rootPriority.root)],
    ["rstp_designated_id", rapidIdText(rootPriority.bridge)],
    ["rstp_designated_port_id", hex(rootPriority.port, 4)],
    ["rstp_bridge_port_id", hex(rstp.rootPortId, 4)],
  ]);
}

/** Port.rstp_status of the port of an interface. */
export function rstpPortStatus(rstp: RstpState | undefined, name: string): ReadonlyMap<string, string> {
  const port = rstp?.ports.find((each) => each.name === name);
  if (port === undefined) return new Map();
  return new Map([
    ["rstp_port_id", hex((port.priority << 8) | port.number, 4)],
    ["rstp_port_role", rstpRoleText[port.role]],
    ["rstp_port_state", rstpStateText[port.state]],
    ["rstp_designated_bridge_id", rapidIdText(port.portPriority.bridge)],
    ["rstp_designated_port_id", hex(port.portPriority.port, 4)],
    ["rstp_designated_path_cost", String(port.portPriority.cost)],
  ]);
}

/** Port.rstp_statistics. */
export function rstpPortStatistics(rstp: RstpState | undefined, name: string): ReadonlyMap<string, number> {
  const port = rstp?.ports.find((each) => each.name === name);
  if (port === undefined) return new Map();
  return new Map([
    ["rstp_tx_count", port.sent],
    ["rstp_rx_count", port.received],
    ["rstp_uptime", port.uptime],
    ["rstp_error_count", port.errors],
  ]);
}
