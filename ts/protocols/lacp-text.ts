/** LACP's state as `ovs-appctl lacp/show` and `lacp/show-stats` print it.  Pure. */
import { actorOf, aggregationKey, type LacpMember, type LacpState, mayEnable } from "./lacp.js";
import { type LacpInfo, stateBit } from "./lacp-pdu.js";

const mac = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");

const sorted = (state: LacpState): readonly LacpMember[] =>
  [...state.members].sort((a, b) => (a.name < b.name ? -1 : 1));

function formatInfo(who: string, info: LacpInfo): string[] {
  const bits = Object.entries(stateBit).filter(([, bit]) => (info.state & bit) !== 0);
  return [
    "",
    `  ${who} sys_id: ${mac(info.systemId)}`,
    `  ${who} sys_priority: ${info.systemPriority}`,
    `  ${who} port_id: ${info.portId}`,
    `  ${who} port_priority: ${info.portPriority}`,
    `  ${who} key: ${info.key}`,
    `  ${who} state:${bits.map(([name]) => ` ${name}`).join("")}`,
  ];
}

export function formatLacp(state: LacpState): string {
  const { settings } = state;
  const lines = [
    `---- ${settings.name} ----`,
    `  status: ${settings.active ? "active" : "passive"}${state.negotiated ? " negotiated" : ""}`,
    `  sys_id: ${mac(settings.systemId)}`,
    `  sys_priority: ${settings.systemPriority}`,
    `  aggregation key: ${aggregationKey(state) ?? "none"}`,
    `  lacp_time: ${settings.fast ? "fast" : "slow"}`,
  ];
  for (const member of sorted(state)) {
    lines.push(
      "",
      `member: ${member.name}: ${member.status} ${member.attached ? "attached" : "detached"}`,
      `  port_id: ${member.portId}`,
      `  port_priority: ${member.portPriority}`,
      `  may_enable: ${mayEnable(state, member)}`,
      ...formatInfo("actor", actorOf(state, member)),
      ...formatInfo("partner", member.partner),
    );
  }
  return `${lines.join("\n")}\n`;
}

export function formatLacpCounts(state: LacpState): string {
  const lines = [`---- ${state.settings.name} statistics ----`];
  for (const { name, counts } of sorted(state)) {
    lines.push(
      "",
      `member: ${name}:`,
      `  TX PDUs: ${counts.txPdus}`,
      `  RX PDUs: ${counts.rxPdus}`,
      `  RX Bad PDUs: ${counts.rxBad}`,
      `  RX Marker Request PDUs: ${counts.rxMarker}`,
      `  Link Expired: ${counts.expired}`,
      `  Link Defaulted: ${counts.defaulted}`,
      `  Carrier Status Changed: ${counts.carrierChanged}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
