import { decodeActions, encodeActions } from "./action-wire.js";
import type { ByteReader, ByteWriter } from "./bytes.js";
import { eachProperty } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import { plans } from "./key-match.js";
import type {
  GroupBucket,
  GroupDesc,
  GroupDescReply,
  GroupFeaturesReply,
  GroupMod,
  GroupSelection,
  GroupStats,
  GroupStatsReply,
} from "./message.js";
import { isPort, readFieldHeader, writeFieldHeader } from "./oxm.js";
import { ofpp } from "./tables/ports.js";

/** Messages about groups.  Those of OpenFlow 1.0 are Nicira's, in the form of 1.5. */

export const groupCommand = {
  add: 0,
  modify: 1,
  delete: 2,
  insertBucket: 3,
  addOrModify: 0x8000,
  removeBucket: 5,
} as const;
export const groupType = { all: 0, select: 1, indirect: 2, ff: 3 } as const;
export const groupNumber = { max: 0xffffff00, all: 0xfffffffc, any: 0xffffffff } as const;
export const bucketNumber = { max: 0xffffff00, first: 0xfffffffd, last: 0xfffffffe, all: 0xffffffff } as const;

const anyPort = ofpp.ANY;
const isModern = (version: number): boolean => version === 1 || version >= 6;
const bucketProperty = { weight: 0, watchPort: 1, watchGroup: 2 } as const;
/** The experimenter property that says how a select group chooses; its owner has two numbers. */
const selection = { vendors: [0x0000154d, 0x00001540], type: 1, size: 40, methodSize: 16 } as const;
const experimenterProperty = 0xffff;

const badBucket = (sentence: string): OpenFlowError => new OpenFlowError("OFPGMFC_BAD_BUCKET", sentence);

function readActions(reader: ByteReader, size: number, version: number, out: ByteWriter): Uint8Array {
  const at = reader.take(size);
  out.position = 0;
  decodeActions(reader.bytes, reader.view, at, at + size, version, out);
  return out.finish();
}

function watchPort(port: number): number {
  if (!isPort(port)) throw new OpenFlowError("OFPGMFC_BAD_WATCH", `${port} is not a port to watch`, { port });
  return port;
}

function readBuckets11(reader: ByteReader, end: number, version: number, out: ByteWriter): GroupBucket[] {
  const buckets: GroupBucket[] = [];
  while (reader.position < end) {
    if (end - reader.position < 16) throw badBucket("a group's buckets end early");
    const start = reader.position;
    const length = reader.u16();
    const weight = reader.u16();
    const port = reader.u32();
    const watchGroup = reader.u32();
    reader.skip(4);
    if (length < 16 || start + length > end) throw badBucket(`a bucket has a length of ${length} bytes`);
    const actions = readActions(reader, length - 16, version, out);
    buckets.push({ id: buckets.length, weight, watchPort: watchPort(port), watchGroup, actions });
  }
  return buckets;
}

function readBuckets15(reader: ByteReader, end: number, version: number, type: number, out: ByteWriter): GroupBucket[] {
  const buckets: GroupBucket[] = [];
  const ids = new Set<number>();
  while (reader.position < end) {
    if (end - reader.position < 8) throw badBucket("a group's buckets end early");
    const start = reader.position;
    const length = reader.u16();
    const actionsSize = reader.u16();
    const id = reader.u32();
    if (length < 8 || start + length > end || actionsSize > length - 8)
      throw badBucket(`a bucket has a length of ${length} bytes`);
    const actions = readActions(reader, actionsSize, version, out);
    const said = {
      weight: type === groupType.select ? 1 : 0,
      watchPort: anyPort as number,
      watchGroup: groupNumber.any as number,
    };
    eachProperty(reader, start + length, (kind, propertyEnd) => {
      const size = propertyEnd - reader.position;
      const exactly = (wanted: number): void => {
        if (size !== wanted) throw new OpenFlowError("OFPBPC_BAD_LEN", `bucket property ${kind} has the wrong length`);
      };
      switch (kind) {
        case bucketProperty.weight:
          if (size < 2) exactly(2);
          said.weight = reader.u16();
          return;
        case bucketProperty.watchPort:
          exactly(4);
          said.watchPort = reader.u32();
          return;
        case bucketProperty.watchGroup:
          exactly(4);
          said.watchGroup = reader.u32();
          return;
        default:
          throw new OpenFlowError(
            kind === experimenterProperty ? "OFPBPC_BAD_EXPERIMENTER" : "OFPBPC_BAD_TYPE",
            `buckets have no property ${kind}`,
          );
      }
    });
    watchPort(said.watchPort);
    if (id > bucketNumber.max) throw badBucket(`${id} is not a bucket's number`);
    if (ids.has(id)) throw badBucket(`two buckets have number ${id}`);
    ids.add(id);
    buckets.push({ id, ...said, actions });
  }
  return buckets;
}

