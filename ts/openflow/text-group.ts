import { bucketNumber, groupCommand, groupNumber, groupType } from "./codec-group.js";
import { FlowSyntaxError } from "./error.js";
import { plans } from "./key-match.js";
import type { GroupBucket, GroupDesc, GroupFeaturesReply, GroupMod, GroupSelection, GroupStats } from "./message.js";
import { fieldByName, fieldId, fields } from "./tables/fields.js";
import { ofpp } from "./tables/ports.js";
import { formatActions, parseActions } from "./text-action.js";
import { formatDuration } from "./text-flow.js";
import { keyValues } from "./text-match.js";
import { formatPort, formatValue, type PortNames, parseNumber, parsePort, parseValue } from "./text-value.js";

/** Groups as text, the way ovs-ofctl reads and prints them. */

const typeWords = ["all", "select", "indirect", "ff"];
/** Types as a written group may name them. */
const types: Readonly<Record<string, number>> = { ...groupType, fast_failover: groupType.ff };
const bucketWords: Readonly<Record<string, number>> = {
  first: bucketNumber.first,
  last: bucketNumber.last,
  all: bucketNumber.all,
};
const methods = ["hash", "dp_hash"] as const;
const methodSizeMax = 15;

/** Versions whose buckets have numbers. */
const numbersBuckets = (version: number): boolean => version === 1 || version >= 6;

/** `all`, `any` or the number. */
export function formatGroupId(id: number): string {
  return id === groupNumber.all ? "ALL" : id === groupNumber.any ? "ANY" : String(id);
}

function formatBucketId(label: string, id: number, version: number): string {
  if (!numbersBuckets(version)) return "";
  const name = Object.keys(bucketWords).find((word) => bucketWords[word] === id);
  return `${label}:${name ?? id},`;
}

function formatSelection({ method, param, fields: chosen }: GroupSelection): string {
  let text = `,selection_method=${method}`;
  if (param !== 0n) text += `,selection_method_param=${param}`;
  const list = [...chosen]
    .sort((one, other) => one.field - other.field)
    .map(({ field, mask }) => {
      const row = fields[field];
      if (row === undefined) return String(field);
      const whole = mask.every((byte) => byte === 0xff);
      return whole ? row.name : `${row.name}=${formatValue(row, mask, undefined)}`;
    });
  if (list.length === 1) return `${text},fields=${list[0]}`;
  return list.length === 0 ? text : `${text},fields(${list.join(",")})`;
}

function formatBucket(bucket: GroupBucket, type: number, version: number, ports: PortNames | undefined): string {
  let text = `bucket=${formatBucketId("bucket_id", bucket.id, version)}`;
  if (bucket.weight !== (type === groupType.select ? 1 : 0)) text += `weight:${bucket.weight},`;
  if (bucket.watchPort !== ofpp.ANY) text += `watch_port:${formatPort(bucket.watchPort, ports)},`;
  if (bucket.watchGroup !== groupNumber.any) text += `watch_group:${bucket.watchGroup},`;
  return `${text}actions=${formatActions(bucket.actions, ports)}`;
}

export function formatGroup(group: GroupDesc, version: number, ports?: PortNames, hidesType = false): string {
  const { groupId, groupType: type, selection, buckets } = group;
  const head = `group_id=${groupId}${hidesType ? "" : `,type=${typeWords[type] ?? "unknown"}`}`;
  return [
    head + (selection === undefined ? "" : formatSelection(selection)),
    ...buckets.map((bucket) => formatBucket(bucket, type, version, ports)),
  ].join(",");
}

const commandWords: Readonly<Record<number, string>> = {
  [groupCommand.add]: "ADD",
  [groupCommand.modify]: "MOD",
  [groupCommand.addOrModify]: "ADD_OR_MOD",
  [groupCommand.delete]: "DEL",
  [groupCommand.insertBucket]: "INSERT_BUCKET",
  [groupCommand.removeBucket]: "REMOVE_BUCKET",
};

export function formatGroupMod(mod: GroupMod, version: number, ports?: PortNames): string {
  const { command, commandBucket } = mod;
  const aboutBuckets = command === groupCommand.insertBucket || command === groupCommand.removeBucket;
  const where = aboutBuckets ? formatBucketId("command_bucket_id", commandBucket, version) : "";
  return `\n ${commandWords[command] ?? `cmd:${command}`} ${where}${formatGroup(mod, version, ports, aboutBuckets)}\n`;
}

