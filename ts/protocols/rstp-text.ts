/** What `rstp/show` prints.  Pure. */
import { addressOf, type BridgeId, priorityOf } from "./bpdu.js";
import { portIdOf } from "./rstp-machines.js";
import type { RstpPortState, RstpRole, RstpState, Times } from "./rstp-state.js";
import { addressText } from "./stp-text.js";

export const rstpRoleText: Readonly<Record<RstpRole, string>> = {
  root: "Root",
  designated: "Designated",
  alternate: "Alternate",
  backup: "Backup",
  disabled: "Disabled",
};

export const rstpStateText: Readonly<Record<RstpPortState, string>> = {
  discarding: "Discarding",
  learning: "Learning",
  forwarding: "Forwarding",
};

function identity(id: BridgeId, times: Times): string[] {
  return [
    `  stp-priority    ${priorityOf(id)}`,
    `  stp-system-id   ${addressText(addressOf(id))}`,
    `  stp-hello-time  ${times.hello}s`,
    `  stp-max-age     ${times.maxAge}s`,
    `  stp-fwd-delay   ${times.forwardDelay}s`,
  ];
}

const cell = (text: string, width: number): string => text.slice(0, width - 1).padEnd(width);

export function formatRstp(state: RstpState): string {
  const root = state.ports.find((port) => state.rootPortId !== 0 && portIdOf(port) === state.rootPortId);
  const lines = [
    `---- ${state.settings.name} ----`,
    "Root ID:",
    ...(root === undefined
      ? [...identity(state.bridgeId, state.times), "  This bridge is the root"]
      : [
          ...identity(state.rootPriority.root, root.portTimes),
          `  root-port       ${root.name}`,
          `  root-path-cost  ${state.rootPriority.cost}`,
        ]),
    "",
    "Bridge ID:",
    ...identity(state.bridgeId, state.times),
    "",
    `  ${cell("Interface", 11)}${cell("Role", 11)}${cell("State", 11)}${cell("Cost", 9)}${cell("Pri.Nbr", 8)}`,
    "  ---------- ---------- ---------- -------- -------",
    ...state.ports.map(
      (port) =>
        `  ${cell(port.name, 11)}${cell(rstpRoleText[port.role], 11)}${cell(rstpStateText[port.state], 11)}` +
        `${String(port.pathCost).padEnd(9)}${port.priority}.${port.number}`,
    ),
    "",
  ];
  return lines.map((line) => `${line}\n`).join("");
}
