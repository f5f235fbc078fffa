/** What `stp/show` prints.  Pure. */
import { addressOf, type BridgeId, priorityOf } from "./bpdu.js";
import { type StpState, type StpTimes, stpRole } from "./stp.js";

/** `aa:66:aa:66:00:00` */
export function addressText(address: bigint): string {
  const digits = address.toString(16).padStart(12, "0");
  return (digits.match(/../g) ?? []).join(":");
}

function identity(id: BridgeId, times: StpTimes): string[] {
  const seconds = (ms: number): string => `${Math.floor(ms / 1000)}s`;
  return [
    `  stp-priority  ${priorityOf(id)}`,
    `  stp-system-id   ${addressText(addressOf(id))}`,
    `  stp-hello-time  ${seconds(times.helloMs)}`,
    `  stp-max-age     ${seconds(times.maxAgeMs)}`,
    `  stp-fwd-delay   ${seconds(times.forwardDelayMs)}`,
  ];
}

/** A column of a table: at most `most` letters in `width`. */
const cell = (text: string, width: number, most: number): string => text.slice(0, most).padEnd(width);

export function formatStp(state: StpState): string {
  const root = state.ports.find(({ number }) => number === state.rootPort);
  const shown = state.ports.filter((port) => port.state !== "disabled");
  const lines = [
    `---- ${state.settings.name} ----`,
    "Root ID:",
    ...identity(state.designatedRoot, state.ownTimes),
    ...(root === undefined
      ? ["  This bridge is the root"]
      : [`  root-port       ${root.name}`, `  root-path-cost  ${state.rootPathCost}`]),
    "",
    "Bridge ID:",
    ...identity(state.bridgeId, state.times),
    "",
    `  ${cell("Interface", 11, 10)}${cell("Role", 11, 10)}${cell("State", 11, 10)}${cell("Cost", 6, 5)}${cell("Pri.Nbr", 8, 7)}`,
    "  ---------- ---------- ---------- ----- -------",
    ...shown.map(
      (port) =>
        `  ${cell(port.name, 11, 10)}${cell(stpRole(state, port), 11, 10)}${cell(port.state, 11, 10)}` +
        `${String(port.pathCost).padEnd(6)}${port.priority}.${port.number}`,
    ),
    "",
  ];
  return lines.map((line) => `${line}\n`).join("");
}
