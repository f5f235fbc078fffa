import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  actionsFromObjects,
  actionsToObjects,
  decodeMessage,
  encodeMessage,
  FlowSyntaxError,
  formatActions,
  formatMatch,
  matchFromObject,
  matchToObject,
  OpenFlowError,
  parseActions,
  parseDatapathMatch,
  parseFlow,
  parseMatch,
} from "../../ts/openflow/index.js";
import { changes, damagedText, fuzz } from "../fuzz.js";
import { readCorpus } from "./flow-corpus.js";
import { versions } from "./message-samples.js";
import { randomActions, randomMatch } from "./random-flow.js";

const flows = readCorpus().map(({ input }) => input);
/** What the grammar is made of. */
const words = [
  ...new Set(flows.flatMap((text) => text.split(/(?<=[,=:()[\]/>]|->)|(?=[,=:()[\]/>]|->)/))),
  ...["..", "->", "{", "}", "0x", "-1", "4294967296", "1e9", " ", "\t", "255.255.255.255", "::", "not_later", "ANY"],
];

const isOurs = (error: unknown): boolean => error instanceof FlowSyntaxError;
const isTheirs = (error: unknown): boolean => error instanceof OpenFlowError;

/** What the function returns, or undefined when the text is refused as what it is. */
function tried<Value>(text: string, run: () => Value, isExpected: (error: unknown) => boolean): Value | undefined {
  try {
    return run();
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw new Error(`${JSON.stringify(text)}: ${error instanceof Error ? error.stack : error}`);
  }
}

const damagedFlow = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(...flows),
      fc.tuple(randomMatch, randomActions).map(([match, actions]) => `${match},actions=${actions}`),
    ),
    fc.option(changes),
  )
  .map(([text, how]) => (how === null ? text : damagedText(text, how, words)));

test("a flow as text is read or refused as bad syntax; what is read is the same after any trip", () => {
  fuzz("flows", damagedFlow, (text) => {
    const flow = tried(text, () => parseFlow(text), isOurs);
    if (flow === undefined) return;
    const match = formatMatch(flow.match);
    const actions = formatActions(flow.actions);
    const again = tried(
      `${match} actions=${actions}`,
      () => parseFlow(`${match} actions=${actions}`),
      () => false,
    );
    assert.is(formatMatch(again?.match ?? flow.match), match, text);
    assert.is(formatActions(again?.actions ?? flow.actions), actions, text);
    const objects = { match: matchToObject(flow.match), actions: actionsToObjects(flow.actions) };
    assert.is(formatMatch(matchFromObject(objects.match)), match, text);
    assert.equal(actionsToObjects(actionsFromObjects(objects.actions)), objects.actions, text);
  });
});

test("bytes of a flow become text, and the text bytes that say the same", () => {
  fuzz("flows over the wire", damagedFlow, (text) => {
    const flow = tried(text, () => parseFlow(text), isOurs);
    if (flow === undefined) return;
    for (const version of versions) {
      const trip = (match: Uint8Array, actions: Uint8Array): { bytes: Uint8Array; printed: string } | undefined => {
        const body = { ...flow, match, actions, standard: version !== 1, tableId: 0 };
        const bytes = tried(text, () => encodeMessage(version, 1, body), isTheirs);
        const message = bytes && tried(text, () => decodeMessage(bytes), isTheirs);
        if (bytes === undefined || message?.type !== "flow_mod") return undefined;
        return { bytes, printed: `${formatMatch(message.match)} actions=${formatActions(message.actions)}` };
      };
      const first = trip(flow.match, flow.actions);
      if (first === undefined) continue;
      const parsed = (printed: string) =>
        tried(
          printed,
          () => parseFlow(printed),
          () => false,
        ) ?? flow;
      // Some actions have several forms that print alike; their text has one.
      const read = parsed(first.printed);
      const second = trip(read.match, read.actions);
      assert.is(second?.printed, first.printed, `${text} in version ${version}`);
      const readAgain = parsed(second?.printed ?? "");
      assert.equal(trip(readAgain.match, readAgain.actions)?.bytes, second?.bytes, `${text} in version ${version}`);
    }
  });
});

test("matches and actions as text are read or refused as bad syntax", () => {
  fuzz("matches and actions", damagedFlow, (text) => {
    const [match = "", actions = ""] = text.split("actions=");
    tried(match, () => parseMatch(match), isOurs);
    tried(actions, () => parseActions(actions), isOurs);
  });
});

const datapathFlows = [
  "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0x20,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(syn))",
  "recirc_id(0),in_port(1),eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=58,tclass=0,hlimit=64,frag=no),icmpv6(type=135,code=0),nd(target=fe80::3,sll=00:00:00:00:00:05)",
  "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(-df+csum+key)),skb_mark(0x5/0xff),in_port(1),eth_type(0x8847),mpls(label=5,tc=3,ttl=64,bos=1)",
  "in_port(1),eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1,sha=00:00:00:00:00:01,tha=00:00:00:00:00:00)",
];
const datapathWords = [...new Set(datapathFlows.flatMap((text) => text.split(/(?<=[,=()/])|(?=[,=()/])/)))];

test("a datapath flow as text is read or refused as bad syntax", () => {
  const input = fc
    .tuple(fc.constantFrom(...datapathFlows), changes)
    .map(([text, how]) => damagedText(text, how, datapathWords));
  fuzz("datapath flows", input, (text) => {
    tried(text, () => parseDatapathMatch(text), isOurs);
  });
});

test.run();
