/** How much of its rate does a port keep while another port sends what is made to be dear? */
import type { Source } from "./frames.js";
import { sleep } from "./process.js";
import type { Case } from "./question.js";
import { addRule, join, type Rule } from "./rules.js";
import { goodFlows } from "./side.js";

const sinkPort = 2;
const attackPort = 3;
const attackTable = 1;

/** What the rules of the attacker's port let through. */
const allowed = { src: 0x0a00000a, dst: 0x0b00000b, port: 80 } as const;

/** Each flow of the good port has a rule, and so a megaflow; the attacker's packets go through a table of their own. */
function rules(ofAttack: readonly Omit<Rule, "table">[]): Uint8Array {
  const good = Array.from({ length: goodFlows }, (_, flow) =>
    addRule({
      match: { in_port: 1, eth_type: 0x0800, ipv4_src: 0x0a000000 + flow },
      step: { output: sinkPort },
    }),
  );
  const entry = addRule({ priority: 200, match: { in_port: attackPort }, step: { goto: attackTable } });
  return join([...good, entry, ...ofAttack.map((rule) => addRule({ ...rule, table: attackTable }))]);
}

/** Flows of the attack.  A source of OVS-DPDK's begins again after so many, of which OVS has installed few by then. */
const attackFlows = { sluice: 2 ** 24, ovs: 120_000 } as const;

/** Rules as a firewall has them: one by port, one by source, one by destination, and the rest is dropped.  A packet that
 *  none lets through has read as many bits of each address as it takes to tell it from the one that is allowed. */
const firewall: readonly Omit<Rule, "table">[] = [
  { priority: 400, match: { eth_type: 0x0800, ip_proto: 17, udp_dst: allowed.port }, step: { output: sinkPort } },
  { priority: 300, match: { eth_type: 0x0800, ipv4_src: allowed.src }, step: { output: sinkPort } },
  { priority: 200, match: { eth_type: 0x0800, ipv4_dst: allowed.dst }, step: { output: sinkPort } },
  { priority: 100, match: {}, step: "drop" },
];

/** Every packet reads 24 bits of its source address, so that it shares its megaflow with no other. */
const eachItsOwn: readonly Omit<Rule, "table">[] = [
  { priority: 200, match: { eth_type: 0x0800, ipv4_src: [1, 0x00ffffff] }, step: { output: sinkPort } },
  { priority: 100, match: {}, step: "drop" },
];

function attackCase(
  id: string,
  text: string,
  ofAttack: readonly Omit<Rule, "table">[],
  source: Omit<Source, "flows">,
): Case {
  return {
    id: `attack-${id}`,
    text,
    metrics: [
      { name: "kept", unit: "% of the rate without", better: "more" },
      { name: "attacked", unit: "Mpps", better: "more", scale: 1e6 },
    ],
    quick: true,
    missing: (side) => side.forwarderMissing(),
    measure: async (side, options) => {
      const forwarder = await side.startForwarder();
      const seconds = options.quick ? 1 : 3;
      try {
        await forwarder.client.pipeline(rules(ofAttack));
        await forwarder.client.barrier();
        await forwarder.start({ flows: goodFlows });
        await sleep(1000);
        const still = await forwarder.delivered(seconds);
        await forwarder.startAttack({ ...source, flows: attackFlows[side.name] });
        await sleep(2000);
        const attacked = await forwarder.delivered(seconds);
        const { megaflows, resident } = await forwarder.counters();
        return { kept: (100 * attacked) / still, attacked, still, megaflows, resident };
      } finally {
        await forwarder.stop();
      }
    },
  };
}

export const attacks: readonly Case[] = [
  attackCase("masks", "1k flows while another port sends packets made for 1024 masks", firewall, {
    pattern: "prefixes",
  }),
  attackCase("new-flows", "1k flows while another port sends nothing but new flows", eachItsOwn, {}),
];