function readSelectionFields(reader: ByteReader, end: number): GroupSelection["fields"] {
  const fields: { field: number; mask: Uint8Array }[] = [];
  while (reader.position < end) {
    const { plan, next } = readFieldHeader(reader.bytes, reader.position, end);
    if (next + plan.bytes > end) throw new OpenFlowError("OFPBMC_BAD_LEN", `field ${plan.name} ends early`);
    if (fields.some((one) => one.field === plan.id))
      throw new OpenFlowError("OFPBMC_DUP_FIELD", `field ${plan.name} occurs twice`);
    const mask = reader.bytes.slice(next, next + plan.bytes);
    if (!plan.maskable && !mask.every((byte) => byte === 0xff) && !isWhole(mask, plan.bits))
      throw new OpenFlowError("OFPBMC_BAD_MASK", `field ${plan.name} is hashed whole or not at all`);
    fields.push({ field: plan.id, mask });
    reader.position = next + plan.bytes;
  }
  // They are hashed and told in the order of their numbers.
  return fields.sort((a, b) => a.field - b.field);
}

/** All bits of a field that does not fill its bytes. */
function isWhole(mask: Uint8Array, bits: number): boolean {
  const value = mask.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return value === (1n << BigInt(bits)) - 1n;
}

function readSelection(reader: ByteReader, start: number, end: number, type: number, command: number): GroupSelection {
  const bad = (sentence: string): OpenFlowError => new OpenFlowError("OFPBPC_BAD_VALUE", sentence);
  if (type > groupType.ff) throw new OpenFlowError("OFPGMFC_BAD_TYPE", `there is no group type ${type}`);
  if (type !== groupType.select) throw bad("only select groups have a selection method");
  const known: readonly number[] = [groupCommand.add, groupCommand.modify, groupCommand.addOrModify];
  if (!known.includes(command)) {
    if (!Object.values<number>(groupCommand).includes(command))
      throw new OpenFlowError("OFPGMFC_BAD_COMMAND", `there is no group command ${command}`);
    throw bad("only what adds or changes a group has a selection method");
  }
  if (end - start < selection.size) throw new OpenFlowError("OFPBPC_BAD_LEN", "a selection method is cut short");
  reader.position = start + 16;
  const name = reader.copy(selection.methodSize);
  const method = new TextDecoder().decode(name.subarray(0, Math.max(0, name.indexOf(0))));
  const param = reader.u64();
  if (method !== "hash" && method !== "dp_hash") throw bad(`selection method '${method}' is not supported`);
  if (end > reader.position && method !== "hash") throw bad(`selection method ${method} has no fields`);
  return { method, param, fields: readSelectionFields(reader, end) };
}

