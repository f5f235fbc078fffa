/** The same random flow tables and packets through Sluice and the real Open vSwitch: what leaves each port, what each
 *  flow counted and what the switch said of each flow must be equal.
 *
 *  DIFFERENTIAL_SEED and DIFFERENTIAL_ROUNDS run other or more cases; the seed of a failed round is printed. */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, type Ran, type Switch, startOvs, startSluice, until } from "../system/switch.js";
import { ports, randomFlows, randomStimulus, type Stimulus } from "./generate.js";
import { Intake } from "./intake.js";
import { addBridge, capture, frames } from "./play.js";
import { seeded } from "./random.js";
import { openUnixctl } from "./unixctl.js";

const firstSeed = Number(process.env.DIFFERENTIAL_SEED ?? 20261120);
const rounds = Number(process.env.DIFFERENTIAL_ROUNDS ?? 12);
const flowsPerRound = 30;
const packetsPerRound = 150;

/** Lines of dump-flows without what time does to them, in cookie order. */
function flowLines(under: Switch): string[] {
  return under
    .ok("ovs-ofctl", "-O", "OpenFlow13", "--no-names", "--no-stats", "dump-flows", "br0")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("cookie="))
    .sort();
}

function counts(under: Switch): string[] {
  return under
    .ok("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "br0")
    .split("\n")
    .map((line) => /cookie=(0x[0-9a-f]+).*n_packets=(\d+), n_bytes=(\d+)/.exec(line))
    .filter((match) => match !== null)
    .map((match) => `cookie ${match[1]}: ${match[2]} packets, ${match[3]} bytes`)
    .sort();
}

function settled(under: Switch): () => boolean {
  /** Looks in a row, 50 ms apart, at which nothing more had been sent. */
  const quietMin = 5;
  let quiet = 0;
  let last = -1;
  return () => {
    const size = readdirSync(under.directory)
      .filter((name) => name.endsWith(".pcap"))
      .reduce((sum, name) => sum + statSync(join(under.directory, name)).size, 0);
    quiet = size === last ? quiet + 1 : 0;
    last = size;
    return quiet >= quietMin;
  };
}

interface Outcome {
  readonly added: Ran;
  readonly flows: readonly string[];
  readonly frames: readonly (readonly string[])[];
  readonly counts: readonly string[];
  readonly fdb: readonly string[];
}

async function play(
  under: Switch,
  flows: readonly string[],
  stimuli: readonly Stimulus[],
  normal: boolean,
): Promise<Outcome> {
  const before = ports.map((port) => frames(capture(under, port)).length);
  under.ok("ovs-ofctl", "-O", "OpenFlow13", "del-flows", "br0");
  under.ok("ovs-appctl", "fdb/flush", "br0");
  const file = join(under.directory, "flows.txt");
  writeFileSync(file, `${flows.join("\n")}\n`);
  const added = under.run("ovs-ofctl", "-O", "OpenFlow13", "add-flows", "br0", file);
  const control = await openUnixctl(join(under.directory, `ovs-vswitchd.${under.pid}.ctl`));
  // Open vSwitch's cached flows follow a changed table when its revalidators come round.
  await control.call("revalidator/purge");
  const intake = await Intake.open(under, control);
  for (const { port, frame } of stimuli) {
    await intake.receive(port, frame);
    if (!normal) continue;
    // What NORMAL does with a packet depends on those before it: on the addresses that they taught, which Open vSwitch's
    // cached flows follow when its revalidators come round.
    await intake.drained();
    await control.call("revalidator/purge");
  }
  await intake.drained();
  await until(`${under.kind} has sent everything`, 10, settled(under));
  await control.call("revalidator/wait");
  const fdb = (await control.call("fdb/show", "br0"))
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/).slice(0, 3).join(" "))
    .filter((line) => line !== "")
    .sort();
  control.close();
  return {
    added,
    flows: flowLines(under),
    frames: ports.map((port, index) => frames(capture(under, port)).slice(before[index])),
    counts: counts(under),
    fdb,
  };
}

/** What a tool complained of, without what differs between two runs of it. */
const said = (ran: Ran, under: Switch): string =>
  ran.stderr.replaceAll(under.directory, "").replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z/gm, "TIME");

const reason = missing({ tools: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl"] });
if (reason !== undefined) console.log(`skip: differential: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

maybe("random flow tables and packets do the same in both switches", async () => {
  const peer = process.env.DIFFERENTIAL_SELF === "1" ? startOvs : startSluice;
  const switches = [await startOvs({ dummy: true }), await peer({ dummy: true })] as const;
  try {
    for (const under of switches) addBridge(under);
    for (let round = 0; round < rounds; round++) {
      const seed = firstSeed + round;
      const random = seeded(seed);
      const normal = seed % 2 === 0;
      const flows = randomFlows(random, flowsPerRound, normal);
      const stimuli = Array.from({ length: packetsPerRound }, () => randomStimulus(random, normal));
      const [theirs, ours] = [
        await play(switches[0], flows, stimuli, normal),
        await play(switches[1], flows, stimuli, normal),
      ];
      try {
        assert.is(said(ours.added, switches[1]), said(theirs.added, switches[0]), "what add-flows said");
        assert.equal(ours.flows, theirs.flows, "dump-flows");
        ports.forEach((port, index) => {
          assert.equal(ours.frames[index]?.toSorted(), theirs.frames[index]?.toSorted(), `frames from port ${port}`);
        });
        assert.equal(ours.counts, theirs.counts, "counters");
        assert.equal(ours.fdb, theirs.fdb, "learned addresses");
      } catch (error) {
        const script = join("/tmp", `sluice-differential-${seed}.txt`);
        writeFileSync(
          script,
          [...flows, ...stimuli.map(({ port, frame }) => `netdev-dummy/receive p${port} ${frame}`)].join("\n"),
        );
        console.log(
          `seed ${seed} fails; run it alone with DIFFERENTIAL_SEED=${seed} DIFFERENTIAL_ROUNDS=1; its flows and packets are in ${script}`,
        );
        throw error;
      }
    }
    console.log(
      `seeds ${firstSeed} to ${firstSeed + rounds - 1}: ${rounds * packetsPerRound} packets over ${rounds * flowsPerRound} flows`,
    );
  } finally {
    for (const under of switches) await under.stop();
  }
});

test.run();
