/** `npm run bench`: first figures of Sluice, beside those of the installed Open vSwitch. */
import { cpus, loadavg, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { attacks } from "./attack.js";
import { churns } from "./churn.js";
import { configurations } from "./configuration.js";
import { dpdk } from "./dpdk.js";
import { flowMods } from "./flow-mods.js";
import { forwarding } from "./forwarding.js";
import { megaflows } from "./megaflows.js";
import { misses } from "./misses.js";
import { ovs, ovsVersion } from "./ovs.js";
import { packetIns } from "./packet-ins.js";
import { ask, type Case, type Figure } from "./question.js";
import { jsonLine, table } from "./report.js";
import { sluice } from "./sluice.js";
import { veth } from "./veth.js";

const usage = `Usage: npm run bench -- [options]
  --quick         a few minutes less: short measurements, once each, without the longest
  --only=TEXT,... only the questions whose id contains one of the texts; a whole id is asked with --quick, too
  --rounds=N      measurements of each side; the default is 5 (A B B A A B B A A B), with --quick 1
  --list          the questions and their ids
`;

const cases: readonly Case[] = [
  ...forwarding,
  ...dpdk,
  ...veth,
  ...megaflows,
  ...misses,
  ...churns,
  ...attacks,
  ...flowMods,
  ...packetIns,
  ...configurations,
];

function machine(): string {
  const cpu = cpus();
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return `${cpu[0]?.model.trim() ?? "unknown CPU"}, ${cpu.length} cores, ${memoryGiB} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    rounds: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(usage);
} else if (values.list) {
  for (const one of cases) process.stdout.write(`${one.id.padEnd(24)}${one.text}\n`);
} else {
  await main(values.quick, values.only, Number(values.rounds ?? (values.quick ? 1 : 5)));
}

async function main(quick: boolean, only: string, rounds: number): Promise<void> {
  const version = ovsVersion();
  const date = new Date().toISOString().slice(0, 10);
  const load = loadavg()[0] ?? 0;
  process.stdout.write(`${JSON.stringify({ machine: machine(), date, ovs: version ?? null, rounds, load })}\n`);
  const figures: Figure[] = [];
  const texts = only.split(",");
  const isAsked = ({ id, quick: inQuick }: Case): boolean =>
    texts.includes(id) || ((inQuick || !quick) && texts.some((text) => id.includes(text)));
  for (const one of cases.filter(isAsked)) {
    const found = await ask(one, [sluice, ovs], rounds, { quick }, (side, sample) => {
      process.stderr.write(`${one.id} ${side.name} ${JSON.stringify(sample)}\n`);
    });
    figures.push(...found);
    for (const figure of found) process.stdout.write(`${jsonLine(figure)}\n`);
  }
  process.stdout.write(
    `\n${machine()}; ${date}; Open vSwitch ${version ?? "not installed"}; load before ${load.toFixed(2)}\n\n`,
  );
  process.stdout.write(`${table(figures)}\n`);
}
