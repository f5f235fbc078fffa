/** LACP, clause 43.4 of IEEE 802.3ad, for one aggregation of links: no sockets and no clock in it.  `now` is milliseconds
 *  on a monotonic clock.  A member's partner is current while its PDUs come, expired when they stop, and defaulted when
 *  they have stopped for longer; which of the members are attached follows from who their partners are.
 *
 *  Functions take a state and return a new one; `run` also returns the PDUs to send. */
import { composePdu, type LacpInfo, nobody, parsePdu, sameSystem, stateBit } from "./lacp-pdu.js";

export interface LacpSettings {
  readonly name: string;
  readonly systemId: Uint8Array;
  readonly systemPriority: number;
  readonly active: boolean;
  readonly fast: boolean;
  /** Without a partner, go on as an active-backup bond. */
  readonly fallback: boolean;
}

export interface LacpMemberSettings {
  readonly name: string;
  readonly portId: number;
  readonly portPriority: number;
  /** 0: the port id of the first member. */
  readonly key: number;
}

export interface LacpCounts {
  readonly txPdus: number;
  readonly rxPdus: number;
  readonly rxBad: number;
  readonly rxMarker: number;
  readonly expired: number;
  readonly defaulted: number;
  readonly carrierChanged: number;
}

export interface LacpMember extends LacpMemberSettings {
  readonly status: "current" | "expired" | "defaulted";
  readonly attached: boolean;
  readonly carrier: boolean;
  readonly partner: LacpInfo;
  /** What the partner believes of us; a PDU is due when that is not so. */
  readonly told: LacpInfo;
  readonly txDue: number;
  readonly rxDue: number;
  readonly counts: LacpCounts;
}

export interface LacpState {
  readonly settings: LacpSettings;
  /** In order of their coming; the first one's key is that of all. */
  readonly members: readonly LacpMember[];
  readonly negotiated: boolean;
  /** Who is attached must be chosen anew. */
  readonly stale: boolean;
}

/** A PDU to send by a member. */
export interface LacpTransmission {
  readonly member: string;
  readonly pdu: Uint8Array;
}

export interface LacpNote {
  readonly level: "info" | "warn";
  readonly text: string;
}

export interface LacpStep {
  readonly state: LacpState;
  readonly transmissions: readonly LacpTransmission[];
  readonly notes: readonly LacpNote[];
}

const fastMs = 1000;
const slowMs = 30_000;
const patience = 3;
const notKept = { sends: false, listens: false };
const noCounts: LacpCounts = {
  txPdus: 0,
  rxPdus: 0,
  rxBad: 0,
  rxMarker: 0,
  expired: 0,
  defaulted: 0,
  carrierChanged: 0,
};

const expire = (member: LacpMember, now: number): LacpMember => ({
  ...member,
  status: "expired",
  partner: { ...member.partner, state: (member.partner.state | stateBit.timeout) & ~stateBit.synchronized },
  rxDue: now + patience * fastMs,
});

/** The state with other settings; members come, go and change as `members` says. */
export function configureLacp(
  before: LacpState | undefined,
  settings: LacpSettings,
  members: readonly LacpMemberSettings[],
  now: number,
): LacpState {
  const old = before?.settings;
  let stale =
    before === undefined ||
    before.stale ||
    old === undefined ||
    !sameSystem(old.systemId, settings.systemId) ||
    old.systemPriority !== settings.systemPriority ||
    old.fallback !== settings.fallback ||
    before.members.some((member) => !members.some(({ name }) => name === member.name));
  const kept = (before?.members ?? []).flatMap((member) => members.filter(({ name }) => name === member.name));
  const order = [...kept, ...members.filter(({ name }) => !kept.some((other) => other.name === name))];
  const next = order.map((wanted) => {
    const known = before?.members.find(({ name }) => name === wanted.name);
    if (
      known !== undefined &&
      known.portId === wanted.portId &&
      known.portPriority === wanted.portPriority &&
      known.key === wanted.key
    )
      return known;
    stale = true;
    const member: LacpMember = {
      ...(known ?? {
        status: "defaulted",
        attached: false,
        carrier: false,
        partner: nobody,
        told: nobody,
        txDue: now,
        rxDue: now,
        counts: noCounts,
      }),
      ...wanted,
    };
    return settings.active || before?.negotiated === true ? expire(member, now) : member;
  });
  return { settings, members: next, negotiated: before?.negotiated ?? false, stale };
}

/** What we say of ourselves by a member. */
export function actorOf(state: LacpState, member: LacpMember): LacpInfo {
  const { settings, members, negotiated } = state;
  const bits =
    (settings.active ? stateBit.activity : 0) |
    (settings.fast ? stateBit.timeout : 0) |
    (members.length > 1 ? stateBit.aggregation : 0) |
    (member.attached ? stateBit.synchronized : 0) |
    (member.attached || !negotiated ? stateBit.collecting | stateBit.distributing : 0) |
    (member.status === "defaulted" ? stateBit.defaulted : 0) |
    (member.status === "expired" ? stateBit.expired : 0);
  return {
    systemPriority: settings.systemPriority,
    systemId: settings.systemId,
    key: aggregationKey(state) ?? 0,
    portPriority: member.portPriority,
    portId: member.portId,
    state: bits,
  };
}

