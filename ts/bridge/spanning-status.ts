/** What the database shows of a spanning tree.  Pure. */
import { addressOf, type BridgeId, priorityOf, type StpState, stpPortId, stpRole } from "../protocols/index.js";

/** `8000.aa66aa660000` */
function idText(id: BridgeId): string {
  const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");
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