const unknownCount = 0xffffffffffffffffn;

export function formatGroupStats(stats: GroupStats): string {
  let text = ` group_id=${stats.groupId},`;
  if (stats.durationSec !== 0xffffffff) text += `duration=${formatDuration(stats.durationSec, stats.durationNsec)}s,`;
  text += `ref_count=${stats.refCount},packet_count=${stats.packetCount},byte_count=${stats.byteCount}`;
  stats.buckets.forEach(({ packetCount, byteCount }, index) => {
    if (packetCount !== unknownCount) text += `,bucket${index}:packet_count=${packetCount},byte_count=${byteCount}`;
  });
  return `${text}\n`;
}

/** Actions in the order in which their names are listed, with their bits in OpenFlow 1.0, 1.1, and later. */
const actionBits: readonly (readonly [
  name: string,
  v10: number | undefined,
  v11?: number | undefined,
  v12?: number,
])[] = [
  ["output", 0, 0, 0],
  ["group", undefined, 22, 22],
  ["enqueue", 11],
  ["set_field", undefined, undefined, 25],
  ["set_vlan_vid", 1, 1],
  ["set_vlan_pcp", 2, 2],
  ["strip_vlan", 3, 18, 18],
  ["push_vlan", undefined, 17, 17],
  ["mod_dl_src", 4, 3],
  ["mod_dl_dst", 5, 4],
  ["mod_nw_src", 6, 5],
  ["mod_nw_dst", 7, 6],
  ["mod_nw_tos", 8, 7],
  ["mod_nw_ecn", undefined, 8],
  ["mod_nw_ttl", undefined, 23, 23],
  ["mod_tp_src", 9, 9],
  ["mod_tp_dst", 10, 10],
  ["dec_ttl", undefined, 24, 24],
  ["set_mpls_label", undefined, 13],
  ["set_mpls_tc", undefined, 14],
  ["set_mpls_ttl", undefined, 15, 15],
  ["dec_mpls_ttl", undefined, 16, 16],
  ["push_mpls", undefined, 19, 19],
  ["pop_mpls", undefined, 20, 20],
  ["set_queue", undefined, 21, 21],
];

export function formatGroupFeatures(reply: GroupFeaturesReply, version: number): string {
  let text = `\n Group table:\n    Types:  0x${reply.types.toString(16)}\n`;
  text += `    Capabilities:  0x${reply.capabilities.toString(16)}\n`;
  ["all", "select", "indirect", "fast failover"].forEach((name, type) => {
    if ((reply.types & (1 << type)) === 0) return;
    const bits = reply.actions[type] ?? 0;
    const actions = actionBits.flatMap(([action, v10, v11, v12]) => {
      const bit = version === 1 ? v10 : version === 2 ? v11 : v12;
      return bit !== undefined && (bits & (1 << bit)) !== 0 ? [action] : [];
    });
    const most = reply.maxGroups[type] ?? 0;
    text += `    ${name} group:\n       max_groups=${most === 0 ? "0" : `0x${most.toString(16)}`}\n`;
    text += `       actions: ${actions.join(" ") || "<none>"}\n`;
  });
  return text;
}

function readNumber(text: string, bits = 32): bigint {
  if (text === "") throw new FlowSyntaxError("missing required numeric argument");
  const number = parseNumber(text);
  if (number === undefined || number >= 1n << BigInt(bits)) throw new FlowSyntaxError(`invalid numeric format ${text}`);
  return number;
}

/** What a text says beside its buckets. */
interface Head {
  groupId: number;
  type: number | undefined;
  commandBucket: number | undefined;
  method: string;
  param: bigint;
  fields: GroupSelection["fields"];
}

function parseSelectionFields(text: string, ports: PortNames | undefined): GroupSelection["fields"] {
  const found: { field: number; mask: Uint8Array }[] = [];
  for (const { key, value, end } of keyValues(text)) {
    // As ovs-ofctl, an error shows what is still to be read.
    const rest = text.slice(end + 1);
    const row = fieldByName(key);
    if (row === undefined) throw new FlowSyntaxError(`${rest}: unknown field ${key}`);
    const field = fieldId(row);
    if (found.some((one) => one.field === field)) throw new FlowSyntaxError(`${key}: duplicate field`);
    const bytes = plans[field]?.bytes ?? row.bytes;
    const mask =
      value === undefined || value === "" ? new Uint8Array(bytes).fill(0xff) : parseValue(row, value, ports).value;
    if (mask.every((byte) => byte === 0))
      throw new FlowSyntaxError(`${rest}: values are wildcards here and must not be all-zeros`);
    found.push({ field, mask });
  }
  return found.sort((one, other) => one.field - other.field);
}

