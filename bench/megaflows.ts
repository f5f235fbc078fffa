/** How fast do new flows get megaflows, and what does one cost in memory? */
import { rulesOfMasks } from "./forwarding.js";
import type { Source } from "./frames.js";
import { sleep } from "./process.js";
import type { Case } from "./question.js";
import { addRule, deleteRule, join } from "./rules.js";

const source: Source = { flows: 100_000 };
const gate = { priority: 60_000, match: {} };
const fillSeconds = 2;
/** Of the flows, the part that has megaflows when all but have. */
const nearlyAll = 0.99;

/** The packets run into a gate, which is opened: so nothing else is measured than what new flows do. */
const fill: Case = {
  id: "megaflows-fill",
  text: "100k flows, each its own megaflow, while they fill",
  metrics: [
    { name: "packetsPerSecond", unit: "Mpps", better: "more", scale: 1e6 },
    { name: "megaflowsPerSecond", unit: "M installed/s", better: "more", scale: 1e6 },
    { name: "bytesPerMegaflow", unit: "B a megaflow", better: "less" },
  ],
  quick: true,
  missing: (side) => side.forwarderMissing(),
  measure: async (side) => {
    const forwarder = await side.startForwarder();
    try {
      await forwarder.client.pipeline(join([addRule({ ...gate, step: "drop" }), rulesOfMasks(source)]));
      await forwarder.client.barrier();
      await forwarder.start(source);
      await sleep(2000);
      const before = await forwarder.counters();
      const started = performance.now();
      await forwarder.client.pipeline(deleteRule(gate));
      let after = before;
      let seconds = 0;
      while (seconds < fillSeconds && after.megaflows < nearlyAll * source.flows) {
        await sleep(5);
        after = await forwarder.counters();
        seconds = (performance.now() - started) / 1000;
      }
      return {
        packetsPerSecond: (after.packets - before.packets) / seconds,
        megaflowsPerSecond: (after.megaflows - before.megaflows) / seconds,
        bytesPerMegaflow: (after.resident - before.resident) / (after.megaflows - before.megaflows),
      };
    } finally {
      await forwarder.stop();
    }
  },
};

export const megaflows: readonly Case[] = [fill];
