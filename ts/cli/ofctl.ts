/** `sluice ofctl`: what people use most of ovs-ofctl, for machines that do not have it. */
import { versionsOf } from "../connmgr/index.js";
import { getopt } from "../daemon/index.js";
import { FlowSyntaxError } from "../openflow/index.js";
import { fieldByName } from "../openflow/tables/fields.js";
import { Failure } from "./failure.js";
import { addFlow, addFlows, delFlows, dumpAggregate, dumpFlows, modFlows } from "./ofctl-flows.js";
import {
  addGroup,
  addGroups,
  delGroups,
  dumpGroupFeatures,
  dumpGroupStats,
  dumpGroups,
  insertBuckets,
  modGroup,
  removeBuckets,
} from "./ofctl-groups.js";
import {
  addMeter,
  addTlvMap,
  delMeters,
  delTlvMap,
  dumpMeters,
  dumpTlvMap,
  meterFeatures,
  meterStats,
  modMeter,
} from "./ofctl-meters.js";
import type { OfctlCall, OfctlOptions, OfctlRow, SortKey } from "./ofctl-rows.js";
import {
  dumpDesc,
  dumpPorts,
  dumpPortsDesc,
  dumpTables,
  modPort,
  ping,
  probe,
  sendPacket,
  show,
} from "./ofctl-switch.js";

type Row = readonly [
  name: string,
  usage: string,
  about: string,
  minArgs: number,
  maxArgs: number,
  run: OfctlRow["run"],
];

const rows: readonly OfctlRow[] = (
  [
    ["show", "SWITCH", "features, ports and configuration", 1, 1, show],
    ["dump-desc", "SWITCH", "who made the switch", 1, 1, dumpDesc],
    ["dump-tables", "SWITCH", "counters of the tables", 1, 1, dumpTables],
    ["dump-ports", "SWITCH [PORT]", "counters of the ports", 1, 2, dumpPorts],
    ["dump-ports-desc", "SWITCH [PORT]", "the ports", 1, 2, dumpPortsDesc],
    ["mod-port", "SWITCH PORT ACTION", "up, down, flood, no-flood, forward, no-forward, ...", 3, 3, modPort],
    ["dump-flows", "SWITCH [FLOW]", "the flows, or those that match", 1, 2, dumpFlows],
    ["dump-aggregate", "SWITCH [FLOW]", "counters of those flows together", 1, 2, dumpAggregate],
    ["add-flow", "SWITCH FLOW", "add a flow", 2, 2, addFlow],
    ["add-flows", "SWITCH FILE", "add the flows of a file, or of standard input (-)", 2, 2, addFlows],
    ["mod-flows", "SWITCH FLOW", "change the actions of flows that match", 2, 2, modFlows],
    ["del-flows", "SWITCH [FLOW]", "delete all flows, or those that match", 1, 2, delFlows],
    ["add-group", "SWITCH GROUP", "add a group: 'group_id=1,type=select,bucket=output:1,bucket=...'", 2, 2, addGroup],
    ["add-groups", "SWITCH FILE", "add the groups of a file, or of standard input (-)", 2, 2, addGroups],
    ["mod-group", "SWITCH GROUP", "change a group", 2, 2, modGroup],
    ["del-groups", "SWITCH [group_id=N]", "delete all groups, or one", 1, 2, delGroups],
    [
      "insert-buckets",
      "SWITCH GROUP",
      "add buckets: 'group_id=1,command_bucket_id=last,bucket=...'",
      1,
      2,
      insertBuckets,
    ],
    ["remove-buckets", "SWITCH GROUP", "remove buckets: 'group_id=1,command_bucket_id=2'", 1, 2, removeBuckets],
    ["dump-groups", "SWITCH [N]", "the groups, or one", 1, 2, dumpGroups],
    ["dump-group-stats", "SWITCH [group_id=N]", "counters of the groups, or of one", 1, 2, dumpGroupStats],
    ["dump-group-features", "SWITCH", "what groups can do", 1, 1, dumpGroupFeatures],
    ["add-meter", "SWITCH METER", "add a meter: 'meter=1 pktps bands=type=drop rate=10'", 2, 2, addMeter],
    ["mod-meter", "SWITCH METER", "change a meter", 2, 2, modMeter],
    ["del-meters", "SWITCH [meter=N]", "delete all meters, or one", 1, 2, delMeters],
    ["dump-meters", "SWITCH [meter=N]", "the meters, or one", 1, 2, dumpMeters],
    ["meter-stats", "SWITCH [meter=N]", "counters of the meters, or of one", 1, 2, meterStats],
    ["meter-features", "SWITCH", "what meters can do", 1, 1, meterFeatures],
    ["add-tlv-map", "SWITCH MAP", "fields for options: '{class=C,type=T,len=L}->tun_metadataN'", 2, 2, addTlvMap],
    ["del-tlv-map", "SWITCH [MAP]", "unmap all options, or those", 1, 2, delTlvMap],
    ["dump-tlv-map", "SWITCH", "options that are fields", 1, 1, dumpTlvMap],
    ["packet-out", "SWITCH PACKET", "run actions: 'in_port=1 packet=HEX actions=...'", 2, Infinity, sendPacket],
    ["probe", "SWITCH", "is it there?", 1, 1, probe],
    ["ping", "SWITCH [N]", "how long do echoes of N bytes take?", 1, 2, ping],
  ] as const satisfies readonly Row[]
).map(([name, usage, about, minArgs, maxArgs, run]) => ({ name, usage, about, minArgs, maxArgs, run }));