/** Undefined while there is no member. */
export function aggregationKey({ members }: LacpState): number | undefined {
  const first = members[0];
  return first === undefined ? undefined : first.key === 0 ? first.portId : first.key;
}

/** Whether the member may carry packets, as far as LACP is concerned. */
export function mayEnable({ settings }: LacpState, member: LacpMember): boolean {
  const synchronized = (member.partner.state & stateBit.synchronized) !== 0;
  return member.attached && (synchronized || (settings.fallback && member.status === "defaulted"));
}

function change(state: LacpState, name: string, update: (member: LacpMember) => LacpMember): LacpState {
  return { ...state, members: state.members.map((member) => (member.name === name ? update(member) : member)) };
}

/** A frame of LACP's Ethernet type came by a member; `pdu` is what follows its Ethernet header. */
export function receiveLacp(state: LacpState, name: string, pdu: Uint8Array, now: number): LacpStep {
  const found = state.members.find((member) => member.name === name);
  const quiet = (next: LacpState, ...notes: LacpNote[]): LacpStep => ({ state: next, transmissions: [], notes });
  if (found === undefined) return quiet(state);
  const count = (more: Partial<LacpCounts>): LacpState =>
    change(state, name, (member) => ({
      ...member,
      counts: { ...member.counts, rxPdus: member.counts.rxPdus + 1, ...more },
    }));
  const parsed = parsePdu(pdu);
  if (parsed === "marker") return quiet(count({ rxMarker: found.counts.rxMarker + 1 }));
  if (parsed === undefined)
    return quiet(count({ rxBad: found.counts.rxBad + 1 }), {
      level: "warn",
      text: `${state.settings.name}: received an unparsable LACP PDU.`,
    });
  const counted = count({});
  if (!found.carrier)
    return quiet(counted, { level: "info", text: `${name}: carrier state is DOWN, dropping received LACP PDU.` });
  const news = !sameInfo(found.partner, parsed.actor);
  const next = change(counted, name, (member) => ({
    ...member,
    status: "current",
    rxDue: now + lacpDetectMs(state),
    told: parsed.partner,
    partner: parsed.actor,
  }));
  return quiet({ ...next, stale: next.stale || news });
}

/** The member's link went up or down, perhaps both at once. */
export function lacpCarrierChanged(state: LacpState, name: string, carrier: boolean, now: number): LacpState {
  return change(state, name, (member) => {
    const { counts } = member;
    const next = member.status === "current" || state.settings.active ? expire(member, now) : member;
    if (member.carrier === carrier) return next;
    return { ...next, carrier, counts: { ...counts, carrierChanged: counts.carrierChanged + 1 } };
  });
}

/** The member's link is known to be up. */
export function lacpCarrierUp(state: LacpState, name: string): LacpState {
  return change(state, name, (member) => (member.carrier ? member : { ...member, carrier: true }));
}

/** Whether PDUs are sent by the member. */
export function lacpTransmits(state: LacpState, member: LacpMember): boolean {
  return mayTransmit(state, member);
}

/** Between two PDUs that we send: the partner says it. */
export function lacpIntervalMs({ partner }: LacpMember): number {
  return (partner.state & stateBit.timeout) !== 0 ? fastMs : slowMs;
}

/** Silence after which a partner is not current any more. */
export function lacpDetectMs({ settings }: LacpState): number {
  return patience * (settings.fast ? fastMs : slowMs);
}

/** PDUs that were sent and received and said nothing new; and when the next is sent, if that is known. */
export function countLacp(
  state: LacpState,
  name: string,
  more: { readonly rxPdus: number; readonly txPdus: number; readonly txDue: number | undefined },
): LacpState {
  return change(state, name, (member) => ({
    ...member,
    txDue: more.txDue ?? member.txDue,
    counts: {
      ...member.counts,
      rxPdus: member.counts.rxPdus + more.rxPdus,
      txPdus: member.counts.txPdus + more.txPdus,
    },
  }));
}

/** Whether PDUs that are the same as the one that led from `before` to `after` will change nothing but times. */
export function isSteadyLacp(before: LacpState, after: LacpState, name: string): boolean {
  const find = (state: LacpState): LacpMember | undefined => state.members.find((member) => member.name === name);
  const [was, is] = [find(before), find(after)];
  if (was === undefined || is === undefined || after.stale) return false;
  if (was.status !== "current" || is.status !== "current") return false;
  const isToldTrue = saysTheSame(actorOf(after, is), is.told);
  return sameInfo(was.partner, is.partner) && isToldTrue && is.counts.rxBad === was.counts.rxBad;
}

