import type { UnixctlCommand } from "../appctl/index.js";
import type { EventFlood } from "../datapath/generated/records.js";
import { floodedRules, missStats } from "../datapath/index.js";
import { formatMatch } from "../openflow/index.js";
import type { Ofprotos } from "./ofprotos.js";

/** Ports that flood the switch with packets that no cache knows, and the rules that make them dear. */

export interface FloodRule {
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  /** As ovs-ofctl prints it, without the priority. */
  readonly match: string;
  /** Part of the port's megaflows that come from the rule, of those looked at. */
  readonly part: number;
}

/** A port took more of a worker, or of a cache, than its share. */
export interface Flood {
  readonly bridge: string | undefined;
  readonly port: string;
  readonly missesPerSecond: number;
  readonly megaflows: number;
  readonly masks: number;
  /** Whether it was held back so that others could go on. */
  readonly heldBack: boolean;
  /** Whether megaflows or masks are as many as there may be because of it. */
  readonly fillsCache: boolean;
  /** The worst first. */
  readonly rules: readonly FloodRule[];
}

interface NamedPort {
  readonly bridge: string | undefined;
  readonly port: string;
}

function nameOf(all: Ofprotos, dpPort: number): NamedPort {
  for (const ofproto of all.all())
    for (const port of ofproto.ports())
      if (port.spec.dpPort === dpPort) return { bridge: ofproto.name, port: port.spec.dpName ?? port.name };
  return { bridge: undefined, port: `port ${dpPort}` };
}

/** Rules worth naming: those that most of the megaflows come from. */
const partMin = 0.05;

function rulesOf(all: Ofprotos, dpPort: number): readonly FloodRule[] {
  return [...floodedRules(all.datapath, dpPort)]
    .map(({ table, priority, cookie, match, nMegaflows, nSeen }) => ({
      ...{ table, priority, cookie, match: formatMatch(match) },
      part: nSeen === 0 ? 0 : nMegaflows / nSeen,
    }))
    .filter(({ part }) => part >= partMin);
}

export function describeFlood(all: Ofprotos, event: EventFlood): Flood {
  return {
    ...nameOf(all, event.dpPort),
    missesPerSecond: event.periodMs === 0 ? 0 : Math.round((1000 * Number(event.nMisses)) / event.periodMs),
    megaflows: event.nMegaflows,
    masks: event.nMasks,
    heldBack: event.nHeld !== 0n,
    fillsCache: event.fillsCache !== 0,
    rules: rulesOf(all, event.dpPort),
  };
}

const ruleText = ({ table, priority, match, part }: FloodRule): string =>
  `table=${table},priority=${priority}${match === "" ? "" : `,${match}`} (${Math.round(100 * part)} %)`;

export function floodText(flood: Flood): string {
  const where = flood.bridge === undefined ? flood.port : `${flood.port} of bridge ${flood.bridge}`;
  const held = flood.heldBack ? ", which is held back so that others are not" : "";
  const rules = flood.rules.length === 0 ? "" : `; megaflows come from ${flood.rules.map(ruleText).join(", ")}`;
  return (
    `${flood.missesPerSecond} packets a second that no cache knows on ${where}${held}: ` +
    `${flood.megaflows} megaflows, ${flood.masks} masks${rules}`
  );
}

export function floodCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    {
      name: "sluice/misses",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => {
        const ports = [...missStats(all.datapath)]
          .filter(({ nMisses }) => nMisses !== 0n)
          .sort((a, b) => Number(b.nMisses - a.nMisses))
          .map((info) => {
            const rules = rulesOf(all, info.dpPort);
            return {
              ...nameOf(all, info.dpPort),
              misses: Number(info.nMisses),
              heldTurns: Number(info.nHeld),
              megaflows: info.nMegaflows,
              masks: info.nMasks,
              fillsCache: info.fillsCache !== 0,
              rules: rules.map((rule) => ({ ...rule, cookie: `0x${rule.cookie.toString(16)}` })),
              texts: rules.map(ruleText),
            };
          });
        const text = ports
          .map(({ port, bridge, misses, heldTurns, megaflows, masks, texts }) =>
            [
              `${port}${bridge === undefined ? "" : ` (${bridge})`}: misses:${misses} held:${heldTurns} megaflows:${megaflows} masks:${masks}`,
              ...texts.map((rule) => `  ${rule}`),
            ]
              .map((line) => `${line}\n`)
              .join(""),
          )
          .join("");
        return { text, json: ports.map(({ texts: _, ...port }) => port) };
      },
    },
  ];
}
