/** Hundreds of flows through the real ovs-ofctl into Sluice and Open vSwitch, in each version of OpenFlow: what is
 *  accepted is dumped alike, and what is refused is refused with the same error. */
import { test } from "uvu";
import { actions, matches, modifiers } from "./flow-strings.js";
import { addBridge, equal, noOvs, say, withPair } from "./pair.js";
import type { Switch } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: ofctl flows: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

/** Actions that Open vSwitch executes and this switch refuses, saying that it does not know them. */
const notYet =
  /output\(|sample|ct\b|ct_clear|nat|clone|check_pkt_larger|encap|decap|mpls|delete_field|write_actions\(resubmit|goto_table:255|pause/;

/** The flows of a round: each has a priority of its own, so that none replaces another. */
function flowsOf(version: string): string[] {
  const lists = [
    ...matches.map((match) => `${match}${match === "" ? "" : ","}actions=1`),
    ...actions.map((list) => `tcp,actions=${list}`),
    ...(version === "OpenFlow13" ? actions.map((list) => `tcp,dl_vlan=3,table=1,actions=${list}`) : []),
  ].filter((flow) => !notYet.test(flow));
  return [
    ...modifiers.map((modifier) => `${modifier},actions=drop`),
    ...lists.map((flow, index) => `cookie=0x${(index + 1).toString(16)},priority=${index + 100},${flow}`),
  ].filter((flow) => version !== "OpenFlow10" || !flow.includes("importance"));
}

async function play(under: Switch, version: string, flows: readonly string[]): Promise<string[]> {
  const out: string[] = [];
  for (const flow of flows) out.push(await say(under, ["ovs-ofctl", "-O", version, "add-flow", "br0", flow]));
  const dump = await say(under, ["ovs-ofctl", "-O", version, "--no-names", "dump-flows", "br0"]);
  const lines = dump.split("\n").toSorted((a, b) => priorityOf(a) - priorityOf(b) || (a < b ? -1 : 1));
  await say(under, ["ovs-ofctl", "-O", version, "del-flows", "br0"]);
  return [...out, ...lines];
}

const priorityOf = (line: string): number => Number(/priority=(\d+)/.exec(line)?.[1] ?? 32768);

for (const version of ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"]) {
  maybe(`flows are taken, refused and dumped as by Open vSwitch with ${version}`, async () => {
    await withPair(async (pair) => {
      addBridge(pair);
      const flows = flowsOf(version);
      const [ours, theirs] = await Promise.all(pair.both.map((under) => play(under, version, flows)));
      equal(ours ?? [], theirs ?? []);
      console.log(`${version}: ${flows.length} flows`);
    });
  });
}

test.run();