const mayTransmit = (state: LacpState, member: LacpMember): boolean =>
  member.carrier && (state.settings.active || member.status !== "defaulted");

/** Does what is due. */
export function runLacp(state: LacpState, now: number): LacpStep {
  const notes: LacpNote[] = [];
  let stale = state.stale;
  const heard = state.members.map((member): LacpMember => {
    if (now < member.rxDue || member.status === "defaulted") return member;
    const { counts } = member;
    if (member.status === "current")
      return { ...expire(member, now), counts: { ...counts, expired: counts.expired + 1 } };
    stale = true;
    return {
      ...member,
      status: "defaulted",
      partner: nobody,
      counts: { ...counts, defaulted: counts.defaulted + 1 },
    };
  });
  let next: LacpState = { ...state, members: heard, stale };
  if (stale) next = attach(next, notes);
  const transmissions: LacpTransmission[] = [];
  const current = next;
  const members = next.members.map((member): LacpMember => {
    if (!mayTransmit(current, member)) return member;
    const actor = actorOf(current, member);
    if (now < member.txDue && saysTheSame(actor, member.told)) return member;
    transmissions.push({ member: member.name, pdu: composePdu(actor, member.partner) });
    return {
      ...member,
      told: actor,
      txDue: now + lacpIntervalMs(member),
      counts: { ...member.counts, txPdus: member.counts.txPdus + 1 },
    };
  });
  return { state: { ...next, members }, transmissions, notes };
}

/** When `runLacp` has something to do next, but for what somebody else does for a member. */
export function lacpDue(
  state: LacpState,
  isKept: (member: LacpMember) => { readonly sends: boolean; readonly listens: boolean } = () => notKept,
): number {
  return Math.min(
    ...state.members.map((member) => {
      const kept = isKept(member);
      return Math.min(
        mayTransmit(state, member) && !kept.sends ? member.txDue : Number.POSITIVE_INFINITY,
        member.status === "defaulted" || kept.listens ? Number.POSITIVE_INFINITY : member.rxDue,
      );
    }),
    state.stale ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY,
  );
}

/** A member's rank by the system that decides: less is better. */
function rank(state: LacpState, member: LacpMember): string {
  const { settings } = state;
  const { partner } = member;
  const actorDecides =
    settings.systemPriority !== partner.systemPriority
      ? settings.systemPriority < partner.systemPriority
      : hex(settings.systemId) < hex(partner.systemId);
  const info = actorDecides ? actorOf(state, member) : partner;
  const word = (value: number): string => value.toString(16).padStart(4, "0");
  return word(info.systemPriority) + hex(info.systemId) + word(info.portPriority) + word(info.portId);
}

/** Chooses which members are attached: those with the partner of the leading one, which a working one stays. */
function attach(state: LacpState, notes: LacpNote[]): LacpState {
  const { settings } = state;
  const best = (members: readonly LacpMember[]): LacpMember | undefined =>
    [...members].sort((a, b) => (rank(state, a) < rank(state, b) ? -1 : 1))[0];
  const leading = best(state.members.filter((member) => member.status === "current" && member.attached));
  const eligible = state.members.filter((member) => {
    if (sameSystem(member.partner.systemId, settings.systemId)) {
      notes.push({
        level: "warn",
        text: `member ${member.name}: Loopback detected. Interface is connected to its own bond`,
      });
      return false;
    }
    if (member.status === "defaulted") return false;
    return leading === undefined || sameSystem(member.partner.systemId, leading.partner.systemId);
  });
  const lead = leading !== undefined && eligible.includes(leading) ? leading : best(eligible);
  const fallsBack = (member: LacpMember): boolean =>
    lead === undefined &&
    settings.fallback &&
    member.status === "defaulted" &&
    !sameSystem(member.partner.systemId, settings.systemId);
  const members = state.members.map((member) => ({
    ...member,
    attached:
      lead === undefined
        ? fallsBack(member)
        : eligible.includes(member) &&
          member.partner.key === lead.partner.key &&
          sameSystem(member.partner.systemId, lead.partner.systemId),
  }));
  return { ...state, members, negotiated: lead !== undefined, stale: false };
}

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function sameInfo(a: LacpInfo, b: LacpInfo): boolean {
  return saysTheSame(a, b) && a.state === b.state;
}

/** Whether the partner need not be told of a difference between the two. */
function saysTheSame(a: LacpInfo, b: LacpInfo): boolean {
  const told = stateBit.activity | stateBit.timeout | stateBit.synchronized | stateBit.aggregation;
  return (
    ((a.state ^ b.state) & told) === 0 &&
    a.portId === b.portId &&
    a.portPriority === b.portPriority &&
    a.key === b.key &&
    a.systemPriority === b.systemPriority &&
    sameSystem(a.systemId, b.systemId)
  );
}
