/** How many packets a second does one polling thread take through the OpenFlow tables, when no cache knows any? */
import type { Case } from "./question.js";
import { addRule, join, sourceRules } from "./rules.js";

const flows = 8192;
const sinkPort = 2;
const tables = 10;
/** Flows that share a rule in each of the ten tables. */
const flowsPerRule = 8;

/** In each of ten tables the packet meets one of 1024 rules. */
function tenTables(): Uint8Array {
  const rules: Uint8Array[] = [];
  for (let table = 0; table < tables; table++) {
    const step = table === tables - 1 ? { output: sinkPort } : { goto: table + 1 };
    for (let flow = 0; flow < flows; flow += flowsPerRule) {
      const prefix = [0x0a000000 + flow, -flowsPerRule >>> 0] as const;
      rules.push(addRule({ table, match: { eth_type: 0x0800, ipv4_src: prefix }, step }));
    }
  }
  return join(rules);
}

function missCase(id: string, text: string, rules: () => Uint8Array): Case {
  return {
    id,
    text,
    metrics: [{ name: "missesPerSecond", unit: "M/s", better: "more", scale: 1e6 }],
    quick: true,
    missing: (side) => side.forwarderMissing(),
    measure: async (side, options) => {
      const forwarder = await side.startForwarder({ uncached: true });
      try {
        await forwarder.client.pipeline(rules());
        await forwarder.client.barrier();
        return { ...(await forwarder.forward({ flows }, 0.5, options.quick ? 1 : 3)) };
      } finally {
        await forwarder.stop();
      }
    },
  };
}

export const misses: readonly Case[] = [
  missCase("misses-1-table", "Misses translated, 1 table of 8k rules", () => sourceRules(flows, { output: sinkPort })),
  missCase("misses-10-tables", "Misses translated, 10 tables of 1k rules", tenTables),
];
