import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeMessage, encodeMessage, formatMessage, type Message, OpenFlowError } from "../../ts/openflow/index.js";
import { messages } from "../../ts/openflow/tables/messages.js";
import { changes, damaged, fuzz } from "../fuzz.js";
import { flowSamples, messageSamples, type Sample, versions } from "./message-samples.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The message, or undefined when it is refused as the peer's fault; anything else is ours. */
function decoded(bytes: Uint8Array): Message | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (error instanceof OpenFlowError) return undefined;
    throw new Error(`${hex(bytes)}: ${error instanceof Error ? error.stack : error}`);
  }
}

function encodedAgain(bytes: Uint8Array, message: Message): Uint8Array {
  try {
    return encodeMessage(message.version, message.xid, message);
  } catch (error) {
    throw new Error(`${hex(bytes)} is read and cannot be written: ${error instanceof Error ? error.stack : error}`);
  }
}

/** With its length in its header. */
function withLength(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= 4) new DataView(bytes.buffer, bytes.byteOffset).setUint16(2, bytes.length);
  return bytes;
}

test("there is a sample of every message that is read, in every version", () => {
  const samples = [...messageSamples(), ...flowSamples()];
  const seen = new Set(samples.map(({ version, bytes }) => `${decodeMessage(bytes).type} in ${version}`));
  const missing: string[] = [];
  for (const row of messages) {
    if (/^multipart_/.test(row.name) && row.space === "standard") continue;
    for (let version = row.from; version <= row.to; version++) {
      const name = row.name === "set_async2" ? "set_async" : row.name;
      if (!seen.has(`${name} in ${version}`)) missing.push(`${name} in ${version}`);
    }
  }
  assert.equal([...new Set(missing)], []);
});

test("a valid message decoded and encoded again is the same bytes", () => {
  for (const { version, body, bytes } of [...messageSamples(), ...flowSamples()]) {
    const again = encodeMessage(version, 1, decodeMessage(bytes));
    // The match of OpenFlow 1.1 has room for what it then does not mean: an IPv6 packet's protocol.
    const wanted = version === 2 ? encodeMessage(version, 1, decodeMessage(again)) : bytes;
    assert.is(hex(again), hex(wanted), `${body.type} in ${version}`);
  }
});

for (const version of versions) {
  const ofVersion = (sample: Sample): boolean => sample.version === version;
  const samples = [...messageSamples().filter(ofVersion), ...flowSamples().filter(ofVersion)];
  test(`damaged messages of version ${version} are refused as OpenFlow errors or are messages, and all print`, () => {
    const input = fc.tuple(fc.nat(samples.length - 1), changes);
    fuzz(`messages of version ${version}`, input, ([index, how]) => {
      const bytes = withLength(damaged((samples[index] as Sample).bytes, how, 2));
      const text = formatMessage(bytes);
      assert.ok(text.endsWith("\n"), hex(bytes));
      const message = decoded(bytes);
      if (message === undefined) return;
      // What a version says in several ways is written in one, and that one stays as it is.
      const once = encodedAgain(bytes, message);
      const twice = encodedAgain(once, decodeMessage(once));
      assert.is(hex(twice), hex(once), hex(bytes));
    });
  });
}

test.run();