function parseCommandBucket(value: string, command: number): number {
  const id = bucketWords[value] ?? Number(readNumber(value));
  if (id > bucketNumber.max && !Object.values(bucketWords).includes(id))
    throw new FlowSyntaxError(`invalid command bucket id ${id}`);
  if (id === bucketNumber.all && command !== groupCommand.removeBucket)
    throw new FlowSyntaxError("command_bucket_id=all is not permitted");
  return id;
}

const aboutTypes: Readonly<Record<string, string>> = {
  type: "type is",
  selection_method: "selection method is",
  selection_method_param: "selection method param is",
  fields: "fields are",
};

function parseHead(text: string, command: number, ports: PortNames | undefined): Head {
  const hasType = [groupCommand.add, groupCommand.modify, groupCommand.addOrModify].includes(command as 0);
  const hasPlace = command === groupCommand.insertBucket || command === groupCommand.removeBucket;
  const head: Head = {
    groupId: groupNumber.any,
    type: undefined,
    commandBucket: undefined,
    method: "",
    param: 0n,
    fields: [],
  };
  for (const { key, value = "" } of keyValues(text)) {
    const refused = aboutTypes[key];
    if (refused !== undefined && !hasType) throw new FlowSyntaxError(`${refused} not needed`);
    switch (key) {
      case "command_bucket_id":
        if (!hasPlace) throw new FlowSyntaxError("command bucket id is not needed");
        head.commandBucket = parseCommandBucket(value, command);
        break;
      case "group_id":
        head.groupId = value === "all" ? groupNumber.all : Number(readNumber(value));
        if (head.groupId !== groupNumber.all && head.groupId > groupNumber.max)
          throw new FlowSyntaxError(`invalid group id ${head.groupId}`);
        break;
      case "type":
        head.type = types[value];
        if (head.type === undefined) throw new FlowSyntaxError(`invalid group type ${value}`);
        break;
      case "selection_method":
        if (value.length > methodSizeMax)
          throw new FlowSyntaxError(`selection method is longer than ${methodSizeMax} bytes long`);
        head.method = value;
        break;
      case "selection_method_param":
        head.param = readNumber(value, 64);
        break;
      case "fields":
        head.fields = parseSelectionFields(value, ports);
        break;
      default:
        throw new FlowSyntaxError(`unknown keyword ${key}`);
    }
  }
  if (head.groupId === groupNumber.any) throw new FlowSyntaxError("must specify a group_id");
  if (hasType && head.type === undefined) throw new FlowSyntaxError("must specify a type");
  if (head.method !== "hash" && head.fields.length > 0)
    throw new FlowSyntaxError('fields may only be specified with "selection_method=hash"');
  if (head.method === "" && head.param !== 0n)
    throw new FlowSyntaxError('selection_method_param is only allowed with "selection_method"');
  if (command === groupCommand.insertBucket && head.commandBucket === undefined)
    throw new FlowSyntaxError("must specify a command bucket id");
  return head;
}

function selectionOf({ method, param, fields: chosen }: Head): GroupSelection | undefined {
  if (method === "") return undefined;
  const known = methods.find((name) => name === method);
  if (known === undefined) throw new FlowSyntaxError(`selection method '${method}' is not supported`);
  return { method: known, param, fields: chosen };
}

function parseWatchPort(value: string, ports: PortNames | undefined): number {
  const port = parsePort(value, ports);
  const isReserved = port !== undefined && port > 0xffffff00 && port !== ofpp.ANY && port !== ofpp.CONTROLLER;
  if (port === undefined || isReserved) throw new FlowSyntaxError(`${value}: invalid watch_port`);
  return port;
}