function readProperties(reader: ByteReader, type: number, command: number): GroupSelection | undefined {
  let found: GroupSelection | undefined;
  eachProperty(reader, reader.end, (kind, end) => {
    const start = reader.position - 4;
    if (kind !== experimenterProperty) throw new OpenFlowError("OFPBPC_BAD_TYPE", `groups have no property ${kind}`);
    if (end - reader.position < 8) throw new OpenFlowError("OFPBPC_BAD_LEN", "an experimenter property is cut short");
    const vendor = reader.u32();
    const what = reader.u32();
    if (!(selection.vendors as readonly number[]).includes(vendor))
      throw new OpenFlowError("OFPBPC_BAD_EXPERIMENTER", `experimenter ${vendor} has no group property`, { vendor });
    if (what !== selection.type) throw new OpenFlowError("OFPBPC_BAD_EXP_TYPE", `groups have no property ${what}`);
    found = readSelection(reader, start, end, type, command);
  });
  return found;
}

const isLive = (bucket: GroupBucket): boolean => bucket.watchPort !== anyPort || bucket.watchGroup !== groupNumber.any;

/** What a group_mod says of itself that cannot be, whatever groups there are. */
function checkGroupMod(mod: GroupMod): void {
  const { command, buckets } = mod;
  const type = mod.groupType;
  if (type > groupType.ff) throw new OpenFlowError("OFPGMFC_BAD_TYPE", `there is no group type ${type}`);
  if (type === groupType.indirect && command !== groupCommand.delete && buckets.length !== 1)
    throw new OpenFlowError("OFPGMFC_INVALID_GROUP", "an indirect group has one bucket");
  if (!Object.values<number>(groupCommand).includes(command))
    throw new OpenFlowError("OFPGMFC_BAD_COMMAND", `there is no group command ${command}`, { command });
  if (command === groupCommand.removeBucket && buckets.length > 0)
    throw badBucket("a command that removes a bucket has none");
  for (const bucket of buckets) {
    if (bucket.weight !== 0 && type !== groupType.select && command !== groupCommand.insertBucket)
      throw new OpenFlowError("OFPGMFC_INVALID_GROUP", "only buckets of select groups have a weight");
    if ((type === groupType.all || type === groupType.indirect) && isLive(bucket))
      throw new OpenFlowError("OFPGMFC_WATCH_UNSUPPORTED", "buckets of such a group watch nothing");
    if (type === groupType.ff && !isLive(bucket))
      throw new OpenFlowError("OFPGMFC_INVALID_GROUP", "buckets of a fast failover group watch something");
  }
}

/** Whether the command names its bucket rightly. */
function checkCommandBucket(command: number, bucket: number): void {
  const isAll = bucket === bucketNumber.all;
  const isOne = bucket <= bucketNumber.max || bucket === bucketNumber.first || bucket === bucketNumber.last;
  const fits =
    command === groupCommand.removeBucket ? isAll || isOne : command === groupCommand.insertBucket ? isOne : isAll;
  if (!fits) throw badBucket(`group command bucket id (${bucket}) is out of range`);
}

/** `scratch` is where actions are put together. */
export function readGroupMod(reader: ByteReader, version: number, scratch: ByteWriter): GroupMod {
  const command = reader.u16();
  const type = reader.u8();
  reader.skip(1);
  const groupId = reader.u32();
  const base = { type: "group_mod", command, groupType: type, groupId } as const;
  let mod: GroupMod;
  if (!isModern(version)) {
    const buckets = readBuckets11(reader, reader.end, version, scratch);
    if (version >= 4 && command === groupCommand.delete && buckets.length > 0)
      throw new OpenFlowError("OFPGMFC_INVALID_GROUP", "a command that deletes groups has no buckets");
    mod = { ...base, commandBucket: bucketNumber.all, buckets, selection: undefined };
  } else {
    const listSize = reader.u16();
    reader.skip(2);
    const commandBucket = reader.u32();
    checkCommandBucket(command, commandBucket);
    if (listSize > reader.left) throw new OpenFlowError("OFPBRC_BAD_LEN", "a group's buckets end early");
    const buckets = readBuckets15(reader, reader.position + listSize, version, type, scratch);
    mod = { ...base, commandBucket, buckets, selection: readProperties(reader, type, command) };
  }
  checkGroupMod(mod);
  return mod;
}

