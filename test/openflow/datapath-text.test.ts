import { test } from "uvu";
import * as assert from "uvu/assert";
import { datapathLayouts } from "../../ts/openflow/abi.js";
import {
  formatDatapathActions,
  formatDatapathMatch,
  formatMatch,
  parseDatapathMatch,
} from "../../ts/openflow/index.js";

const flows = [
  "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0x20,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(syn))",
  "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=58,tclass=0,hlimit=64,frag=no),icmpv6(type=135,code=0),nd(target=fe80::3,sll=00:00:00:00:00:05)",
  "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=00:00:00:00:00:01),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.255.0,proto=1,ttl=64,frag=no)",
  "recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth_type(0x0806)",
  "skb_mark(0),recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(dst=10.0.0.2,proto=6,tos=0x20/0xfc,frag=no),tcp(dst=2),tcp_flags(+syn)",
  "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1,sha=00:00:00:00:00:01,tha=00:00:00:00:00:00)",
];

test("a datapath flow read and printed is the same text", () => {
  for (const flow of flows) assert.is(formatDatapathMatch(parseDatapathMatch(flow), undefined, false), flow);
});

test("a datapath flow prints as the OpenFlow flow that it is", () => {
  assert.is(
    formatMatch(parseDatapathMatch(flows[0] ?? "")),
    "recirc_id=0,eth,tcp,in_port=1,dl_vlan=5,dl_vlan_pcp=3,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=32,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=1,tp_dst=2,tcp_flags=syn",
  );
});

test("ports go by name where names are given", () => {
  const names = {
    numberOf: (name: string) => (name === "p1" ? 7 : undefined),
    nameOf: (port: number) => (port === 7 ? "p1" : undefined),
  };
  const match = parseDatapathMatch("in_port(p1),eth_type(0x1234)", names);
  assert.is(
    formatDatapathMatch(match, names, false),
    "recirc_id(0),in_port(p1),packet_type(ns=0,id=0),eth_type(0x1234)",
  );
});

test("a tunnel whose key is told has one, whatever its flags say", () => {
  const flow = (flags: string): string =>
    `tunnel(tun_id=0x0,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(${flags})),in_port(1),eth_type(0x0800),ipv4(frag=no)`;
  const [key, none] = ["key", ""].map((flags) => formatMatch(parseDatapathMatch(flow(flags))));
  assert.is(none, key);
});

test("datapath actions print in the datapath's words", () => {
  const record = (opcode: number, fill: (view: DataView) => void): Uint8Array => {
    const size = datapathLayouts.get(opcode)?.size ?? 8;
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, opcode, true);
    view.setUint16(2, size, true);
    fill(view);
    return bytes;
  };
  const push = record(4, (view) => {
    view.setUint16(4, 0x8100, true);
    view.setUint16(6, 0x7005, true);
  });
  const output = record(1, (view) => view.setUint32(4, 2, true));
  assert.is(formatDatapathActions(Uint8Array.from([...push, ...output])), "push_vlan(vid=5,pcp=3),2");
  assert.is(formatDatapathActions(new Uint8Array(0)), "drop");
});

test.run();
