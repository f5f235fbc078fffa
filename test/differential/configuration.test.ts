/** The database as a person sets it, in Sluice and in the real Open vSwitch: what both make of it, in columns, in what the
 *  tools show, and in where packets go.  SLUICE_SCENARIO (a regular expression) chooses some by their names, SLUICE_TELL tells of differences at once. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { masked, noOvs, type Pair, say, withPair } from "../system/pair.js";
import { type Switch, sleep } from "../system/switch.js";
import { outputs } from "./outputs.js";
import { protocolScenarios } from "./protocol-scenarios.js";
import { type Scenario, scenarios } from "./scenarios.js";

if (noOvs !== undefined) console.log(`skip: configuration: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const tables = [
  "Bridge",
  "Port",
  "Interface",
  "Mirror",
  "Flow_Table",
  "Controller",
  "QoS",
  "Queue",
  "sFlow",
  "IPFIX",
  "NetFlow",
  "AutoAttach",
];
/** Columns that differ from one run of the same switch to the next. */
const passing = new Set(["_uuid", "ifindex", "last_change"]);
/** How long a status may take until it is in the database. */
const settleMs = 12_000;
const base = [
  "add-br br0 -- set bridge br0 datapath_type=dummy other-config:hwaddr=50:54:00:00:00:01",
  ...["p1", "p2", "p3"].map(
    (name, index) => `add-port br0 ${name} -- set interface ${name} type=dummy ofport_request=${index + 1}`,
  ),
].join(" -- ");

/** The words of a command; quotes keep one together. */
function words(command: string, under: Switch): string[] {
  return [...command.matchAll(/'([^']*)'|(?:[^\s']|'[^']*')+/g)].map((found) =>
    found[0].replaceAll("'", "").replaceAll("DIR", under.directory),
  );
}

/** What tells one run from another: addresses and ids that are drawn, and the order in which a flood goes to ports and rows are
 *  listed, which hashes decide. */
function tidy(text: string, under: Switch): string {
  // Without a primary any member may be the active one.
  const hasPrimary = /primary: [^<]/.test(text);
  const lines = masked(text, under)
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "UUID")
    .replace(/(?!5[01]:54|01:80|ff:ff|00:00)\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "DRAWN")
    .replace(/\b0000(?!5054|0000)[0-9a-f]{12}\b/g, "DRAWN")
    .replace(/aa:55:aa:55:00:XX/g, "DRAWN")
    // Which of equal members gives its number to the key.
    .replace(/^(\s*(?:aggregation|actor) key): 1[12]$/gm, "$1: its number")
    // Ids are given as they come, and the two look at their clocks one after the other.
    .replace(/Recirc-ID : \d+/g, "Recirc-ID : N")
    .replace(/^(next rebalance): -?\d+ ms$/gm, "$1: N ms")
    // Numbers of threads.
    .replace(/^ +\d+: \(keys/gm, "  N: (keys")
    // A tag that another is pushed over is read whole here, and its number alone there.
    .replace(/^(Megaflow: .*),dl_vlan_pcp=\d/gm, "$1")
    .replace(/^Datapath actions: (.+)$/gm, (_, actions: string) => `Datapath actions: ${outputs(actions)}`)
    .split("\n")
    .filter((line) => hasPrimary || !/^(active member mac:.*| {2}active member)$/.test(line));
  return (/dump-flows|queue-stats/.test(lines[0] ?? "") ? lines.sort() : lines).join("\n");
}

interface Listing {
  readonly headings: readonly string[];
  readonly data: readonly (readonly unknown[])[];
}

/** A value with its references by name, and sets and maps in order. */
function readable(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (!Array.isArray(value)) return value;
  const [kind, content] = value as [string, unknown];
  if (kind === "uuid") return names.get(String(content)) ?? "(another row)";
  const items = (content as unknown[]).map((item) => {
    return kind === "map" ? (item as unknown[]).map((part) => readable(part, names)).join("=") : readable(item, names);
  });
  return items.map(String).sort();
}

/** Counters are there or not; what they count is another matter. */
function told(column: string, value: unknown): unknown {
  if (/^(rstp_)?statistics$/.test(column) && Array.isArray(value))
    return value.map((text) => String(text).replace(/=.*/, ""));
  if (column === "status" && Array.isArray(value)) {
    // Open vSwitch looks a name up only if it was built with a library for that.
    const unresolved = /=(Address family not supported by protocol|Name or service not known)$/;
    return value.map((text) =>
      String(text)
        .replace(/^(sec_since_\w+|stp_sec_in_state)=.*/, "$1")
        .replace(unresolved, "=unresolved"),
    );
  }
  return value;
}

