import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  decodeMessage,
  encodeMessage,
  FlowSyntaxError,
  type MessageBody,
  OpenFlowError,
  parseFlow,
} from "../../ts/openflow/index.js";
import { readCorpus } from "./flow-corpus.js";

/** Messages to damage: flow_mods of the corpus and one of many other kinds. */
function samples(): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (const { input } of readCorpus()) {
    for (const version of [1, 4, 6]) {
      try {
        const flow = parseFlow(input);
        messages.push(encodeMessage(version, 1, { ...flow, standard: version !== 1 }));
        messages.push(
          encodeMessage(version, 1, {
            type: "packet_out",
            bufferId: 0xffffffff,
            inPort: 1,
            match: flow.match,
            actions: flow.actions,
            packet: new Uint8Array(60),
          }),
        );
      } catch (error) {
        if (!(error instanceof FlowSyntaxError) && !(error instanceof OpenFlowError)) throw error;
      }
    }
  }
  const port = {
    port: 1,
    hwAddr: new Uint8Array(6),
    name: "p1",
    config: 0,
    state: 0,
    current: 0,
    advertised: 0,
    supported: 0,
    peer: 0,
    currentSpeedKbps: 0,
    maxSpeedKbps: 0,
  };
  const bodies: MessageBody[] = [
    { type: "hello", versions: 0x52 },
    { type: "port_status", reason: 2, port },
    { type: "port_desc_reply", more: false, ports: [port, port] },
    { type: "role_request", standard: false, role: 1, generationId: undefined },
    { type: "set_async", standard: true, config: { packetIn: [1, 2], portStatus: [3, 4], flowRemoved: [5, 6] } },
    {
      type: "flow_stats_request",
      standard: true,
      tableId: 255,
      outPort: 0xffffffff,
      outGroup: 0xffffffff,
      cookie: 0n,
      cookieMask: 0n,
      match: new Uint8Array(0),
    },
    { type: "port_mod", port: 1, hwAddr: new Uint8Array(6), config: 1, mask: 1, advertise: 0 },
    { type: "desc_request" },
  ];
  for (const version of [1, 4, 5, 6]) {
    for (const body of bodies)
      if (version >= 4 || body.type !== "set_async") messages.push(encodeMessage(version, 1, body));
  }
  return messages;
}

test("damaged messages are refused with an OpenFlow error and nothing else", () => {
  const messages = samples();
  const damage = fc.tuple(
    fc.nat(messages.length - 1),
    fc.array(fc.tuple(fc.nat(65535), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    fc.option(fc.nat(200)),
  );
  const from = Date.now();
  fc.assert(
    fc.property(damage, ([index, changes, cut]) => {
      const bytes = (messages[index] as Uint8Array).slice(0, cut === null ? undefined : Math.max(8, cut));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      new DataView(bytes.buffer).setUint16(2, bytes.length);
      try {
        decodeMessage(bytes);
      } catch (error) {
        assert.instance(error, OpenFlowError, String(error instanceof Error ? error.stack : error));
      }
    }),
    { numRuns: 20000 },
  );
  assert.ok(Date.now() - from < 60000);
});

test("random bytes are refused with an OpenFlow error and nothing else", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 8, maxLength: 300 }),
      fc.constantFrom(1, 4, 5, 6),
      fc.nat(34),
      (bytes, version, type) => {
        bytes[0] = version;
        bytes[1] = type;
        new DataView(bytes.buffer, bytes.byteOffset).setUint16(2, bytes.length);
        try {
          decodeMessage(bytes);
        } catch (error) {
          assert.instance(error, OpenFlowError, String(error instanceof Error ? error.stack : error));
        }
      },
    ),
    { numRuns: 10000 },
  );
});

test("random text is refused as bad syntax and nothing else", () => {
  const word = fc.constantFrom(
    "tcp",
    "ip",
    "nw_src=",
    "1.2.3.4",
    "/",
    ",",
    "actions=",
    "output:",
    "load:",
    "->",
    "NXM_NX_REG0[",
    "]",
    "(",
    ")",
    "5",
    "resubmit",
    "set_field:",
    "eth_src",
    "0x",
    "controller",
    "clone",
    "=",
    "..",
    "",
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (words) => {
      try {
        parseFlow(words.join(""));
      } catch (error) {
        assert.instance(error, FlowSyntaxError, String(error instanceof Error ? error.stack : error));
      }
    }),
    { numRuns: 5000 },
  );
});

test.run();
