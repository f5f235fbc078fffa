/** LLDP and auto-attach on one interface: who is at the other end, and what it makes of our service mappings.  Pure.
 *
 *  Of Open vSwitch's ways that cannot be told from intent this keeps all that can be seen: neighbours never age, and the
 *  status of a mapping is taken from them when it is shown. */

import { decodeLldp, type LldpLocal, type LldpNote, type LldpRemote, lldpAddress, lldpFrame } from "./lldp-pdu.js";

export const lldpInterval = 5000;
const chassisTtl = 120;
/** Who sends frames with ever new names gets no more room than this. */
const neighborsMax = 256;

/** A service mapping, as we ask for it. */
export interface AutoAttachMapping {
  readonly isid: number;
  readonly vlan: number;
  /** As the other end told last; 255: it has not. */
  readonly status: number;
}

export const mappingPending = 255;

export interface LldpCounts {
  readonly tx: number;
  readonly rx: number;
  readonly discarded: number;
  readonly unrecognized: number;
  readonly inserted: number;
  readonly dropped: number;
}

interface Neighbor extends LldpRemote {
  readonly frame: Uint8Array;
}

export interface LldpState {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly enabled: boolean;
  readonly sendAt: number;
  readonly systemName: string;
  readonly systemDescription: string;
  /** In the order that they were asked for. */
  readonly mappings: readonly AutoAttachMapping[];
  readonly neighbors: readonly Neighbor[];
  readonly counts: LldpCounts;
}

/** A VLAN that a mapping wants the port to carry, or no more. */
export interface LldpVlan {
  readonly vlan: number;
  readonly add: boolean;
}

export function createLldp(name: string, mac: Uint8Array, systemDescription: string, now: number): LldpState {
  const counts = { tx: 0, rx: 0, discarded: 0, unrecognized: 0, inserted: 0, dropped: 0 };
  const sendAt = now + lldpInterval;
  return {
    ...{ name, mac, enabled: true, sendAt, systemName: "", systemDescription },
    ...{ mappings: [], neighbors: [], counts },
  };
}

export function enableLldp(state: LldpState, enabled: boolean, now: number): LldpState {
  return { ...state, enabled, sendAt: now + lldpInterval };
}

/** Without a name the one of before stays. */
export function nameLldp(state: LldpState, systemName: string | undefined, systemDescription: string): LldpState {
  return { ...state, systemName: systemName ?? state.systemName, systemDescription };
}

/** Asks for the mappings, and no others.  One that is asked for already stays as it is, even if its VLAN is another now. */
export function mapLldp(
  state: LldpState,
  wanted: ReadonlyMap<number, number>,
): { readonly state: LldpState; readonly vlans: readonly LldpVlan[] } {
  const gone = state.mappings.filter(({ isid }) => !wanted.has(isid));
  const kept = state.mappings.filter(({ isid }) => wanted.has(isid));
  const known = new Set(kept.map(({ isid }) => isid));
  const fresh = [...wanted].filter(([isid]) => !known.has(isid)).sort(([a], [b]) => a - b);
  const added = fresh.map(([isid, vlan]) => ({ isid, vlan, status: mappingPending }));
  return {
    state: gone.length + added.length === 0 ? state : { ...state, mappings: [...kept, ...added] },
    vlans: [...gone.map(({ vlan }) => ({ vlan, add: false })), ...added.map(({ vlan }) => ({ vlan, add: true }))],
  };
}

/** When runLldp() has something to do. */
export const lldpDue = (state: LldpState): number => (state.enabled ? state.sendAt : Number.POSITIVE_INFINITY);

/** The frame to be sent now, if it is time. */
export function runLldp(
  state: LldpState,
  source: Uint8Array,
  now: number,
): { readonly state: LldpState; readonly frame: Uint8Array | undefined } {
  if (now < lldpDue(state)) return { state, frame: undefined };
  const local: LldpLocal = {
    chassisId: state.mac,
    portId: state.name,
    ttl: chassisTtl,
    systemName: state.systemName,
    systemDescription: state.systemDescription,
    mappings: state.mappings,
  };
  const counts = { ...state.counts, tx: state.counts.tx + 1 };
  return { state: { ...state, sendAt: now + lldpInterval, counts }, frame: lldpFrame(source, local) };
}

const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);
const sameChassis = (a: LldpRemote, b: LldpRemote): boolean =>
  a.chassisSubtype === b.chassisSubtype && same(a.chassisId, b.chassisId);
const samePort = (a: LldpRemote, b: LldpRemote): boolean =>
  a.portSubtype === b.portSubtype && same(a.portId, b.portId) && sameChassis(a, b);

/** Less than a header and two parts. */
const frameSizeMin = 18;

/** The frame without its VLAN tag. */
function untagged(frame: Uint8Array): Uint8Array {
  const isTagged = frame[12] === 0x81 && frame[13] === 0;
  return isTagged ? Uint8Array.of(...frame.subarray(0, 12), ...frame.subarray(16)) : frame;
}

/** A frame came in. */
export function receiveLldp(
  state: LldpState,
  received: Uint8Array,
): { readonly state: LldpState; readonly notes: readonly LldpNote[] } {
  const counts = { ...state.counts, rx: state.counts.rx + 1 };
  const frame = untagged(received);
  if (received.length < frameSizeMin) {
    counts.discarded++;
    return { state: { ...state, counts }, notes: [] };
  }
  if (!same(frame.subarray(0, 6), lldpAddress)) return { state: { ...state, counts }, notes: [] };
  if (state.neighbors.some((neighbor) => same(neighbor.frame, frame)))
    return { state: { ...state, counts }, notes: [] };
  const { remote, unrecognized, notes } = decodeLldp(frame, state.name);
  counts.unrecognized += unrecognized;
  if (remote === undefined) {
    counts.discarded++;
    return { state: { ...state, counts }, notes };
  }
  const others = state.neighbors.filter((neighbor) => !samePort(neighbor, remote));
  if (others.length === state.neighbors.length) {
    if (others.length === neighborsMax) {
      counts.dropped++;
      return { state: { ...state, counts }, notes };
    }
    counts.inserted++;
  }
  // What is known of a system is known of all of its ports.
  const { systemDescription, ttl } = remote;
  const kept = others.map((other) => (sameChassis(other, remote) ? { ...other, systemDescription, ttl } : other));
  return { state: { ...state, counts, neighbors: [...kept, { ...remote, frame: frame.slice() }] }, notes };
}

/** Takes from the neighbours what they say of our mappings.  Notes are for the log. */
export function judgeMappings(state: LldpState): { readonly state: LldpState; readonly notes: readonly LldpNote[] } {
  const notes: LldpNote[] = [];
  const statuses = new Map<number, number>();
  for (const { isid, vlan, status } of state.neighbors.flatMap(({ mappings }) => mappings)) {
    notes.push({ level: "info", text: `h_rport: isid=${isid}, vlan=${vlan}, status=${status}` });
    if (state.mappings.some((mapping) => mapping.isid === isid)) {
      notes.push({ level: "info", text: `Setting status for ISID=${isid} to ${status}` });
      statuses.set(isid, status);
    } else {
      notes.push({ level: "warn", text: `Couldn't find mapping for I-SID=${isid}` });
    }
  }
  const mappings = state.mappings.map((one) => ({ ...one, status: statuses.get(one.isid) ?? one.status }));
  return { state: { ...state, mappings }, notes };
}
