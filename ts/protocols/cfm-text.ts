/** CFM's state as `ovs-appctl cfm/show` prints it.  Pure. */
import { type CfmState, cfmFaultNames, cfmFaults } from "./cfm-state.js";

const upDown = (up: boolean): string => (up ? "up" : "down");

export function formatCfm(state: CfmState, now: number): string {
  const { settings } = state;
  const faults = cfmFaults(state);
  const lines = [
    `---- ${settings.name} ----`,
    `MPID ${settings.mpid}:${settings.extended ? " extended" : ""}${state.override === undefined ? "" : " fault_override"}`,
    ...(faults === 0 ? [] : [`  fault: ${cfmFaultNames(faults).join(" ")}`]),
    `  average health: ${state.health ?? "undefined"}`,
    `  opstate: ${upDown(settings.opup)}`,
    `  remote_opstate: ${upDown(state.remoteOpup)}`,
    `  interval: ${state.intervalMs}ms`,
    `  next CCM tx: ${Math.round(state.nextTx - now)}ms`,
    `  next fault check: ${Math.round(state.lookDue - now)}ms`,
  ];
  for (const remote of state.remotes) {
    lines.push(
      `Remote MPID ${remote.mpid}`,
      `  recv since check: ${remote.isHeard}`,
      `  opstate: ${upDown(remote.opup)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
