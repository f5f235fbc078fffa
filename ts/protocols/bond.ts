/** A bond: which of its members carry packets, and which one is active.  No devices and no clock in it: `now` is
 *  milliseconds on a monotonic clock.  Functions take a state and return a new one. */

export type BondMode = "active-backup" | "balance-slb" | "balance-tcp";

export interface BondSettings {
  readonly name: string;
  readonly mode: BondMode;
  readonly updelayMs: number;
  readonly downdelayMs: number;
  readonly basis: number;
  readonly primary: string | undefined;
  /** Without LACP's partner, go on as active-backup. */
  readonly fallback: boolean;
  readonly allMembersActive: boolean;
  /** How often loads are evened out; 0: never. */
  readonly rebalanceMs: number;
  /** balance-tcp: the datapath itself looks up buckets. */
  readonly lbOutput: boolean;
}

/** What is known of a member from elsewhere. */
export interface BondLink {
  readonly name: string;
  readonly mac: string;
  readonly carrier: boolean;
  /** Whether LACP and others let it be used. */
  readonly mayEnable: boolean;
}

export interface BondMember extends BondLink {
  readonly enabled: boolean;
  /** When `enabled` changes unless the link changes back. */
  readonly delayUntil: number | undefined;
}

/** Of LACP on the bond. */
export type LacpStatus = "off" | "configured" | "negotiated";

export interface BondState {
  readonly settings: BondSettings;
  readonly lacp: LacpStatus;
  readonly members: readonly BondMember[];
  readonly active: string | undefined;
  /** Of the active member, or of the last one in an earlier life. */
  readonly activeMac: string;
  /** The member of each hash bucket; empty where nothing is hashed. */
  readonly buckets: readonly (string | undefined)[];
  /** Bytes of each bucket, see bond-balance.ts. */
  readonly loads: readonly number[];
  /** What the datapath had counted for each bucket when last asked. */
  readonly counted: readonly number[];
  readonly rebalanceAt: number;
  /** When buckets were given to members, there having been none before. */
  readonly filledAt: number;
  /** Switches beyond must be told where hosts are now. */
  readonly mustTeach: boolean;
}

export const bondBuckets = 256;
/** For so long after the first member was enabled, others that are get their part of the buckets, too. */
const gatheringMs = 1000;
export const noMac = "00:00:00:00:00:00";

export interface BondStep {
  readonly state: BondState;
  /** For the log. */
  readonly notes: readonly string[];
  /** For the log of who debugs. */
  readonly details?: readonly string[];
  /** Whether gratuitous packets are to be sent for the addresses behind other ports. */
  readonly teach: boolean;
}

/** The state with other settings and links. */
export function configureBond(
  before: BondState | undefined,
  settings: BondSettings,
  links: readonly BondLink[],
  lacp: LacpStatus,
  activeMac: string | undefined,
  now: number,
): BondStep {
  const notes: string[] = [];
  const gone = (before?.members ?? []).filter((old) => !links.some(({ name }) => name === old.name));
  for (const { name, enabled } of gone) if (enabled) notes.push(`member ${name}: disabled`);
  const members = links.map((link): BondMember => {
    const known = before?.members.find(({ name }) => name === link.name);
    if (known !== undefined) return { ...known, ...link };
    if (link.carrier) notes.push(`member ${link.name}: enabled`);
    return { ...link, enabled: link.carrier, delayUntil: undefined };
  });
  const active = members.some(({ name }) => name === before?.active) ? before?.active : undefined;
  const hashesAnew = before === undefined || hashesDiffer(before.settings, settings);
  return {
    state: {
      settings,
      lacp,
      members,
      active,
      activeMac: before?.activeMac ?? activeMac ?? noMac,
      buckets: hashesAnew ? [] : before.buckets,
      loads: hashesAnew ? [] : before.loads,
      counted: before?.counted ?? [],
      filledAt: before?.filledAt ?? now,
      rebalanceAt: hashesAnew ? now + settings.rebalanceMs : before.rebalanceAt,
      mustTeach: (before?.mustTeach ?? false) || (before !== undefined && before.active !== active),
    },
    notes,
    teach: false,
  };
}

/** Whether what was hashed and measured so far is of no use with other settings. */
function hashesDiffer(a: BondSettings, b: BondSettings): boolean {
  return (
    a.mode !== b.mode ||
    a.basis !== b.basis ||
    a.fallback !== b.fallback ||
    a.rebalanceMs !== b.rebalanceMs ||
    a.primary !== b.primary ||
    a.lbOutput !== b.lbOutput
  );
}

export function fallsBack({ settings, lacp }: BondState): boolean {
  return settings.fallback && settings.mode !== "active-backup" && lacp === "configured";
}

