/** Access lists in the manner of ClassBench (Taylor and Turner): filters whose prefix lengths, protocols and ports are
 *  spread as in the access lists (acl), firewalls (fw) and IP chains (ipc) that it was made from, and packets that meet
 *  them.  The same seed makes the same. */
import type { Headers } from "./frames.js";
import { addRule, join, type Match } from "./rules.js";

export const aclKinds = ["acl", "fw", "ipc"] as const;
export type AclKind = (typeof aclKinds)[number];

type Masked = readonly [value: number, mask: number];

interface Filter {
  readonly src: Masked;
  readonly dst: Masked;
  /** 0: any. */
  readonly proto: number;
  readonly sport: Masked;
  readonly dport: Masked;
}

/** Choices and their weights. */
type Spread = readonly (readonly [choice: number, weight: number])[];

interface Profile {
  readonly srcLengths: Spread;
  readonly dstLengths: Spread;
  readonly protocols: Spread;
  /** Bits of the ports that are matched: 16 for one port, fewer for an aligned range. */
  readonly sportBits: Spread;
  readonly dportBits: Spread;
}

const tcp = 6;
const udp = 17;

const profiles: Readonly<Record<AclKind, Profile>> = {
  acl: {
    srcLengths: [
      [0, 8],
      [16, 6],
      [19, 3],
      [21, 4],
      [22, 5],
      [23, 8],
      [24, 16],
      [27, 8],
      [28, 8],
      [30, 6],
      [32, 28],
    ],
    dstLengths: [
      [16, 3],
      [20, 4],
      [23, 6],
      [24, 16],
      [26, 4],
      [27, 6],
      [28, 8],
      [29, 6],
      [30, 10],
      [32, 37],
    ],
    protocols: [
      [tcp, 75],
      [udp, 15],
      [0, 10],
    ],
    sportBits: [
      [0, 97],
      [16, 3],
    ],
    dportBits: [
      [16, 68],
      [0, 20],
      [6, 4],
      [10, 3],
      [12, 3],
      [14, 2],
    ],
  },
  fw: {
    srcLengths: [
      [0, 34],
      [8, 2],
      [16, 8],
      [20, 4],
      [22, 4],
      [24, 14],
      [26, 4],
      [28, 6],
      [32, 24],
    ],
    dstLengths: [
      [0, 26],
      [8, 2],
      [16, 6],
      [18, 3],
      [21, 4],
      [24, 16],
      [25, 4],
      [29, 6],
      [32, 33],
    ],
    protocols: [
      [tcp, 60],
      [udp, 28],
      [0, 12],
    ],
    sportBits: [
      [0, 58],
      [16, 26],
      [6, 12],
      [12, 4],
    ],
    dportBits: [
      [16, 52],
      [0, 26],
      [6, 12],
      [11, 5],
      [13, 5],
    ],
  },
  ipc: {
    srcLengths: [
      [0, 12],
      [14, 3],
      [16, 8],
      [19, 4],
      [22, 5],
      [24, 20],
      [26, 6],
      [28, 8],
      [31, 4],
      [32, 30],
    ],
    dstLengths: [
      [0, 14],
      [12, 2],
      [16, 8],
      [20, 5],
      [23, 6],
      [24, 19],
      [27, 6],
      [28, 6],
      [30, 6],
      [32, 28],
    ],
    protocols: [
      [tcp, 55],
      [udp, 30],
      [0, 15],
    ],
    sportBits: [
      [0, 74],
      [16, 18],
      [6, 6],
      [13, 2],
    ],
    dportBits: [
      [16, 58],
      [0, 28],
      [6, 7],
      [10, 4],
      [14, 3],
    ],
  },
};

/** Numbers below 2^32 (mulberry32). */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
}

function choose(next: () => number, spread: Spread): number {
  let rest = next() % spread.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [choice, weight] of spread) {
    if (rest < weight) return choice;
    rest -= weight;
  }
  return 0;
}

function prefix(next: () => number, bits: number, width: number): Masked {
  if (bits === 0) return [0, 0];
  const mask = ((0xffffffff << (width - bits)) & (width === 32 ? 0xffffffff : 0xffff)) >>> 0;
  return [(next() & mask) >>> 0, mask];
}

/** Addresses of one site: half of its hosts share few upper bits, as those of a network do. */
function address(next: () => number, bits: number, site: number): Masked {
  const [value, mask] = prefix(next, bits, 32);
  const shared = ((site & 0xfff00000) | (value & 0x000fffff)) >>> 0;
  return next() % 2 === 0 ? [value, mask] : [(shared & mask) >>> 0, mask];
}

function filters(kind: AclKind, count: number, seed: number): readonly Filter[] {
  const next = random(seed);
  const profile = profiles[kind];
  const site = next();
  const found = new Map<string, Filter>();
  while (found.size < count) {
    const proto = choose(next, profile.protocols);
    const ports = proto !== 0;
    const filter: Filter = {
      src: address(next, choose(next, profile.srcLengths), site),
      dst: address(next, choose(next, profile.dstLengths), site),
      proto,
      sport: ports ? prefix(next, choose(next, profile.sportBits), 16) : [0, 0],
      dport: ports ? prefix(next, choose(next, profile.dportBits), 16) : [0, 0],
    };
    found.set(JSON.stringify(filter), filter);
  }
  return [...found.values()];
}

const wanted = ([value, mask]: Masked, all: number): number | Masked | undefined =>
  mask === 0 ? undefined : mask === all ? value : [value, mask];

function matchOf(filter: Filter): Match {
  const whole = filter.proto === tcp ? "tcp" : "udp";
  const fields: Record<string, number | Masked | undefined> = {
    eth_type: 0x0800,
    ip_proto: filter.proto === 0 ? undefined : filter.proto,
    ipv4_src: wanted(filter.src, 0xffffffff),
    ipv4_dst: wanted(filter.dst, 0xffffffff),
    [`${whole}_src`]: wanted(filter.sport, 0xffff),
    [`${whole}_dst`]: wanted(filter.dport, 0xffff),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Match;
}

export interface Acl {
  /** Flow_mods: the first filter has the greatest priority; what meets none goes on. */
  readonly rules: Uint8Array;
  /** The packet of a flow: it meets one of the filters, any as often as another. */
  readonly headers: (flow: number) => Headers;
}

const firstPriority = 60_000;

export function makeAcl(kind: AclKind, count: number, seed: number, sinkPort: number): Acl {
  const all = filters(kind, count, seed);
  const step = { output: sinkPort };
  const rules = all.map((filter, index) => addRule({ priority: firstPriority - index, match: matchOf(filter), step }));
  rules.push(addRule({ priority: 1, match: {}, step }));
  const headers = (flow: number): Headers => {
    const next = random(seed + 1 + flow);
    for (let warm = 0; warm < 4; warm++) next();
    const filter = all[next() % all.length]!;
    const fill = ([value, mask]: Masked, width: number): number =>
      (value | (next() & ~mask & (width === 32 ? 0xffffffff : 0xffff))) >>> 0;
    return {
      src: fill(filter.src, 32),
      dst: fill(filter.dst, 32),
      proto: filter.proto === 0 ? (next() % 2 === 0 ? tcp : udp) : filter.proto,
      sport: fill(filter.sport, 16),
      dport: fill(filter.dport, 16),
    };
  };
  return { rules: join(rules), headers };
}