/** Every row of the database but for what passes, a line each. */
async function columns(under: Switch): Promise<string> {
  const listings = new Map<string, Listing>();
  const names = new Map<string, string>();
  const lists = tables.flatMap((table) => ["--", "list", table]);
  const texts = under
    .ok("ovs-vsctl", "--no-wait", "--format=json", ...lists)
    .trimEnd()
    .split("\n");
  for (const [index, table] of tables.entries()) {
    const listing = JSON.parse(texts[index] ?? "") as Listing;
    listings.set(table, listing);
    for (const row of listing.data) {
      const cell = (name: string): unknown => row[listing.headings.indexOf(name)];
      const uuid = (cell("_uuid") as [string, string])[1];
      names.set(uuid, `${table} ${String(cell("name") ?? cell("target") ?? "")}`);
    }
  }
  const lines: string[] = [];
  for (const [table, { headings, data }] of listings) {
    for (const row of data) {
      const cells = headings.flatMap((column, index) => {
        if (passing.has(column) || (table === "Mirror" && column === "statistics")) return [];
        return [`${column}=${JSON.stringify(told(column, readable(row[index], names)))}`];
      });
      lines.push(`${table} ${cells.sort().join(" ")}`);
    }
  }
  return lines
    .map((line) => tidy(line, under))
    .sort()
    .join("\n");
}

/** Only what differs, so that a failure can be read. */
function difference(ours: string, theirs: string): string {
  const [a, b] = [ours.split(/\n| (?=\w+=)/), theirs.split(/\n| (?=\w+=)/)];
  const minus = b.filter((line) => !a.includes(line)).map((line) => `  Open vSwitch: ${line}`);
  const plus = a.filter((line) => !b.includes(line)).map((line) => `  Sluice:       ${line}`);
  return [...minus, ...plus].join("\n");
}

async function clear(under: Switch): Promise<void> {
  const bridges = under.ok("ovs-vsctl", "--no-wait", "list-br").split("\n").filter(Boolean);
  const commands = bridges.flatMap((name) => ["--", "--if-exists", "del-br", name]);
  // Rows that name a bridge and that nothing need name keep it: they go with it.
  const sets = ["--", "--all", "destroy", "Flow_Sample_Collector_Set"];
  under.ok("ovs-vsctl", ...commands, ...sets, "--", "clear", "Open_vSwitch", ".", "other_config", "external_ids");
}

/** What differs after the scenario, in a text; empty if nothing does. */
async function play(pair: Pair, scenario: Scenario): Promise<string> {
  const prints = await Promise.all(
    pair.both.map(async (under) => {
      await clear(under);
      under.ok("ovs-vsctl", ...words(base, under));
      const out: string[] = [];
      for (const command of scenario.does) {
        out.push(tidy(await say(under, ["ovs-vsctl", "-t", "5", ...words(command, under)]), under));
      }
      return out;
    }),
  );
  const look = async (): Promise<string[]> => {
    const seen = pair.both.map(async (under) => {
      const out = [await columns(under)];
      for (const command of scenario.asks ?? []) out.push(tidy(await say(under, words(command, under)), under));
      return out;
    });
    const [ours = [], theirs = []] = await Promise.all(seen);
    return [...(prints[0] ?? []), ...ours].flatMap((text, index) => {
      const other = [...(prints[1] ?? []), ...theirs][index] ?? "";
      return text === other ? [] : [difference(text, other) || `order of lines:\n${other}\n---\n${text}`];
    });
  };
  let differing = await look();
  for (const end = Date.now() + settleMs; differing.length !== 0 && Date.now() < end; ) {
    await sleep(200);
    differing = await look();
  }
  return differing.join("\n");
}

maybe("what is set with ovs-vsctl shows and forwards as with Open vSwitch", async () => {
  const only = new RegExp(process.env.SLUICE_SCENARIO ?? "");
  const differing: string[] = [];
  await withPair(async (pair) => {
    const chosen = [...scenarios, ...protocolScenarios].filter(({ name }) => only.test(name));
    assert.ok(chosen.length > 0, `no scenario has a name like ${only}`);
    for (const scenario of chosen) {
      if (process.env.SLUICE_TELL !== undefined) console.log(`scenario: ${scenario.name}`);
      const text = await play(pair, scenario);
      if (text !== "") differing.push(`${scenario.name}:\n${text}`);
      if (text !== "" && process.env.SLUICE_TELL !== undefined) console.log(`${scenario.name}:\n${text}`);
    }
  });
  assert.is(differing.join("\n\n"), "");
});

test.run();