/** A bucket; its number is `bucketNumber.all` if the text gives none. */
function parseBucket(text: string, type: number, ports: PortNames | undefined): GroupBucket {
  let weight = type === groupType.select ? 1 : 0;
  let id: number = bucketNumber.all;
  let watchPort: number = ofpp.ANY;
  let watchGroup: number = groupNumber.any;
  const actions: string[] = [];
  for (const { key, value, parens } of keyValues(text)) {
    const said = value ?? "";
    switch (key.toLowerCase()) {
      case "weight":
        if (!((parseNumber(said) ?? 0x10000n) <= 0xffffn)) throw new FlowSyntaxError(`invalid weight "${said}"`);
        weight = Number(parseNumber(said));
        break;
      case "watch_port":
        watchPort = parseWatchPort(said, ports);
        break;
      case "watch_group":
        watchGroup = Number(readNumber(said));
        if (watchGroup > groupNumber.max) throw new FlowSyntaxError(`invalid watch_group id ${watchGroup}`);
        break;
      case "bucket_id":
        id = Number(readNumber(said));
        if (id > bucketNumber.max) throw new FlowSyntaxError(`invalid bucket_id id ${id}`);
        break;
      case "action":
      case "actions":
        actions.push(said);
        break;
      default:
        actions.push(value === undefined ? key : parens ? `${key}(${value})` : `${key}:${value}`);
    }
  }
  if (actions.length === 0) throw new FlowSyntaxError("bucket must specify actions");
  if (type === groupType.ff && watchPort === ofpp.ANY && watchGroup === groupNumber.any)
    throw new FlowSyntaxError("fast failover bucket requires watch_port or watch_group");
  return { id, weight, watchPort, watchGroup, actions: parseActions(actions.join(","), ports) };
}

/** Numbers for buckets without one: the lowest that no later bucket has. */
function numbered(buckets: readonly GroupBucket[]): GroupBucket[] {
  const first = buckets.findIndex(({ id }) => id === bucketNumber.all);
  const taken = new Set(buckets.slice(Math.max(0, first)).map(({ id }) => id));
  let next = 0;
  return buckets.map((bucket) => {
    if (bucket.id !== bucketNumber.all) return bucket;
    while (taken.has(next)) next++;
    return { ...bucket, id: next++ };
  });
}

/** Commands as a file of groups may begin its lines with. */
const lineCommands: readonly (readonly [word: string, command: number])[] = [
  ["add", groupCommand.add],
  ["delete", groupCommand.delete],
  ["modify", groupCommand.modify],
  ["add_or_mod", groupCommand.addOrModify],
  ["insert_bucket", groupCommand.insertBucket],
  ["remove_bucket", groupCommand.removeBucket],
];

/** A group of a file: its line may begin with a command, or with the beginning of its name. */
export function parseGroupLine(line: string, ports?: PortNames): GroupMod {
  const text = line.trimStart();
  const word = /^[^,\s]*/.exec(text)?.[0] ?? "";
  const found = lineCommands.find(([name]) => name.startsWith(word));
  return found === undefined
    ? parseGroup(text, groupCommand.add, ports)
    : parseGroup(text.slice(word.length), found[1], ports);
}

/** `group_id=1,type=select,bucket=weight:2,output:1,bucket=...`; of a command that deletes, all groups if it is empty. */
export function parseGroup(text: string, command: number, ports?: PortNames): GroupMod {
  const [before = "", ...rest] = text.split("bucket=");
  const takesBuckets = command !== groupCommand.delete && command !== groupCommand.removeBucket;
  const empty = { type: "group_mod", command, commandBucket: bucketNumber.all, selection: undefined } as const;
  if (command === groupCommand.delete && text === "")
    return { ...empty, groupType: groupType.all, groupId: groupNumber.all, buckets: [] };
  if (rest.length > 0 && !takesBuckets) throw new FlowSyntaxError("bucket is not needed");
  const head = parseHead(before, command, ports);
  const type = head.type ?? groupType.all;
  const selection = selectionOf(head);
  const buckets = rest.map((one) => {
    const bucket = parseBucket(one, type, ports);
    if (command !== groupCommand.insertBucket && type !== groupType.select && bucket.weight !== 0)
      throw new FlowSyntaxError("Only select groups can have bucket weights.");
    return bucket;
  });
  if (type === groupType.indirect && buckets.length > 1)
    throw new FlowSyntaxError("Indirect groups can have at most one bucket.");
  const commandBucket = head.commandBucket ?? bucketNumber.all;
  return { ...empty, commandBucket, groupType: type, groupId: head.groupId, buckets: numbered(buckets), selection };
}
