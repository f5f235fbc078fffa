/** Random lives of a bridge: groups, meters and flows of every version of OpenFlow, that change between packets. */
import { change } from "./change.js";
import { floorFlows, flowText, groupText, meterText, type Numbering } from "./flow.js";
import { frameText } from "./frame.js";
import { lastTable, ports } from "./generate.js";
import type { Random } from "./random.js";
import { conjunctionFlows } from "./repertoire.js";
import type { Arrivals, Step } from "./steps.js";
import { randomTheme, type Theme, versions } from "./theme.js";

/** Frames sent at once: a test device's queue holds a hundred. */
const framesPerStep = 80;
const flowsPerStep = 6;

/** A life: groups, meters and flows, then packets and changes by turns. */
export function randomLife(random: Random, flows: number, packets: number): readonly Step[] {
  const theme = randomTheme(random);
  const version = random.pick(versions);
  const cookies: Numbering = { next: 1 };
  const steps: Step[] = [];
  for (const id of theme.groups)
    steps.push({
      kind: "ofctl",
      version: "OpenFlow15",
      command: "add-group",
      words: [groupText(random, id, theme, "OpenFlow15")],
    });
  for (const id of theme.meters)
    steps.push({ kind: "ofctl", version: "OpenFlow13", command: "add-meter", words: [meterText(random, id)] });
  const floor = floorFlows(random, version, theme, cookies);
  steps.push({ kind: "flows", version, bundle: false, lines: floor });
  // A flow that is refused ends its lot.
  for (let left = flows; left > 0; left -= flowsPerStep) {
    const lines = Array.from({ length: flowsPerStep }, () => flowText(random, version, theme, cookies));
    steps.push({ kind: "flows", version, bundle: false, lines });
  }
  if (theme.conjunctions)
    steps.push({
      kind: "flows",
      version: "OpenFlow13",
      bundle: false,
      lines: conjunctionFlows(random, random.below(lastTable + 1)),
    });
  for (let sent = 0; sent < packets; ) {
    const arrivals = arrive(random, theme);
    steps.push({ kind: "frames", arrivals, settles: theme.pauses, inTurn: theme.meters.length > 0 });
    // A packet that teaches goes alone, and takes the time of many.
    // So it is with those of a metered life, which go in turn: Open vSwitch sorts what arrives together by cached flow.
    sent += theme.learn
      ? 40
      : theme.meters.length > 0
        ? 3 * framesPerStep
        : arrivals.reduce((sum, { frames }) => sum + frames.length, 0);
    if (random.chance(theme.learn ? 0.1 : 0.5)) steps.push(change(random, theme, cookies));
  }
  return steps;
}

/** What a packet taught reaches cached flows when revalidators come round: then each goes alone.  Which packets a meter
 *  lets through depends on their order: then they come to one port. */
function arrive(random: Random, theme: Theme): Arrivals[] {
  const frames = (count: number): string[] => Array.from({ length: count }, () => frameText(random, theme));
  if (theme.learn) return [{ port: random.pick(ports), frames: frames(1) }];
  if (theme.meters.length > 0) return [{ port: random.pick(ports), frames: frames(framesPerStep) }];
  // A switch drops packet-ins beyond a thousand that it has not sent.
  return ports.map((port) => ({ port, frames: frames(theme.controllers ? framesPerStep / 2 : framesPerStep) }));
}
