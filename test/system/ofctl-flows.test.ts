/** Hundreds of flows through the real ovs-ofctl into Sluice and Open vSwitch, in each version of OpenFlow: what is
 *  accepted is dumped alike, and what is refused is refused with the same error. */
import { test } from "uvu";
import { fieldActions, fieldMatches } from "./field-strings.js";
import { actions, matches, modifiers } from "./flow-strings.js";
import { addBridge, equal, noOvs, say, withPair } from "./pair.js";
import type { Switch } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: ofctl flows: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

/** Actions that Open vSwitch executes and this switch refuses, saying that it does not know them; fields likewise. */
const notYet = /\bct\b|ct_clear|nat\b|write_actions\(resubmit|goto_table:255/i;

/** Flows that are known to come out otherwise: of arp_op only the 8 bits that are kept can be moved. */
const differs = /ARP_OP\[0\.\.15\]/;

const versions = ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"];

/** The flows of a round: each has a priority and a cookie of its own, so that none replaces another. */
function flowsOf(version: string, lists: readonly string[]): string[] {
  return lists
    .filter((flow) => !notYet.test(flow) && !differs.test(flow))
    .filter((flow) => version !== "OpenFlow10" || !flow.includes("importance"))
    .map((flow, index) => {
      const words = [
        `cookie=0x${(index + 1).toString(16)}`,
        /priority=/.test(flow) ? "" : `priority=${index + 100}`,
        flow,
      ];
      return words.filter((word) => word !== "").join(",");
    });
}

const basic = (version: string): string[] =>
  flowsOf(version, [
    ...modifiers.map((modifier) => `${modifier.replace(/cookie=[^,]*,/, "")},actions=drop`),
    ...matches.map((match) => `${match}${match === "" ? "" : ","}actions=1`),
    ...actions.map((list) => `tcp,actions=${list}`),
  ]);
/** Each flow of a field in one of the versions: all of them in all would take minutes. */
const byField = (version: string): string[] =>
  flowsOf(
    version,
    [...fieldMatches.map((match) => `${match},actions=1`), ...fieldActions].filter(
      (_, index) => index % versions.length === versions.indexOf(version),
    ),
  );

/** Adds flows, many in one run of ovs-ofctl, which stops at the first that is refused: `told` gets what it says of that
 *  one, and it goes on with the others.  One that stops it without a trace is found by halving. */
async function add(under: Switch, version: string, flows: readonly string[], told: Map<string, string>): Promise<void> {
  for (let rest = [...flows]; rest.length > 0; ) {
    const text = await say(under, ["ovs-ofctl", "-O", version, "add-flows", "br0", "-"], `${rest.join("\n")}\n`);
    if (text.endsWith("exit 0")) return;
    const line = /-:(\d+):/.exec(text)?.[1];
    const cookie = / cookie:(0x[0-9a-f]+)/.exec(text)?.[1];
    const at = line === undefined ? rest.findIndex((flow) => flow.startsWith(`cookie=${cookie},`)) : Number(line) - 1;
    if (at < 0 && rest.length > 1) {
      const middle = rest.length >> 1;
      await add(under, version, rest.slice(0, middle), told);
      rest = rest.slice(middle);
      continue;
    }
    const bad = rest[Math.max(at, 0)] ?? "";
    told.set(bad, text.replace(/-:\d+:/, "-:N:"));
    // Nothing was sent if the text itself is wrong; else all before it was.
    rest = line === undefined ? rest.slice(Math.max(at, 0) + 1) : rest.toSpliced(at, 1);
  }
}

async function play(under: Switch, version: string, flows: readonly string[]): Promise<string[]> {
  const told = new Map<string, string>();
  await add(under, version, flows, told);
  const dump = await say(under, ["ovs-ofctl", "-O", version, "--no-names", "dump-flows", "br0"]);
  const lines = new Map(dump.split("\n").map((line) => [/cookie=(0x[0-9a-f]+)/.exec(line)?.[1] ?? line, line]));
  await say(under, ["ovs-ofctl", "-O", version, "del-flows", "br0"]);
  return flows.map((flow) => {
    const cookie = /^cookie=(0x[0-9a-f]+)/.exec(flow)?.[1] ?? "";
    return `${flow}\n${told.get(flow) ?? lines.get(cookie) ?? "(not in the dump)"}`;
  });
}

for (const version of versions) {
  maybe(`flows are taken, refused and dumped as by Open vSwitch with ${version}`, async () => {
    await withPair(async (pair) => {
      addBridge(pair);
      for (const flows of [basic(version), byField(version)]) {
        const [ours, theirs] = await Promise.all(pair.both.map((under) => play(under, version, flows)));
        console.log(`${version}: ${flows.length} flows`);
        equal(ours ?? [], theirs ?? []);
      }
    });
  });
}

test.run();