function help(): string {
  const commands = rows.map((row) => `  ${`${row.name} ${row.usage}`.padEnd(32)} ${row.about}`).join("\n");
  return `sluice ofctl, for looking at and changing a switch's flows
usage: sluice ofctl [OPTIONS] COMMAND [ARG...]

Commands:
${commands}

SWITCH is a bridge's name, the path of a socket, unix:PATH or tcp:HOST[:PORT] (default port: 6653).

Options:
  -O, --protocols=V,W     OpenFlow versions to speak (default: OpenFlow10)
  --strict                (mod-flows, del-flows) only the flow with this match and priority
  --may-create            (mod-group) add the group if there is none
  --names, --no-names     port names instead of numbers (default: names on a terminal)
  --no-stats              (dump-flows) leave out counters, ages and durations
  --sort[=FIELD], --rsort[=FIELD]  (dump-flows) in order of a field, or of priority
  --json                  (dump-flows, dump-aggregate, dump-desc, dump-ports, dump-ports-desc, show) for machines
  -t, --timeout=S         give up after S seconds
  -h, --help              this text

Examples:
  sluice ofctl add-flow br0 'priority=10,tcp,tp_dst=80,actions=output:2'
  sluice ofctl --names dump-flows br0 table=0,tcp
  sluice ofctl -O OpenFlow13 show br0
`;
}

const longOptions = [
  { name: "protocols", short: "O", argument: "required" },
  { name: "timeout", short: "t", argument: "required" },
  { name: "help", short: "h", argument: "none" },
  { name: "more", short: "m", argument: "none" },
  { name: "strict", argument: "none" },
  { name: "may-create", argument: "none" },
  { name: "names", argument: "none" },
  { name: "no-names", argument: "none" },
  { name: "stats", argument: "none" },
  { name: "no-stats", argument: "none" },
  { name: "json", argument: "none" },
  { name: "sort", argument: "optional" },
  { name: "rsort", argument: "optional" },
] as const;

/** OpenFlow 1.0, as ovs-ofctl has it. */
const defaultVersions = 0b10;
const everyVersion = 0b1111110;