function writeBuckets(out: ByteWriter, buckets: readonly GroupBucket[], type: number, version: number): void {
  for (const bucket of buckets) {
    const start = out.position;
    const { actions } = bucket;
    if (!isModern(version)) {
      out.u16(0);
      out.u16(bucket.weight);
      out.u32(bucket.watchPort);
      out.u32(bucket.watchGroup);
      out.zeros(4);
      encodeActions(actions, 0, actions.length, version, out);
    } else {
      out.u32(0);
      out.u32(bucket.id);
      encodeActions(actions, 0, actions.length, version, out);
      out.view.setUint16(start + 2, out.position - start - 8);
      const property = (kind: number, value: number): void => {
        out.u16(kind);
        out.u16(8);
        out.u32(value);
      };
      // The length of a weight counts what fills it up to 4 bytes, as in Open vSwitch.
      if (type === groupType.select || bucket.weight !== 0) property(bucketProperty.weight, bucket.weight << 16);
      if (bucket.watchPort !== anyPort) property(bucketProperty.watchPort, bucket.watchPort);
      if (bucket.watchGroup !== groupNumber.any) property(bucketProperty.watchGroup, bucket.watchGroup);
    }
    out.view.setUint16(start, out.position - start);
  }
}

function writeSelection(out: ByteWriter, body: GroupSelection, version: number): void {
  const start = out.position;
  out.u16(experimenterProperty);
  out.u16(0);
  out.u32(selection.vendors[0]);
  out.u32(selection.type);
  out.zeros(4);
  out.text(body.method, selection.methodSize);
  out.u64(body.param);
  for (const { field, mask } of body.fields) {
    const plan = plans[field];
    if (plan === undefined) throw new Error("a group names a field that is not in the field table");
    writeFieldHeader(out, plan, version);
    out.put(mask);
  }
  out.view.setUint16(start + 2, out.position - start);
  out.align(8, start);
}

/** A version without a command gets what comes to the same: `outcome` says what the request did. */
export function writeGroupMod(out: ByteWriter, body: GroupMod, version: number): void {
  let { command, buckets } = body;
  const aboutBuckets = command === groupCommand.insertBucket || command === groupCommand.removeBucket;
  // Open vSwitch tells of an addition, whether there was the group or not.
  if (command === groupCommand.addOrModify && body.outcome !== undefined) command = groupCommand.add;
  if (aboutBuckets && !isModern(version)) {
    command = groupCommand.modify;
    buckets = body.outcome?.buckets ?? buckets;
  }
  out.u16(command);
  out.u8(body.groupType);
  out.zeros(1);
  out.u32(body.groupId);
  if (!isModern(version)) {
    writeBuckets(out, buckets, body.groupType, version);
    return;
  }
  const listAt = out.position;
  out.u32(0);
  out.u32(body.commandBucket);
  const start = out.position;
  writeBuckets(out, buckets, body.groupType, version);
  out.view.setUint16(listAt, out.position - start);
  if (body.selection !== undefined) writeSelection(out, body.selection, version);
}

function writeDesc(out: ByteWriter, group: GroupDesc, version: number): void {
  const start = out.position;
  out.u16(0);
  out.u8(group.groupType);
  out.zeros(1);
  out.u32(group.groupId);
  const listAt = out.position;
  if (isModern(version)) out.zeros(8);
  const buckets = out.position;
  writeBuckets(out, group.buckets, group.groupType, version);
  if (isModern(version)) {
    out.view.setUint16(listAt, out.position - buckets);
    if (group.selection !== undefined) writeSelection(out, group.selection, version);
  }
  out.view.setUint16(start, out.position - start);
}

export function writeGroupDescReply(out: ByteWriter, body: GroupDescReply, version: number): void {
  for (const group of body.groups) writeDesc(out, group, version);
}

