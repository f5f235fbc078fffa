/** Random numbers from a printed seed, so that a failure can be run again. */
export interface Random {
  /** An integer in [0, n). */
  below(n: number): number;
  pick<T>(from: readonly T[]): T;
  chance(p: number): boolean;
}

/** mulberry32: 32 bits of state, good enough to choose test inputs. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    below: (n) => next() % n,
    pick: (from) => from[next() % from.length] as (typeof from)[number],
    chance: (p) => next() / 2 ** 32 < p,
  };
}
