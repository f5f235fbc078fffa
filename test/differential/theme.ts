/** What a random life is about; what it is not about is left out, so that failures stay small. */
import type { Random } from "./random.js";

export const versions = ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"] as const;
export type Version = (typeof versions)[number];
export const atLeast = (version: Version, least: Version): boolean => version >= least;

export interface Theme {
  readonly fragments: boolean;
  readonly learn: boolean;
  /** Headers are pushed and popped by encap and decap. */
  readonly encaps: boolean;
  readonly mpls: boolean;
  /** Packets may recirculate, and then there are no action sets: Open vSwitch 3.1 dies of an assertion in
   *  recirc_alloc_id__() when it freezes a packet whose action set is longer than the actions that are left. */
  readonly recirculates: boolean;
  /** Packets go to a controller, and then no tags are pushed: Open vSwitch 3.1 parses a packet again that it sends up
   *  (dp_execute_userspace_action()), no deeper than its limit of tags, and of one with more takes the network header to
   *  be where it is not, so that later actions write over other bytes. */
  readonly controllers: boolean;
  /** Packets wait for the controller, which lets them go on. */
  readonly pauses: boolean;
  /** Flows end by themselves, and time passes. */
  readonly timeouts: boolean;
  readonly conjunctions: boolean;
  /** Fields of tunnels and options of Geneve, which no port of this bridge sends. */
  readonly tunnels: boolean;
  /** Actions that few tables have. */
  readonly rare: boolean;
  readonly meters: readonly number[];
  readonly groups: readonly number[];
}

export function randomTheme(random: Random): Theme {
  const recirculates = random.chance(0.5);
  const encaps = recirculates && random.chance(0.4);
  return {
    fragments: random.chance(0.3),
    learn: random.chance(0.2),
    encaps,
    recirculates,
    controllers: random.chance(0.5),
    meters: random.chance(0.3) ? [1, 2] : [],
    groups: random.chance(0.6) ? [1, 2, 3, 4] : [],
    // Encapsulations go without: Open vSwitch 3.1 dies of an assertion in push_eth() where both meet a recirculation.
    mpls: !encaps && random.chance(0.35),
    timeouts: random.chance(0.3),
    pauses: recirculates && !encaps && random.chance(0.25),
    conjunctions: random.chance(0.3),
    tunnels: random.chance(0.25),
    rare: !encaps && random.chance(0.6),
  };
}
