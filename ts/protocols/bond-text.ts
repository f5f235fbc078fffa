/** Bonds as `ovs-appctl bond/show` prints them.  Pure. */
import type { BondState } from "./bond.js";

export function formatBond(state: BondState, now: number): string {
  const { settings, members } = state;
  const holder = members.find(({ mac }) => mac === state.activeMac);
  const missing = settings.primary !== undefined && !members.some(({ name }) => name === settings.primary);
  const lines = [
    `---- ${settings.name} ----`,
    `bond_mode: ${settings.mode}`,
    "bond may use recirculation: no, Recirc-ID : -1",
    `bond-hash-basis: ${settings.basis}`,
    "lb_output action: disabled, bond-id: -1",
    ...(settings.mode === "balance-slb" ? [`all members active: ${settings.allMembersActive}`] : []),
    `updelay: ${settings.updelayMs} ms`,
    `downdelay: ${settings.downdelayMs} ms`,
    `lacp_status: ${state.lacp}`,
    `lacp_fallback_ab: ${settings.fallback}`,
    `active-backup primary: ${settings.primary ?? "<none>"}${missing ? " (no such member)" : ""}`,
    `active member mac: ${state.activeMac}(${holder?.name ?? "none"})`,
  ];
  for (const member of [...members].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    lines.push("", `member ${member.name}: ${member.enabled ? "enabled" : "disabled"}`);
    if (member.name === state.active) lines.push("  active member");
    if (member.delayUntil !== undefined)
      lines.push(`  ${member.enabled ? "downdelay" : "updelay"} expires in ${Math.round(member.delayUntil - now)} ms`);
    lines.push(`  may_enable: ${member.mayEnable}`);
  }
  return `${lines.join("\n")}\n\n`;
}

/** A line of `bond/list`. */
export function listBond(state: BondState): string {
  const names = state.members.map(({ name }) => name).join(", ");
  return `${state.settings.name}\t${state.settings.mode}\t0\t${names}\n`;
}
