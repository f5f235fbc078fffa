/** Bonds as `ovs-appctl bond/show` prints them.  Pure. */
import { type BondMember, type BondState, isBalanced, mayRecirculate, usesLbOutput } from "./bond.js";

/** Loads of a kilobyte or more. */
function formatLoads(state: BondState, member: BondMember): string[] {
  return state.loads.flatMap((bytes, bucket) =>
    state.buckets[bucket] === member.name && bytes >= 1024
      ? [`  hash ${bucket}: ${Math.floor(bytes / 1024)} kB load`]
      : [],
  );
}

/** `id` is what the datapath knows the bond by, 0 if it has none. */
export function formatBond(state: BondState, id: number, now: number): string {
  const { settings, members } = state;
  const holder = members.find(({ mac }) => mac === state.activeMac);
  const missing = settings.primary !== undefined && !members.some(({ name }) => name === settings.primary);
  const lines = [
    `---- ${settings.name} ----`,
    `bond_mode: ${settings.mode}`,
    `bond may use recirculation: ${mayRecirculate(state) ? "yes" : "no"}, Recirc-ID : ${mayRecirculate(state) ? id : -1}`,
    `bond-hash-basis: ${settings.basis}`,
    `lb_output action: ${usesLbOutput(state) ? "enabled" : "disabled"}, bond-id: ${usesLbOutput(state) ? id : -1}`,
    ...(settings.mode === "balance-slb" ? [`all members active: ${settings.allMembersActive}`] : []),
    `updelay: ${settings.updelayMs} ms`,
    `downdelay: ${settings.downdelayMs} ms`,
    ...(isBalanced(state) ? [`next rebalance: ${Math.round(state.rebalanceAt - now)} ms`] : []),
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
    if (isBalanced(state)) lines.push(...formatLoads(state, member));
  }
  return `${lines.join("\n")}\n\n`;
}

/** A line of `bond/list`. */
export function listBond(state: BondState, id: number): string {
  const names = state.members.map(({ name }) => name).join(", ");
  return `${state.settings.name}\t${state.settings.mode}\t${id}\t${names}\n`;
}