/** Turns a member on or off at once. */
export function enableMember(state: BondState, name: string, enabled: boolean): BondStep {
  const found = state.members.find((member) => member.name === name);
  if (found === undefined) return { state, notes: [], teach: false };
  const members = state.members.map((member) =>
    member.name === name ? { ...member, enabled, delayUntil: undefined } : member,
  );
  const changes = found.enabled !== enabled;
  return {
    state: { ...state, members, mustTeach: state.mustTeach || (changes && !enabled) },
    notes: changes ? [`member ${name}: ${enabled ? "enabled" : "disabled"}`] : [],
    teach: false,
  };
}

/** Makes an enabled member the active one. */
export function setActiveMember(state: BondState, name: string): BondStep {
  const member = state.members.find((other) => other.name === name);
  if (member === undefined || state.active === name) return { state, notes: [], teach: false };
  return {
    state: { ...state, active: name, activeMac: member.mac, mustTeach: true },
    notes: [`bond ${state.settings.name}: active member is now ${name}`],
    teach: false,
  };
}

/** Puts a hash bucket onto a member. */
export function migrate(state: BondState, bucket: number, name: string): BondState {
  return { ...state, buckets: state.buckets.map((old, index) => (index === bucket ? name : old)) };
}

/** What hashes is begun anew when LACP's failure, which ends hashing, comes or goes. */
function followLacp(before: BondState, lacp: LacpStatus, now: number): BondState {
  const state = { ...before, lacp };
  if (fallsBack(before) === fallsBack(state)) return state;
  return { ...state, buckets: [], loads: [], rebalanceAt: now + state.settings.rebalanceMs };
}

/** Does what is due, but for evening out loads. */
export function runBond(from: BondState, links: readonly BondLink[], lacp: LacpStatus, now: number): BondStep {
  const notes: string[] = [];
  const before = followLacp(from, lacp, now);
  let state: BondState = {
    ...before,
    members: before.members.map((member) => ({
      ...member,
      ...links.find(({ name }) => name === member.name),
    })),
  };
  for (const member of state.members) state = followLink(state, member, now, notes);
  const active = state.members.find(({ name }) => name === state.active);
  const primary =
    state.settings.mode === "active-backup"
      ? state.members.find(({ name, enabled }) => enabled && name === state.settings.primary)
      : undefined;
  if (active?.enabled !== true || (primary !== undefined && primary !== active)) state = choose(state, now, notes);
  state = welcome(before, fillBuckets(state, now), now);
  const teaches =
    (state.lacp === "off" && state.settings.mode !== "balance-tcp") ||
    (state.settings.fallback && state.lacp === "configured");
  return {
    state: { ...state, mustTeach: false },
    notes,
    teach: state.mustTeach && teaches && state.active !== undefined,
  };
}

/** Whether the bond's load is measured and evened out. */
export function isBalanced({ settings, lacp }: BondState): boolean {
  return settings.rebalanceMs > 0 && settings.mode !== "active-backup" && !(settings.fallback && lacp === "configured");
}

/** When to rebalance; never if there is nothing to. */
export function rebalanceDue(state: BondState): number {
  return isBalanced(state) ? state.rebalanceAt : Number.POSITIVE_INFINITY;
}

/** A member that comes to a bond that has long been up carries nothing: loads are evened out at once. */
function welcome(before: BondState, state: BondState, now: number): BondState {
  const was = (name: string): boolean => before.members.some((member) => member.enabled && member.name === name);
  const isIdle = state.members.some(({ enabled, name }) => enabled && !was(name) && !state.buckets.includes(name));
  return isIdle ? { ...state, rebalanceAt: Math.min(state.rebalanceAt, now) } : state;
}

/** When `runBond` or `rebalance` has something to do next. */
export function bondDue(state: BondState): number {
  return Math.min(
    ...state.members.map(({ delayUntil }) => delayUntil ?? Number.POSITIVE_INFINITY),
    rebalanceDue(state),
  );
}

/** Whether packets are spread by what the datapath hashes. */
export function mayRecirculate(state: BondState): boolean {
  return state.settings.mode === "balance-tcp" && !fallsBack(state);
}

export function usesLbOutput(state: BondState): boolean {
  return state.settings.lbOutput && mayRecirculate(state);
}

/** A member's link came or went: it is enabled or disabled, after a while. */
function followLink(state: BondState, member: BondMember, now: number, notes: string[]): BondState {
  const { name, enabled } = member;
  const up = member.carrier && member.mayEnable;
  let delayUntil = member.delayUntil;
  if ((up === enabled) !== (delayUntil === undefined)) {
    notes.push(`member ${name}: link state ${up ? "up" : "down"}`);
    if (up === enabled) {
      delayUntil = undefined;
      notes.push(`member ${name}: will not be ${up ? "disabled" : "enabled"}`);
    } else {
      const delayMs = up ? state.settings.updelayMs : state.settings.downdelayMs;
      delayUntil = now + delayMs;
      if (delayMs > 0)
        notes.push(
          `member ${name}: will be ${up ? "enabled" : "disabled"} if it stays ${up ? "up" : "down"} for ${delayMs} ms`,
        );
    }
  }
  const next: BondState = {
    ...state,
    members: state.members.map((other) => (other.name === name ? { ...other, delayUntil } : other)),
  };
  if (delayUntil === undefined || now < delayUntil) return next;
  const step = enableMember(next, name, up);
  notes.push(...step.notes);
  return step.state;
}

