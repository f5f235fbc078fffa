/** How many packets does one polling thread forward, and what does a packet cost? */
import { aclKinds, makeAcl } from "./acl.js";
import type { Source } from "./frames.js";
import { sourceAddress } from "./frames.js";
import { sourceFlowsMax } from "./ovs.js";
import type { Case, Metric } from "./question.js";
import { addRule, join, normalPort, sourceRules } from "./rules.js";
import type { ForwarderOptions } from "./side.js";

export const forwardingMetrics: readonly Metric[] = [
  { name: "packetsPerSecond", unit: "Mpps", better: "more", scale: 1e6 },
  { name: "cyclesPerPacket", unit: "cycles/packet", better: "less" },
];

const sinkPort = 2;
/** Rules that make megaflows of 20 masks number their tables from here. */
const firstMaskTable = 1;

/** One rule on the port alone. */
export function portRule(): Uint8Array {
  return addRule({ match: { in_port: 1 }, step: { output: sinkPort } });
}

/** One rule that reads the address, so that one megaflow covers all that comes in and the packet has to be read. */
export function destinationRule(): Uint8Array {
  const match = { eth_type: 0x0800, ipv4_dst: [0x0aff0000, 0xffff0000] } as const;
  return addRule({ match, step: { output: sinkPort } });
}

/** A rule for each flow, in tables that also read different bits of the destination: as many masks as upper bytes. */
export function rulesOfMasks(source: Source): Uint8Array {
  const masks = source.masks ?? 1;
  if (masks === 1) return sourceRules(source.flows, { output: sinkPort });
  const rules: Uint8Array[] = [];
  for (let index = 0; index < masks; index++) {
    const match = { eth_type: 0x0800, ipv4_src: [(10 + index) * 2 ** 24, 0xff000000] } as const;
    rules.push(addRule({ match, step: { goto: firstMaskTable + index } }));
  }
  for (let flow = 0; flow < source.flows; flow++) {
    const mask = (flow % masks) + 1;
    const match = {
      eth_type: 0x0800,
      ipv4_src: sourceAddress(source, flow),
      ipv4_dst: [0x0aff0001 & mask, mask],
    } as const;
    rules.push(addRule({ table: firstMaskTable + (flow % masks), match, step: { output: sinkPort } }));
  }
  return join(rules);
}

interface ForwardingQuestion {
  readonly id: string;
  readonly text: string;
  readonly source: Source;
  readonly rules: () => Uint8Array;
  readonly quick: boolean;
  readonly forwarder?: ForwarderOptions;
}

export function forwardingQuestion(question: ForwardingQuestion): Case {
  const { id, text, source, rules, quick } = question;
  return {
    id,
    text,
    metrics: forwardingMetrics,
    quick,
    missing: (side) =>
      side.name === "ovs" && source.flows > sourceFlowsMax
        ? `OVS-DPDK's sources repeat at most ${sourceFlowsMax.toLocaleString("en")} frames`
        : side.forwarderMissing(question.forwarder),
    measure: async (side, options) => {
      const forwarder = await side.startForwarder(question.forwarder);
      try {
        await forwarder.client.pipeline(rules());
        await forwarder.client.barrier();
        // OVS installs 40,000 megaflows a second; both sides get the same time to settle.
        const warmSeconds = (options.quick ? 0.5 : 1.5) + source.flows / 100_000;
        return { ...(await forwarder.forward(source, warmSeconds, options.quick ? 1 : 3)) };
      } finally {
        await forwarder.stop();
      }
    },
  };
}

function forwardingCase(id: string, text: string, source: Source, rules: () => Uint8Array, quick: boolean): Case {
  return forwardingQuestion({ id: `forward-${id}`, text, source, rules, quick });
}

/** Filters in one table, and as many flows that meet them. */
function aclCases(): readonly Case[] {
  const flows = 10_000;
  return aclKinds.flatMap((kind) =>
    ([1000, 10_000] as const).map((count) => {
      const acl = makeAcl(kind, count, 1, sinkPort);
      const text = `${count / 1000}k filters like ClassBench's ${kind}, 10k flows`;
      const id = `${kind}-${count / 1000}k`;
      return forwardingCase(id, text, { flows, headers: acl.headers }, () => acl.rules, kind === "acl");
    }),
  );
}

const normalRule = (): Uint8Array => addRule({ match: {}, step: { output: normalPort } });

const tenThousand = { flows: 10_000 };
const hundredThousand = { flows: 100_000 };
const fiveMasks = { flows: 10_000, masks: 5 };
const manyFiveMasks = { flows: 100_000, masks: 5 };
const twentyMasks = { flows: 10_000, masks: 20 };

const under = "under one megaflow on a destination";

export const forwarding: readonly Case[] = [
  forwardingCase("port-1", "Port to port, 1 flow", { flows: 1 }, portRule, true),
  forwardingCase("port-10k", "Port to port, 10k flows", tenThousand, portRule, false),
  forwardingCase("1", `1 flow ${under}`, { flows: 1 }, destinationRule, true),
  forwardingCase("10k", `10k flows ${under}`, tenThousand, destinationRule, true),
  forwardingCase("100k", `100k flows ${under}`, { flows: 100_000 }, destinationRule, false),
  forwardingCase("1m", `1M flows ${under}`, { flows: 1_000_000 }, destinationRule, true),
  forwardingCase("10k-megaflows", "10k megaflows, 1 mask", tenThousand, () => rulesOfMasks(tenThousand), true),
  forwardingCase("5-masks", "10k megaflows, 5 masks", fiveMasks, () => rulesOfMasks(fiveMasks), false),
  forwardingCase(
    "100k-megaflows",
    "100k megaflows, 1 mask",
    hundredThousand,
    () => rulesOfMasks(hundredThousand),
    true,
  ),
  forwardingCase("100k-5-masks", "100k megaflows, 5 masks", manyFiveMasks, () => rulesOfMasks(manyFiveMasks), false),
  forwardingCase("normal-1", "NORMAL, 1 flow", { flows: 1 }, normalRule, false),
  forwardingCase("normal-10k", "NORMAL, 10k flows", tenThousand, normalRule, true),
  ...aclCases(),
  forwardingCase("20-masks", "10k megaflows, 20 masks", twentyMasks, () => rulesOfMasks(twentyMasks), true),
];
