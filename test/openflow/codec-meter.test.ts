/** Meters on the wire: what is read is what was written, and what cannot be is refused with OpenFlow's code. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  bandType,
  decodeMessage,
  encodeMessage,
  meterCommand,
  meterFlag,
  OpenFlowError,
} from "../../ts/openflow/index.js";
import type { MessageBody, MeterConfig } from "../../ts/openflow/message.js";

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const versions = [4, 5, 6] as const;
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const config: fc.Arbitrary<MeterConfig> = record({
  meterId: u32,
  flags: fc.constantFrom(meterFlag.kbps, meterFlag.pktps).map((unit) => unit | meterFlag.stats),
  bands: fc.array(
    fc.oneof(
      record({ type: fc.constant(bandType.drop), rate: u32, burstSize: u32, precLevel: fc.constant(0) }),
      record({
        type: fc.constant(bandType.dscpRemark),
        rate: u32,
        burstSize: u32,
        precLevel: fc.integer({ min: 0, max: 255 }),
      }),
    ),
    { maxLength: 8 },
  ),
});
const bodies: fc.Arbitrary<MessageBody> = fc.oneof(
  record({
    type: fc.constant("meter_mod" as const),
    command: fc.constantFrom(meterCommand.add, meterCommand.modify),
    meter: config,
  }),
  record({
    type: fc.constant("meter_config_reply" as const),
    more: fc.boolean(),
    meters: fc.array(config, { maxLength: 4 }),
  }),
  record({
    type: fc.constant("meter_stats_reply" as const),
    more: fc.boolean(),
    meters: fc.array(
      record({
        meterId: u32,
        flowCount: u32,
        packetInCount: u64,
        byteInCount: u64,
        durationSec: u32,
        durationNsec: u32,
        bands: fc.array(record({ packetCount: u64, byteCount: u64 }), { maxLength: 8 }),
      }),
      { maxLength: 4 },
    ),
  }),
);

test("messages of meters are read as they were written", () => {
  fc.assert(
    fc.property(fc.constantFrom(...versions), bodies, (version, body) => {
      assert.equal(decodeMessage(encodeMessage(version, 9, body)), { version, xid: 9, ...body });
    }),
    { numRuns: 300 },
  );
});

test("whatever is in a message of meters, it is read or refused with an error of OpenFlow", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...versions),
      bodies,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      (version, body, changes, cut) => {
        const bytes = encodeMessage(version, 9, body);
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

test("a meter_mod that cannot be is refused with the code that names the fault", () => {
  const meter: MeterConfig = {
    meterId: 1,
    flags: meterFlag.kbps,
    bands: [{ type: bandType.drop, rate: 1, burstSize: 0, precLevel: 0 }],
  };
  const refused = (code: string, change: (view: DataView) => void): void => {
    const bytes = encodeMessage(4, 1, { type: "meter_mod", command: meterCommand.add, meter });
    change(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
    assert.throws(
      () => decodeMessage(bytes),
      (error: unknown) => error instanceof OpenFlowError && error.code === code,
      code,
    );
  };
  refused("OFPMMFC_BAD_COMMAND", (view) => view.setUint16(8, 3));
  refused("OFPMMFC_BAD_FLAGS", (view) => view.setUint16(10, meterFlag.kbps | meterFlag.pktps));
  refused("OFPMMFC_BAD_BAND", (view) => view.setUint16(16, 7));
  refused("OFPBRC_BAD_LEN", (view) => view.setUint16(18, 8));
});

test.run();
