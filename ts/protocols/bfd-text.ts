/** BFD's state as `ovs-appctl bfd/show` and the database show it.  Pure. */
import { bfdDiagnosticText, bfdFlagsText } from "./bfd-packet.js";
import { type BfdState, bfdFlags, bfdForwards, bfdMinTxMs, bfdRxIntervalMs, bfdTxIntervalMs } from "./bfd-state.js";

const signed = (ms: number): string => `${ms < 0 ? "" : "+"}${Math.round(ms)}`;
const hex = (value: number): string => `0x${value.toString(16)}`;

export function formatBfd(state: BfdState, now: number): string {
  const { settings, remote } = state;
  const lines = [
    `Forwarding: ${bfdForwards(state)}`,
    `Detect Multiplier: ${settings.mult}`,
    `Concatenated Path Down: ${settings.cpathDown}`,
    `TX Interval: Approx ${bfdTxIntervalMs(state)}ms`,
    `RX Interval: Approx ${bfdRxIntervalMs(state)}ms`,
    `Detect Time: now ${signed(state.detectTime - now)}ms`,
    `Next TX Time: now ${signed(state.nextTx - now)}ms`,
    `Last TX Time: now ${signed(state.lastTx - now)}ms`,
    undefined,
    `Local Flags: ${bfdFlagsText(bfdFlags(state))}`,
    `Local Session State: ${state.state}`,
    `Local Diagnostic: ${bfdDiagnosticText(state.diagnostic)}`,
    `Local Discriminator: ${hex(state.disc)}`,
    `Local Minimum TX Interval: ${bfdMinTxMs(state)}ms`,
    `Local Minimum RX Interval: ${state.minRxMs}ms`,
    undefined,
    `Remote Flags: ${bfdFlagsText(remote.flags)}`,
    `Remote Session State: ${remote.state}`,
    `Remote Diagnostic: ${bfdDiagnosticText(remote.diagnostic)}`,
    `Remote Discriminator: ${hex(remote.disc)}`,
    `Remote Minimum TX Interval: ${remote.minTxMs}ms`,
    `Remote Minimum RX Interval: ${remote.minRxMs}ms`,
    `Remote Detect Multiplier: ${remote.mult}`,
  ];
  return lines.map((line) => (line === undefined ? "\n" : `  ${line}\n`)).join("");
}

/** Interface.bfd_status. */
export function bfdStatus(state: BfdState): ReadonlyMap<string, string> {
  return new Map([
    ["forwarding", String(bfdForwards(state))],
    ["state", state.state],
    ["diagnostic", bfdDiagnosticText(state.diagnostic)],
    ["flap_count", String(state.flaps)],
    ["remote_state", state.remote.state],
    ["remote_diagnostic", bfdDiagnosticText(state.remote.diagnostic)],
  ]);
}
