/** Groups on the wire: what is read is what was written, and what cannot be is refused with OpenFlow's code. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  decodeMessage,
  encodeMessage,
  groupCommand,
  groupNumber,
  groupType,
  OpenFlowError,
  parseActions,
} from "../../ts/openflow/index.js";
import type { GroupBucket, GroupDesc, GroupMod, GroupSelection, MessageBody } from "../../ts/openflow/message.js";
import { type FieldRow, fieldByName, fieldId } from "../../ts/openflow/tables/fields.js";
import { randomActions } from "./random-flow.js";

const none = 0xffffffff;
const idOf = (name: string): number => fieldId(fieldByName(name) as FieldRow);
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const versions = [2, 3, 4, 5, 6] as const;
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const counters = fc.array(record({ packetCount: u64, byteCount: u64 }), { maxLength: 4 });

const sizes = new Map(
  (
    [
      ["eth_src", 6],
      ["eth_dst", 6],
      ["ip_src", 4],
      ["ip_dst", 4],
      ["tcp_src", 2],
    ] as const
  ).map(([name, size]) => [idOf(name), size]),
);

const bucket = (type: number): fc.Arbitrary<Omit<GroupBucket, "id">> =>
  record({
    weight: type === groupType.select ? fc.integer({ min: 0, max: 0xffff }) : fc.constant(0),
    watchPort: type === groupType.ff ? fc.integer({ min: 1, max: 100 }) : fc.constant(none),
    watchGroup: type === groupType.ff ? fc.constantFrom(none, 7) : fc.constant(none),
    actions: randomActions.map((text) => parseActions(text)).filter((actions) => actions.length < 2000),
  });

const selection: fc.Arbitrary<GroupSelection | undefined> = fc.option(
  fc.oneof(
    record({ method: fc.constant("dp_hash" as const), param: u64, fields: fc.constant([]) }),
    record({
      method: fc.constant("hash" as const),
      param: u64,
      fields: fc
        .subarray(["eth_src", "eth_dst", "ip_src", "ip_dst", "tcp_src"].map(idOf))
        .map((ids) => ids.map((field) => ({ field, mask: new Uint8Array(sizes.get(field) ?? 0).fill(0xff) }))),
    }),
  ),
  { nil: undefined },
);
const desc = (version: number): fc.Arbitrary<GroupDesc> =>
  fc.constantFrom(...Object.values(groupType)).chain((type) =>
    record({
      groupType: fc.constant(type),
      groupId: fc.integer({ min: 0, max: groupNumber.max }),
      buckets: fc
        .array(bucket(type), type === groupType.indirect ? { minLength: 1, maxLength: 1 } : { maxLength: 4 })
        .map((buckets) => buckets.map((one, id) => ({ id, ...one }))),
      selection: version === 6 && type === groupType.select ? selection : fc.constant(undefined),
    }),
  );

/** Encodes, decodes and encodes again: the bytes are the same.  Returns what was decoded. */
function again(version: number, body: MessageBody): MessageBody {
  const bytes = encodeMessage(version, 5, body);
  const { version: _version, xid: _xid, ...decoded } = decodeMessage(bytes);
  assert.equal(encodeMessage(version, 5, decoded as MessageBody), bytes);
  return decoded as MessageBody;
}

/** A bucket's actions that a version cannot say are other ones when they are read again, so these are compared as bytes. */
const shape = ({ groupType: type, groupId, buckets, selection: said }: GroupDesc): unknown => ({
  type,
  groupId,
  buckets: buckets.map(({ actions, ...rest }) => rest),
  said,
});

test("a group_mod, a description and counters are read as they were written", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...versions).chain((version) => fc.tuple(fc.constant(version), desc(version))),
      u32,
      counters,
      u64,
      ([version, group], refCount, buckets, count) => {
        const mod = { type: "group_mod", command: groupCommand.add, commandBucket: none, ...group } as const;
        assert.equal(shape(again(version, mod) as GroupMod), shape(group));
        const described = again(version, { type: "group_desc_reply", more: false, groups: [group, group] });
        assert.is(described.type, "group_desc_reply");
        if (described.type === "group_desc_reply") assert.equal(described.groups.map(shape), [group, group].map(shape));
        const durations = version < 4 ? none : refCount;
        const stats = {
          groupId: group.groupId,
          refCount,
          packetCount: count,
          byteCount: count,
          durationSec: durations,
          durationNsec: durations,
          buckets,
        };
        const reply = { type: "group_stats_reply", more: false, groups: [stats] } as const;
        assert.equal(again(version, reply), reply);
      },
    ),
    { numRuns: 150 },
  );
});

