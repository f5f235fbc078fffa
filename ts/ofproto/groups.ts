import {
  groupCommand as abiCommand,
  command,
  error,
  type GroupBucketInfo,
  type GroupInfo,
  groupBucketInfoSize,
  groupBucketSize,
  groupInfoSize,
  groupModSize,
  query,
  readGroupBucketInfo,
  readGroupInfo,
  readSelectionField,
  selectionFieldSize,
  selectionMethod,
  writeGroupBucket,
  writeGroupMod,
  writeSelectionField,
} from "../datapath/generated/records.js";
import { type ErrorName, groupCommand, groupNumber, groupType, OpenFlowError } from "../openflow/index.js";
import type { GroupBucket, GroupDesc, GroupMod, GroupSelection, GroupStats, MessageBody } from "../openflow/message.js";
import { CommandBatch } from "./abi-batch.js";
import { errorText, flowModError } from "./flow-mods.js";
import { dumpObjects } from "./object-dump.js";
import type { Ofproto } from "./ofproto.js";

/** Groups: they live in the datapath; here they are put into its form, and told. */

/** OFPGFC: select weight 1, select liveness 2, chaining 4. */
const capabilities = 7;
const everyType = 0xf;
/** OFPAT of every action that Open vSwitch knows, by wire version: 1.0, 1.1, and later. */
const actionBits = { first: 0xfff, second: 0x1ffe7ff, later: 0x3ff8001 } as const;

export function groupFeatures(version: number): MessageBody {
  const bits = version === 1 ? actionBits.first : version === 2 ? actionBits.second : actionBits.later;
  return {
    type: "group_features_reply",
    more: false,
    types: everyType,
    capabilities,
    maxGroups: [0, 1, 2, 3].map(() => groupNumber.max),
    actions: [0, 1, 2, 3].map(() => bits),
  };
}

export interface BucketRecord extends GroupBucketInfo {
  readonly actions: Uint8Array;
}
/** A group as the datapath tells it. */
export interface GroupRecord extends GroupInfo {
  readonly fields: GroupSelection["fields"];
  readonly buckets: readonly BucketRecord[];
}

/** Holds the largest group that a message can make. */
const replySize = 512 * 1024;
/** Bytes of a reply's groups, below what one message holds. */
const messageSizeMax = 60_000;

const commands: Readonly<Record<number, number>> = {
  [groupCommand.add]: abiCommand.add,
  [groupCommand.modify]: abiCommand.modify,
  [groupCommand.delete]: abiCommand.delete,
  [groupCommand.insertBucket]: abiCommand.insertBucket,
  [groupCommand.addOrModify]: abiCommand.addOrModify,
  [groupCommand.removeBucket]: abiCommand.removeBucket,
};

function readGroup(view: DataView, bytes: Uint8Array, at: number): GroupRecord {
  const info = readGroupInfo(view, at);
  const fields = Array.from({ length: info.nFields }, (_, index) => {
    const field = readSelectionField(view, at + groupInfoSize + index * selectionFieldSize);
    return { field: field.field, mask: field.mask.slice(0, field.valueSize) };
  });
  let position = at + groupInfoSize + info.nFields * selectionFieldSize;
  const buckets = Array.from({ length: info.nBuckets }, () => {
    const bucket = readGroupBucketInfo(view, position);
    const from = position + groupBucketInfoSize;
    position = from + bucket.actionsSize;
    return { ...bucket, actions: bytes.slice(from, position) };
  });
  return { ...info, fields, buckets };
}

/** The groups of a bridge in order of their numbers, or the one of that number if there is one. */
export function* dumpGroups(ofproto: Ofproto, id: number = groupNumber.any): Generator<GroupRecord> {
  for (const { view, bytes, at } of dumpObjects(ofproto, query.groupDump, id, replySize))
    yield readGroup(view, bytes, at);
}

function encodeFields(said: GroupSelection | undefined): Uint8Array {
  const fields = said?.fields ?? [];
  const bytes = new Uint8Array(fields.length * selectionFieldSize);
  const view = new DataView(bytes.buffer);
  fields.forEach(({ field, mask }, index) => {
    const whole = new Uint8Array(16);
    whole.set(mask);
    writeSelectionField(view, index * selectionFieldSize, { field, valueSize: mask.length, mask: whole });
  });
  return bytes;
}

