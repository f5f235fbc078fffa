/** What do changes of a table cost the packets that visit it, and those that do not? */
import type { Source } from "./frames.js";
import { sleep } from "./process.js";
import type { Case } from "./question.js";
import { addRule, deleteRule, join, sourceRules } from "./rules.js";
import type { Forwarder } from "./side.js";

const source: Source = { flows: 1000 };
const sinkPort = 2;
const otherTable = 7;
const modsPerSecond = 10_000;
const turnMs = 10;

/** Adds and deletes rules of one mask that no packet meets, at a steady rate, until told to stop.  Returns how many a
 *  second there were. */
async function churn(forwarder: Forwarder, table: number, stop: { now: boolean }): Promise<number> {
  const started = performance.now();
  let sent = 0;
  while (!stop.now) {
    const due = Math.floor(((performance.now() - started) / 1000) * modsPerSecond) - sent;
    const messages: Uint8Array[] = [];
    for (let index = 0; index < due; index++, sent++) {
      const match = { eth_type: 0x0800, ipv4_src: 0x0b000000 + (sent >> 1) };
      const rule = { table, priority: 100, match };
      messages.push(sent % 2 === 0 ? addRule({ ...rule, step: { output: sinkPort } }) : deleteRule(rule));
    }
    if (messages.length !== 0) await forwarder.client.pipeline(join(messages));
    await sleep(turnMs);
  }
  return sent / ((performance.now() - started) / 1000);
}

function churnCase(id: string, text: string, table: number): Case {
  return {
    id,
    text,
    metrics: [{ name: "kept", unit: "% of the rate without", better: "more" }],
    quick: true,
    missing: (side) => side.forwarderMissing(),
    measure: async (side, options) => {
      const forwarder = await side.startForwarder();
      const seconds = options.quick ? 1 : 3;
      try {
        await forwarder.client.pipeline(sourceRules(source.flows, { output: sinkPort }));
        await forwarder.client.barrier();
        const still = await forwarder.forward(source, 1, seconds);
        const stop = { now: false };
        const changes = churn(forwarder, table, stop);
        await sleep(300);
        const changing = await forwarder.watch(seconds);
        stop.now = true;
        return {
          kept: (100 * changing.packetsPerSecond) / still.packetsPerSecond,
          still: still.packetsPerSecond,
          changing: changing.packetsPerSecond,
          modsPerSecond: await changes,
        };
      } finally {
        await forwarder.stop();
      }
    },
  };
}

export const churns: readonly Case[] = [
  churnCase("churn-elsewhere", "1k flows while 10k flow-mods a second change a table they do not visit", otherTable),
  churnCase("churn-here", "1k flows while 10k flow-mods a second change the table they visit", 0),
];