test("whatever is in a message of groups, it is read or refused with an error of OpenFlow", () => {
  fc.assert(
    fc.property(
      fc
        .constantFrom(...versions)
        .chain((version) => fc.tuple(fc.constant(version), desc(version), fc.constantFrom(..."mds"))),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      ([version, group, kind], changes, cut) => {
        const body: MessageBody =
          kind === "m"
            ? { type: "group_mod", command: groupCommand.add, commandBucket: none, ...group }
            : kind === "d"
              ? { type: "group_desc_reply", more: false, groups: [group] }
              : {
                  type: "group_stats_reply",
                  more: false,
                  groups: [
                    {
                      groupId: 1,
                      refCount: 2,
                      packetCount: 3n,
                      byteCount: 4n,
                      durationSec: 5,
                      durationNsec: 6,
                      buckets: [{ packetCount: 7n, byteCount: 8n }],
                    },
                  ],
                };
        const bytes = encodeMessage(version, 5, body);
        for (const [at, value] of changes) bytes[8 + (at % (bytes.length - 8))] = value;
        const length = cut % 2 === 0 ? bytes.length : 8 + (cut % (bytes.length - 8));
        const wrong = bytes.slice(0, length);
        new DataView(wrong.buffer).setUint16(2, length);
        try {
          decodeMessage(wrong);
        } catch (error) {
          assert.instance(error, OpenFlowError);
        }
      },
    ),
    { numRuns: 600 },
  );
});

test("fields that are hashed come in the order of their numbers, each once", () => {
  const masked = (name: string): GroupSelection["fields"][number] => {
    const field = idOf(name);
    return { field, mask: new Uint8Array(sizes.get(field) ?? 0).fill(0xff) };
  };
  const mod = (names: readonly string[]): GroupMod => ({
    type: "group_mod",
    command: groupCommand.add,
    commandBucket: none,
    groupType: groupType.select,
    groupId: 1,
    buckets: [],
    selection: { method: "hash", param: 0n, fields: names.map(masked) },
  });
  const decoded = decodeMessage(encodeMessage(6, 1, mod(["tcp_src", "eth_dst", "ip_src"]))) as GroupMod;
  assert.equal(
    decoded.selection?.fields.map((one) => one.field),
    ["eth_dst", "ip_src", "tcp_src"].map(idOf),
  );
  assert.throws(
    () => decodeMessage(encodeMessage(6, 1, mod(["ip_src", "ip_src"]))),
    (error: unknown) => error instanceof OpenFlowError && error.code === "OFPBMC_DUP_FIELD",
  );
});

test("a group_mod that contradicts itself is refused with the code that names the fault", () => {
  const base = { type: "group_mod", command: groupCommand.add, commandBucket: none, groupId: 1 } as const;
  const plain: GroupBucket = { id: 0, weight: 0, watchPort: none, watchGroup: none, actions: new Uint8Array(0) };
  const refused: readonly (readonly [string, Omit<GroupMod, "type">])[] = [
    ["OFPGMFC_INVALID_GROUP", { ...base, groupType: groupType.indirect, buckets: [], selection: undefined }],
    ["OFPGMFC_INVALID_GROUP", { ...base, groupType: groupType.ff, buckets: [plain], selection: undefined }],
    [
      "OFPGMFC_INVALID_GROUP",
      { ...base, groupType: groupType.all, buckets: [{ ...plain, weight: 2 }], selection: undefined },
    ],
    [
      "OFPGMFC_WATCH_UNSUPPORTED",
      { ...base, groupType: groupType.all, buckets: [{ ...plain, watchPort: 1 }], selection: undefined },
    ],
    ["OFPGMFC_BAD_TYPE", { ...base, groupType: 4, buckets: [], selection: undefined }],
    ["OFPGMFC_BAD_COMMAND", { ...base, command: 4, groupType: groupType.all, buckets: [], selection: undefined }],
    [
      "OFPGMFC_BAD_BUCKET",
      { ...base, command: groupCommand.removeBucket, groupType: groupType.all, buckets: [plain], selection: undefined },
    ],
    ["OFPGMFC_BAD_BUCKET", { ...base, groupType: groupType.all, buckets: [plain, plain], selection: undefined }],
  ];
  for (const [code, body] of refused) {
    const bytes = encodeMessage(6, 1, { type: "group_mod", ...body });
    assert.throws(
      () => decodeMessage(bytes),
      (error: unknown) => error instanceof OpenFlowError && error.code === code,
      code,
    );
  }
});

test.run();