function encodeBuckets(buckets: readonly GroupBucket[]): Uint8Array {
  const bytes = new Uint8Array(buckets.reduce((sum, one) => sum + groupBucketSize + one.actions.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { id, weight, watchPort, watchGroup, actions } of buckets) {
    writeGroupBucket(view, at, { bucket: id, weight, watchPort, watchGroup, actionsSize: actions.length });
    bytes.set(actions, at + groupBucketSize);
    at += groupBucketSize + actions.length;
  }
  return bytes;
}

/** Appends a group_mod.  Throws OpenFlowError. */
export function appendGroupMod(batch: CommandBatch, bridge: number, mod: GroupMod): void {
  if (mod.command !== groupCommand.delete && mod.groupId > groupNumber.max)
    throw new OpenFlowError("OFPGMFC_INVALID_GROUP", `${mod.groupId} is not a group's number`, { group: mod.groupId });
  const deletes = mod.command === groupCommand.delete;
  const buckets = deletes ? [] : mod.buckets;
  const said = deletes ? undefined : mod.selection;
  batch.add(
    groupModSize,
    (view, at) =>
      writeGroupMod(view, at, {
        type: command.groupMod,
        flags: 0,
        size: 0,
        bridge,
        group: mod.groupId,
        command: commands[mod.command] ?? 0,
        commandBucket: mod.commandBucket,
        groupType: mod.groupType,
        selectionMethod: said === undefined ? selectionMethod.default : methodNumbers[said.method],
        selectionParam: said?.param ?? 0n,
        nFields: said?.fields.length ?? 0,
        nBuckets: buckets.length,
      }),
    encodeFields(said),
    encodeBuckets(buckets),
  );
}

const methodNumbers = { hash: selectionMethod.hash, dp_hash: selectionMethod.dpHash } as const;

/** The OpenFlow error for an error of the ABI in answer to a group_mod. */
export function groupModError(code: number): ErrorName {
  switch (code) {
    case error.exists:
      return "OFPGMFC_GROUP_EXISTS";
    case error.noSuchGroup:
      return "OFPGMFC_UNKNOWN_GROUP";
    case error.noSuchBucket:
      return "OFPGMFC_UNKNOWN_BUCKET";
    case error.bucketExists:
      return "OFPGMFC_BUCKET_EXISTS";
    case error.noMemory:
      return "OFPGMFC_OUT_OF_GROUPS";
    case error.badArgument:
      return "OFPGMFC_OUT_OF_BUCKETS";
    default:
      return flowModError(code);
  }
}

/** Adds, changes or deletes a group; returns the request with what came of it.  Throws OpenFlowError. */
export function modifyGroup(ofproto: Ofproto, mod: GroupMod): GroupMod {
  const batch = new CommandBatch(4096);
  appendGroupMod(batch, ofproto.bridge, mod);
  const code = batch.submit(ofproto.datapath, true).error(0);
  if (code !== 0) throw new OpenFlowError(groupModError(code), `the datapath says ${errorText(code)}`, { error: code });
  if (mod.command === groupCommand.delete) ofproto.owner.drainChanges();
  return doneGroupMod(ofproto, mod);
}

/** A group_mod that was made, with what the group is now, which others are told. */
export function doneGroupMod(ofproto: Ofproto, mod: GroupMod): GroupMod {
  if (mod.command === groupCommand.delete) return mod;
  const aboutBuckets = mod.command === groupCommand.insertBucket || mod.command === groupCommand.removeBucket;
  const isLogged = ofproto.owner.log("ofproto_dpif").enabled("dbg");
  const now = aboutBuckets || isLogged ? dumpGroups(ofproto, mod.groupId).next() : undefined;
  if (now === undefined || now.done === true) return { ...mod, outcome: { buckets: mod.buckets } };
  logSelection(ofproto, now.value);
  if (!aboutBuckets) return { ...mod, outcome: { buckets: mod.buckets } };
  return { ...mod, groupType: now.value.groupType, outcome: { buckets: now.value.buckets.map(bucketOf) } };
}

const methodNames: Readonly<Record<number, GroupSelection["method"]>> = {
  [selectionMethod.hash]: "hash",
  [selectionMethod.dpHash]: "dp_hash",
};

function bucketOf(bucket: BucketRecord): GroupBucket {
  const { weight, watchPort, watchGroup, actions } = bucket;
  return { id: bucket.bucket, weight, watchPort, watchGroup, actions };
}

function descOf(group: GroupRecord): GroupDesc {
  const method = methodNames[group.selectionMethod];
  return {
    groupType: group.groupType,
    groupId: group.group,
    buckets: group.buckets.map(bucketOf),
    selection: method === undefined ? undefined : { method, param: group.selectionParam, fields: group.fields },
  };
}

function statsOf(group: GroupRecord): GroupStats {
  const durationMs = Number(group.nowMs - group.createdMs);
  return {
    groupId: group.group,
    refCount: group.nFlows,
    packetCount: group.nPackets,
    byteCount: group.nBytes,
    durationSec: Math.floor(durationMs / 1000),
    durationNsec: (durationMs % 1000) * 1_000_000,
    buckets: group.buckets.map(({ nPackets, nBytes }) => ({ packetCount: nPackets, byteCount: nBytes })),
  };
}

/** Answers to a request for descriptions or counters of groups, as many groups in a message as surely fit. */
export function* groupReplies(
  ofproto: Ofproto,
  type: "group_desc_reply" | "group_stats_reply",
  id: number,
): Generator<MessageBody> {
  let groups: GroupRecord[] = [];
  let size = 0;
  const reply = (more: boolean): MessageBody =>
    type === "group_desc_reply"
      ? { type, more, groups: groups.map(descOf) }
      : { type, more, groups: groups.map(statsOf) };
  for (const group of dumpGroups(ofproto, id === groupNumber.all ? groupNumber.any : id)) {
    // A bucket's record has no fewer bytes than the bucket on the wire.
    if (groups.length > 0 && size + group.size > messageSizeMax) {
      yield reply(true);
      groups = [];
      size = 0;
    }
    groups.push(group);
    size += group.size;
  }
  yield reply(false);
}

/** Says in the log how a select group was made to choose. */
function logSelection(ofproto: Ofproto, group: GroupRecord): void {
  if (group.groupType !== groupType.select) return;
  const log = ofproto.owner.log("ofproto_dpif");
  if (!log.enabled("dbg")) return;
  log.dbg(`Constructing select group ${group.group}`);
  const weights = group.buckets.map((bucket) => bucket.weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const least = Math.min(0xffff, ...weights.filter((weight) => weight > 0));
  if (group.selectionMethod === selectionMethod.hash) {
    log.dbg("Selection method specified: hash.");
    if (group.usedMethod === selectionMethod.default) log.dbg("No hash fields. Falling back to default hash method.");
    return;
  }
  const isAsked = group.selectionMethod === selectionMethod.dpHash;
  log.dbg(isAsked ? "Selection method specified: dp_hash." : "No selection method specified. Trying dp_hash.");
  if (weights.length === 0) log.dbg("  Don't apply dp_hash method without buckets.");
  else if (total === 0) log.dbg("  Total weight is zero. No active buckets.");
  else {
    log.dbg(`  Minimum weight: ${least}, total weight: ${total}`);
    const wanted = Math.max(16, 2 ** Math.ceil(Math.log2(Math.ceil(total / least))));
    if (group.usedMethod === selectionMethod.default) log.dbg(`  Too many hash values required: ${wanted}`);
    else {
      log.dbg(`  Using ${group.nHashValues} hash values:`);
      for (const { bucket, weight, nHashValues } of group.buckets) {
        const target = ((group.nHashValues * weight) / total).toFixed(2);
        log.dbg(`  Bucket ${bucket}: weight=${weight}, target=${target} hits=${nHashValues}`);
      }
    }
  }
  if (group.usedMethod === selectionMethod.default) log.dbg("Falling back to default hash method.");
  else {
    const asked = Number(group.selectionParam >> 32n);
    const algorithm = !isAsked ? 1 : asked > 1 ? 0 : asked;
    log.dbg(`Use dp_hash with ${group.nHashValues} hash values using algorithm ${algorithm}.`);
  }
}