function choose(state: BondState, now: number, notes: string[]): BondState {
  const { members, settings } = state;
  const waiting = members
    .filter(({ delayUntil, mayEnable }) => delayUntil !== undefined && mayEnable)
    .sort((a, b) => (a.delayUntil ?? 0) - (b.delayUntil ?? 0));
  const best =
    members.find(({ name, enabled }) => enabled && name === settings.primary) ??
    members.find(({ mac, enabled }) => enabled && mac === state.activeMac) ??
    members.find(({ enabled }) => enabled) ??
    waiting[0];
  const say = (text: string): number => notes.push(`bond ${settings.name}: ${text}`);
  if (best === undefined) {
    if (state.active === undefined) return state;
    say("all members disabled");
    return { ...state, active: undefined, activeMac: noMac };
  }
  let next = state;
  if (best.enabled) say(`active member is now ${best.name}`);
  else {
    const leftMs = Math.round((best.delayUntil ?? now) - now);
    say(`active member is now ${best.name}, skipping remaining ${leftMs} ms updelay (since no member was enabled)`);
    const step = enableMember(state, best.name, true);
    notes.push(...step.notes);
    next = step.state;
  }
  return {
    ...next,
    active: best.name,
    activeMac: best.name === state.active ? state.activeMac : best.mac,
    mustTeach: true,
  };
}

/** Buckets of members that are disabled or gone go to the enabled ones, in turn.  Members of a bond that comes up are
 *  enabled one after the other: they share as if it had been at once. */
function fillBuckets(state: BondState, now: number): BondState {
  if (state.settings.mode === "active-backup" || fallsBack(state)) return { ...state, buckets: [] };
  const enabled = state.members.filter((member) => member.enabled).map(({ name }) => name);
  const isEmpty = !state.buckets.some((name) => name !== undefined);
  const gathers = now < state.filledAt + gatheringMs && enabled.some((name) => !state.buckets.includes(name));
  let turn = 0;
  const buckets = Array.from({ length: bondBuckets }, (_, index) => {
    const old = state.buckets[index];
    if (old !== undefined && enabled.includes(old) && !gathers) return old;
    return enabled.length === 0 ? undefined : enabled[turn++ % enabled.length];
  });
  return { ...state, buckets, filledAt: isEmpty ? now : state.filledAt };
}

/** By which member packets leave, and which packets are let in. */
export function bondPolicy(state: BondState): {
  readonly output: "none" | "active" | "hashMac" | "hashL4";
  readonly input: "none" | "enabled" | "active" | "unmoved";
} {
  const { lacp, settings } = state;
  const { mode, fallback } = settings;
  if (lacp === "configured" && !fallback) return { output: "none", input: "none" };
  if (lacp === "configured") return { output: "active", input: mode === "balance-slb" ? "unmoved" : "active" };
  const input = lacp === "negotiated" ? "enabled" : undefined;
  switch (mode) {
    case "active-backup":
      return { output: "active", input: input ?? "active" };
    case "balance-slb":
      return { output: "hashMac", input: input ?? "unmoved" };
    case "balance-tcp":
      return { output: lacp === "negotiated" ? "hashL4" : "none", input: input ?? "none" };
  }
}

function multiply(value: number, factor: number): number {
  return Math.imul(value, factor) >>> 0;
}

function rotate(value: number, bits: number): number {
  return ((value << bits) | (value >>> (32 - bits))) >>> 0;
}

function add(hash: number, word: number): number {
  const mixed = hash ^ multiply(rotate(multiply(word, 0xcc9e2d51), 15), 0x1b873593);
  return (multiply(rotate(mixed >>> 0, 13), 5) + 0xe6546b64) >>> 0;
}

/** The bucket of an address on a VLAN, as the datapath computes it. */
export function bucketOf(mac: Uint8Array, vlan: number, basis: number): number {
  const view = new DataView(mac.buffer, mac.byteOffset, mac.length);
  let hash = add(add(basis >>> 0, view.getUint32(2)), (((vlan & 0xffff) << 16) | view.getUint16(0)) >>> 0);
  hash = (hash ^ 8) >>> 0;
  hash = multiply((hash ^ (hash >>> 16)) >>> 0, 0x85ebca6b);
  hash = multiply((hash ^ (hash >>> 13)) >>> 0, 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % bondBuckets;
}