function readVersions(text: string): number {
  const names = text.split(/[,\s]+/).filter((name) => name !== "");
  for (const name of names) if (versionsOf([name]) === 0) throw new Failure(`Unknown OpenFlow version: "${name}"`);
  return names.length === 0 ? everyVersion : versionsOf(names);
}

function sortKey(field: string | undefined, descending: boolean): SortKey {
  if (field !== undefined && field !== "priority" && fieldByName(field) === undefined)
    throw new Failure(`${field}: unknown field name`);
  return { field: field ?? "priority", descending };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Arguments {
  readonly words: readonly string[];
  readonly options: OfctlOptions;
  readonly versions: number;
  readonly seconds: number;
}

function readArguments(args: readonly string[]): Arguments | "help" {
  const options: Mutable<OfctlOptions> = {
    strict: false,
    mayCreate: false,
    stats: true,
    json: false,
    names: undefined,
    sort: undefined,
  };
  const words: string[] = [];
  let versions = defaultVersions;
  let seconds = 0;
  for (const event of getopt(args, longOptions)) {
    if (event.kind === "error") throw new Failure(event.text);
    if (event.kind === "word") words.push(event.word);
    else if (event.name === "help") return "help";
    else if (event.name === "protocols") versions = readVersions(event.value ?? "");
    else if (event.name === "timeout") {
      seconds = /^\d+$/.test(event.value ?? "") ? Number(event.value) : 0;
      if (seconds === 0) throw new Failure(`value ${event.value} on -t or --timeout is invalid`);
    } else if (event.name === "strict") options.strict = true;
    else if (event.name === "may-create") options.mayCreate = true;
    else if (event.name === "json") options.json = true;
    else if (event.name === "sort" || event.name === "rsort")
      options.sort = sortKey(event.value, event.name === "rsort");
    else if (event.name === "names" || event.name === "no-names") options.names = event.name === "names";
    else if (event.name === "stats" || event.name === "no-stats") options.stats = event.name === "stats";
  }
  return { words, options, versions, seconds };
}

function checked(words: readonly string[]): { readonly row: OfctlRow; readonly args: readonly string[] } {
  const [word, ...args] = words;
  if (word === undefined) throw new Failure("missing command name; use --help for help");
  const row = rows.find((candidate) => candidate.name === word);
  if (row === undefined) throw new Failure(`unknown command '${word}'; use --help for help`);
  if (args.length < row.minArgs) throw new Failure(`'${word}' command requires at least ${row.minArgs} arguments`);
  if (args.length > row.maxArgs) throw new Failure(`'${word}' command takes at most ${row.maxArgs} arguments`);
  return { row, args };
}

/** A reader that has seen enough, like head(1), ends the command as a signal would. */
function endWithReader(error: Error): void {
  if ("code" in error && error.code === "EPIPE") process.exit(141);
  throw error;
}

/** Resolves to the exit status. */
export async function runOfctl(args: readonly string[]): Promise<number> {
  process.stdout.on("error", endWithReader);
  let timer: NodeJS.Timeout | undefined;
  try {
    const read = readArguments(args);
    if (read === "help") {
      process.stdout.write(help());
      return 0;
    }
    const { row, args: words } = checked(read.words);
    if (read.seconds > 0) timer = setTimeout(() => process.exit(142), read.seconds * 1000);
    let remarks = 0;
    const call: OfctlCall = {
      args: words,
      options: read.options,
      versions: read.versions,
      xid: 1,
      remark: (module, level, text) => {
        const time = `${new Date().toISOString().slice(0, 19)}Z`;
        process.stderr.write(`${time}|${String(++remarks).padStart(5, "0")}|${module}|${level}|${text}\n`);
      },
    };
    return await row.run(call);
  } catch (error) {
    if (!(error instanceof Failure) && !(error instanceof FlowSyntaxError)) throw error;
    process.stderr.write(`sluice ofctl: ${error.message}\n`);
    return error instanceof Failure ? error.status : 1;
  } finally {
    clearTimeout(timer);
  }
}
