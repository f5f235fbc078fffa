/** Random lives of a bridge in Sluice and in the real Open vSwitch: groups, meters, learned flows, conjunctions, headers
 *  in headers, labels, tags, tunnel fields and fragments, with flows that change and end between packets, packet-outs and
 *  packets that wait for a controller.  Frames, messages to a controller, counters, statistics and errors agree.
 *
 *  DIFFERENTIAL_SEED and DIFFERENTIAL_LIVES run other or more lives.  A life that differs is made as short as can be
 *  and written as a script that does it again to either switch. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, startOvs, startSluice } from "../system/switch.js";
import { Player, type Seen } from "./play.js";
import { seeded } from "./random.js";
import { type Step, shrink, writeScript } from "./steps.js";
import { randomLife } from "./world.js";

const firstSeed = Number(process.env.DIFFERENTIAL_SEED ?? 4711);
const lives = Number(process.env.DIFFERENTIAL_LIVES ?? 20);
const flowsPerLife = 24;
const packetsPerLife = 1280;
const shrinkTriesMax = Number(process.env.DIFFERENTIAL_TRIES ?? 40);

const reason = missing({ tools: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl"] });
if (reason !== undefined) console.log(`skip: differential: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const framesOf = (step: Step): number =>
  step.kind === "frames" ? step.arrivals.reduce((sum, { frames }) => sum + frames.length, 0) : 0;

/** What differs, or undefined: the first thing seen that does, with what only one of the two has. */
function difference(ours: Seen, theirs: Seen): string | undefined {
  for (const [name, lines] of Object.entries(theirs)) {
    const mine = ours[name] ?? [];
    if (mine.length === lines.length && mine.every((line, index) => line === lines[index])) continue;
    const only = (of: readonly string[], from: readonly string[]): string[] => {
      const left = [...from];
      return of.filter((line) => {
        const at = left.indexOf(line);
        if (at >= 0) left.splice(at, 1);
        return at < 0;
      });
    };
    const shown = (who: string, more: readonly string[]): string[] =>
      more.slice(0, 5).map((line) => `  only in ${who}: ${line.replaceAll("\n", "\\n")}`);
    return [name, ...shown("Open vSwitch", only(lines, mine)), ...shown("Sluice", only(mine, lines))].join("\n");
  }
  return undefined;
}

maybe("random lives of a bridge are the same in both switches", async () => {
  const peer = process.env.DIFFERENTIAL_SELF === "1" ? startOvs : startSluice;
  const switches = [await startOvs({ dummy: true }), await peer({ dummy: true })] as const;
  const theirs = await Player.start(switches[0]);
  const ours = await Player.start(switches[1]);
  const compare = async (steps: readonly Step[]): Promise<string | undefined> => {
    const seen = await Promise.all([theirs.play(steps), ours.play(steps)]);
    return difference(seen[1], seen[0]);
  };
  const failures: string[] = [];
  let packets = 0;
  try {
    for (let seed = firstSeed; seed < firstSeed + lives; seed++) {
      const steps = randomLife(seeded(seed), flowsPerLife, packetsPerLife);
      packets += steps.reduce((sum, step) => sum + framesOf(step), 0);
      const first = await compare(steps).catch((error: unknown) => {
        console.log(`seed ${seed} ends with ${error}\n${theirs.lastWords()}\n${ours.lastWords()}`);
        throw error;
      });
      if (first === undefined) continue;
      const what = first.split("\n")[0];
      const fails = async (some: readonly Step[]): Promise<boolean> => (await compare(some))?.split("\n")[0] === what;
      const least = shrinkTriesMax > 0 ? await shrink(steps, fails, shrinkTriesMax) : steps;
      const still = (await compare(least)) ?? first;
      const script = writeScript(seed, least, still);
      failures.push(`seed ${seed}: ${still}`);
      console.log(
        `seed ${seed} differs (DIFFERENTIAL_SEED=${seed} DIFFERENTIAL_LIVES=1); ${script} does it again:\n${still}`,
      );
    }
    console.log(`note: seeds ${firstSeed} to ${firstSeed + lives - 1}: ${packets} packets`);
    assert.equal(failures, []);
  } finally {
    theirs.stop();
    ours.stop();
    for (const under of switches) await under.stop();
  }
});

test.run();
