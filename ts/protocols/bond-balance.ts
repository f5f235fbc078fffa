/** Rebalancing of a bond: hash buckets move from members that carry much to members that carry little.  Pure.
 *
 *  The load of a bucket is the bytes that went by it, half of which are forgotten at each rebalancing. */
import type { BondMember, BondState } from "./bond.js";

/** Members whose loads differ by less are left alone: about 1 Mbit/s over the usual interval. */
const overloadMin = 100_000;

/** Takes in what the datapath has counted, bytes by bucket since the beginning. */
export function accountLoads(state: BondState, counted: readonly number[]): BondState {
  const loads = counted.map((bytes, bucket) => {
    const before = state.counted[bucket] ?? 0;
    const fresh = bytes >= before ? bytes - before : bytes;
    return (state.loads[bucket] ?? 0) + (state.buckets[bucket] === undefined ? 0 : fresh);
  });
  return { ...state, counted, loads };
}

interface Pile {
  readonly member: BondMember;
  bytes: number;
  /** Buckets with a load, the heaviest first. */
  buckets: number[];
}

export interface Rebalancing {
  readonly state: BondState;
  readonly notes: readonly string[];
  /** Of interest to who debugs. */
  readonly details: readonly string[];
}

const kB = (bytes: number): number => Math.floor(bytes / 1024);

/** The heaviest first; of equals, the one that came first. */
function insert(piles: Pile[], pile: Pile): void {
  const place = piles.findIndex(({ bytes }) => pile.bytes > bytes);
  piles.splice(place < 0 ? piles.length : place, 0, pile);
}

function reinsert(piles: Pile[], pile: Pile): void {
  piles.splice(piles.indexOf(pile), 1);
  insert(piles, pile);
}

/** Which of the buckets of `from` to move so that it and a member that carries `toBytes` come near to each other; none
 *  if that would not help by a tenth of what they are apart. */
function choose(from: Pile, toBytes: number, loads: readonly number[]): readonly number[] {
  const load = (bucket: number): number => loads[bucket] ?? 0;
  if (from.buckets.length < 2) return [];
  const wanted = Math.floor((from.bytes + toBytes) / 2) - toBytes;
  const threshold = Math.floor(wanted / 10);
  const chosen: number[] = [];
  let moved = 0;
  for (const bucket of from.buckets) {
    if (moved + load(bucket) <= wanted) {
      chosen.push(bucket);
      moved += load(bucket);
    }
    if (wanted - moved < threshold) break;
  }
  if (chosen.length === 0) {
    const lightest = from.buckets.at(-1) as number;
    chosen.push(lightest);
    moved = load(lightest);
  }
  const low = Math.min(from.bytes - moved, toBytes + moved);
  return low > toBytes && low - toBytes >= threshold ? chosen : [];
}

function describePiles(name: string, piles: readonly Pile[], loads: readonly number[]): string {
  const texts = piles.map(({ member, bytes, buckets }) => {
    const parts = buckets.map((bucket) => `h${bucket}: ${kB(loads[bucket] ?? 0)}kB`).join(" + ");
    return ` ${member.name} ${kB(bytes)}kB${parts === "" ? "" : ` (${parts})`}`;
  });
  return `bond ${name}:${texts.join(",")}`;
}

/** Evens out the loads, which were accounted just now. */
export function rebalance(before: BondState, now: number): Rebalancing {
  const { loads, settings } = before;
  const order = loads.map((_, bucket) => bucket).sort((a, b) => (loads[b] ?? 0) - (loads[a] ?? 0));
  const piles: Pile[] = [];
  for (const member of before.members.filter(({ enabled }) => enabled)) {
    const buckets = order.filter((bucket) => before.buckets[bucket] === member.name && (loads[bucket] ?? 0) > 0);
    insert(piles, { member, buckets, bytes: buckets.reduce((sum, bucket) => sum + (loads[bucket] ?? 0), 0) });
  }
  const details = [describePiles(settings.name, piles, loads)];
  const notes: string[] = [];
  const places = [...before.buckets];
  for (;;) {
    const from = piles[0];
    const to = piles.at(-1);
    if (from === undefined || to === undefined || from === to) break;
    const overload = from.bytes - to.bytes;
    // Less than about 3 % more is not worth a move.
    if (overload < Math.floor(to.bytes / 32) || overload < overloadMin) break;
    const chosen = choose(from, to.bytes, loads);
    if (chosen.length === 0) {
      piles.shift();
      continue;
    }
    for (const bucket of chosen) {
      const bytes = loads[bucket] ?? 0;
      from.bytes -= bytes;
      to.bytes += bytes;
      notes.push(
        `bond ${settings.name}: shift ${kB(bytes)}kB of load (with hash ${bucket}) from ${from.member.name} to ${to.member.name} ` +
          `(now carrying ${kB(from.bytes)}kB and ${kB(to.bytes)}kB load, respectively)`,
      );
      places[bucket] = to.member.name;
      // It is not among those of `to`: what was moved stays there until the next time.
      from.buckets = from.buckets.filter((other) => other !== bucket);
      reinsert(piles, from);
      reinsert(piles, to);
    }
  }
  const state: BondState = {
    ...before,
    buckets: places,
    loads: loads.map((bytes) => Math.floor(bytes / 2)),
    rebalanceAt: now + settings.rebalanceMs,
  };
  return { state, notes, details };
}
