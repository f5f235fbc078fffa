/** Groups as text: what was written is read back, in every version, and what is read is printed the same. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  decodeMessage,
  encodeMessage,
  formatGroup,
  formatGroupMod,
  type GroupBucket,
  type GroupMod,
  groupCommand,
  groupType,
  ofpp,
  parseActions,
  parseGroup,
} from "../../ts/openflow/index.js";
import { fieldId, fields } from "../../ts/openflow/tables/fields.js";
import { randomActions } from "./random-flow.js";

const any = 0xffffffff;
const hashable = fields.filter((row) => ["ip_src", "ip_dst", "nw_proto", "eth_src", "tcp_dst"].includes(row.name));

const port = fc.oneof(fc.integer({ min: 1, max: 0xfeff }), fc.constant(ofpp.ANY));
const bucket: fc.Arbitrary<GroupBucket> = fc
  .record({
    id: fc.integer({ min: 0, max: 0xffffff00 }),
    weight: fc.integer({ min: 0, max: 0xffff }),
    watchPort: port,
    watchGroup: fc.oneof(fc.integer({ min: 0, max: 0xffffff00 }), fc.constant(any)),
    actions: randomActions,
  })
  .map((one) => ({ ...one, actions: parseActions(one.actions) }));

const selection = fc.option(
  fc.record({
    method: fc.constantFrom("hash" as const, "dp_hash" as const),
    param: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
    fields: fc
      .uniqueArray(fc.constantFrom(...hashable))
      .map((rows) =>
        rows
          .map((row) => ({ field: fieldId(row), mask: new Uint8Array(row.bytes).fill(0xff) }))
          .sort((one, other) => one.field - other.field),
      ),
  }),
  { nil: undefined },
);

/** A group that OpenFlow allows. */
const group: fc.Arbitrary<GroupMod> = fc
  .record({
    groupId: fc.integer({ min: 0, max: 0xffffff00 }),
    groupType: fc.integer({ min: 0, max: 3 }),
    buckets: fc.uniqueArray(bucket, { maxLength: 4, selector: ({ id }) => id }),
    selection,
    extra: bucket,
  })
  .map(({ groupId, groupType: type, buckets, selection: chosen, extra }) => {
    const list = type === groupType.indirect ? [extra] : buckets;
    const watches = type === groupType.select || type === groupType.ff;
    return {
      type: "group_mod" as const,
      command: groupCommand.add,
      commandBucket: any,
      groupId,
      groupType: type,
      selection:
        type !== groupType.select || chosen === undefined || chosen.method === "hash"
          ? type === groupType.select
            ? chosen
            : undefined
          : { ...chosen, fields: [] },
      buckets: list.map((one) => ({
        ...one,
        weight: type === groupType.select ? one.weight : 0,
        watchPort: watches ? (type === groupType.ff && one.watchGroup === any ? 1 : one.watchPort) : ofpp.ANY,
        watchGroup: watches ? one.watchGroup : any,
      })),
    };
  });

for (const version of [1, 6] as const) {
  test(`OpenFlow 1.${version - 1}: bytes, group, text, group and bytes again are the same`, () => {
    fc.assert(
      fc.property(group, (wanted) => {
        const wire = encodeMessage(version, 1, wanted);
        const read = decodeMessage(wire);
        if (read.type !== "group_mod") throw new Error("not a group_mod");
        const text = formatGroup(read, version);
        const back = parseGroup(text, groupCommand.add);
        assert.is(formatGroup(back, version), text);
        assert.equal(encodeMessage(version, 1, back), wire, text);
      }),
      { numRuns: 300 },
    );
  });
}

test("OpenFlow 1.3 says all but the numbers of buckets and how a group selects", () => {
  fc.assert(
    fc.property(group, (wanted) => {
      const plain = { ...wanted, selection: undefined };
      const wire = encodeMessage(4, 1, plain);
      const read = decodeMessage(wire);
      if (read.type !== "group_mod") throw new Error("not a group_mod");
      assert.equal(encodeMessage(4, 1, parseGroup(formatGroup(read, 4), groupCommand.add)), wire);
    }),
    { numRuns: 200 },
  );
});

test("buckets without a number get the lowest that no later one has", () => {
  const ids = (text: string): number[] =>
    parseGroup(`group_id=1,type=all,${text}`, groupCommand.add).buckets.map(({ id }) => id);
  assert.equal(ids("bucket=1,bucket=2,bucket=3"), [0, 1, 2]);
  assert.equal(ids("bucket=1,bucket=bucket_id:0,2,bucket=3"), [1, 0, 2]);
});

test("where buckets go is said with the command", () => {
  const mod = parseGroup("group_id=5,command_bucket_id=first,bucket=bucket_id:3,drop", groupCommand.insertBucket);
  const text = " INSERT_BUCKET command_bucket_id:first,group_id=5,bucket=bucket_id:3,actions=drop";
  assert.is(formatGroupMod(mod, 6), `\n${text}\n`);
});

test.run();