const hasDuration = (version: number): boolean => version === 1 || version >= 4;

export function writeGroupStatsReply(out: ByteWriter, body: GroupStatsReply, version: number): void {
  for (const group of body.groups) {
    out.u16((hasDuration(version) ? 40 : 32) + 16 * group.buckets.length);
    out.zeros(2);
    out.u32(group.groupId);
    out.u32(group.refCount);
    out.zeros(4);
    out.u64(group.packetCount);
    out.u64(group.byteCount);
    if (hasDuration(version)) {
      out.u32(group.durationSec);
      out.u32(group.durationNsec);
    }
    for (const bucket of group.buckets) {
      out.u64(bucket.packetCount);
      out.u64(bucket.byteCount);
    }
  }
}

export function readGroupStatsReply(reader: ByteReader, version: number, more: boolean): GroupStatsReply {
  const groups: GroupStats[] = [];
  while (reader.left > 0) {
    const start = reader.position;
    const length = reader.u16();
    reader.skip(2);
    const groupId = reader.u32();
    const refCount = reader.u32();
    reader.skip(4);
    const packetCount = reader.u64();
    const byteCount = reader.u64();
    const durationSec = hasDuration(version) ? reader.u32() : 0xffffffff;
    const durationNsec = hasDuration(version) ? reader.u32() : 0xffffffff;
    const end = start + length;
    if (end < reader.position || end > reader.end || (end - reader.position) % 16 !== 0)
      throw new OpenFlowError("OFPBRC_BAD_LEN", `a group's counters have a length of ${length} bytes`);
    const buckets: GroupStats["buckets"][number][] = [];
    while (reader.position < end) buckets.push({ packetCount: reader.u64(), byteCount: reader.u64() });
    groups.push({ groupId, refCount, packetCount, byteCount, durationSec, durationNsec, buckets });
  }
  return { type: "group_stats_reply", more, groups };
}

export function readGroupDescReply(
  reader: ByteReader,
  version: number,
  more: boolean,
  scratch: ByteWriter,
): GroupDescReply {
  const groups: GroupDesc[] = [];
  while (reader.left > 0) {
    const start = reader.position;
    const length = reader.u16();
    const type = reader.u8();
    reader.skip(1);
    const groupId = reader.u32();
    const end = start + length;
    if (end < reader.position || end > reader.end)
      throw new OpenFlowError("OFPBRC_BAD_LEN", `a group has a length of ${length} bytes`);
    if (!isModern(version)) {
      const buckets = readBuckets11(reader, end, version, scratch);
      groups.push({ groupType: type, groupId, buckets, selection: undefined });
      continue;
    }
    const listSize = reader.u16();
    reader.skip(6);
    if (reader.position + listSize > end) throw new OpenFlowError("OFPBRC_BAD_LEN", "a group's buckets end early");
    const buckets = readBuckets15(reader, reader.position + listSize, version, type, scratch);
    let said: GroupSelection | undefined;
    eachProperty(reader, end, (_kind, propertyEnd) => {
      said = readSelection(reader, reader.position - 4, propertyEnd, type, groupCommand.add);
    });
    groups.push({ groupType: type, groupId, buckets, selection: said });
  }
  return { type: "group_desc_reply", more, groups };
}

export function readGroupFeaturesReply(reader: ByteReader, more: boolean): GroupFeaturesReply {
  const types = reader.u32();
  const capabilities = reader.u32();
  const maxGroups = [0, 1, 2, 3].map(() => reader.u32());
  const actions = [0, 1, 2, 3].map(() => reader.u32());
  return { type: "group_features_reply", more, types, capabilities, maxGroups, actions };
}

export function writeGroupFeaturesReply(out: ByteWriter, body: GroupFeaturesReply): void {
  out.u32(body.types);
  out.u32(body.capabilities);
  for (const count of body.maxGroups) out.u32(count);
  for (const bits of body.actions) out.u32(bits);
}
