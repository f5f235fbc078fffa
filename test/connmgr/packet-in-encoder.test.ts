import { test } from "uvu";
import * as assert from "uvu/assert";
import { PacketInEncoder } from "../../ts/connmgr/packet-in-encoder.js";
import { encodeMessage, inPortMatch, parseMatch } from "../../ts/openflow/index.js";
import type { PacketInFormat, Version } from "../../ts/openflow/message.js";

const versions: readonly Version[] = [1, 2, 3, 4, 5, 6];
const formats: readonly PacketInFormat[] = ["standard", "nxt_packet_in", "nxt_packet_in2"];

test("what is copied from a template is what would have been made", () => {
  const matches = [inPortMatch(1), inPortMatch(65), parseMatch("in_port=1,metadata=7"), inPortMatch(1)];
  for (const version of versions) {
    const encoder = new PacketInEncoder(version);
    for (const format of formats) {
      for (const [index, match] of matches.entries()) {
        for (const size of [0, 14, 60, 1500]) {
          const packet = Uint8Array.from({ length: size }, (_, at) => at & 0xff);
          const userdata = Uint8Array.of(1, 2);
          const event = {
            inPort: 1,
            table: index,
            cookie: BigInt(index & 1),
            totalLen: 300 + size,
            match,
            userdata,
            packet,
          };
          const made = encoder.encode(event, format, 1);
          const whole = encodeMessage(version, 0, {
            type: "packet_in",
            format,
            bufferId: 0xffffffff,
            totalLen: event.totalLen,
            reason: 1,
            tableId: event.table,
            cookie: event.cookie,
            match,
            packet,
            userdata,
          });
          assert.is(Buffer.compare(made, whole), 0, `${version} ${format} ${index} ${size}`);
        }
      }
    }
  }
});

test.run();
