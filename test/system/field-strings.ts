/** Flows that name every match field: alone, masked, without what it needs, and as what actions write and read. */
import {
  type FieldFormat,
  type FieldPrereq,
  type FieldRow,
  fields,
  headerName,
} from "../../ts/openflow/tables/fields.js";

/** What a match must say before a field of each kind may be in it. */
const needs: Readonly<Record<FieldPrereq, string>> = {
  none: "",
  ethernet: "",
  arp: "arp",
  vlan_vid: "vlan_tci=0x1000/0x1000",
  ipv4: "ip",
  ipv6: "ipv6",
  ip: "ip",
  mpls: "mpls",
  tcp: "tcp",
  udp: "udp",
  sctp: "sctp",
  icmpv4: "icmp",
  icmpv6: "icmp6",
  nd: "icmp6,icmp_type=135,icmp_code=0",
  nd_solicit: "icmp6,icmp_type=135,icmp_code=0",
  nd_advert: "icmp6,icmp_type=136,icmp_code=0",
  nsh: "dl_type=0x894f,nsh_mdtype=1",
  ct: "ct_state=+trk,ip",
};

/** A value and a mask of each format. */
const values: Readonly<Record<FieldFormat, readonly [value: string, mask: string]>> = {
  dec: ["1", "1/1"],
  hex: ["0x1", "0x1/0x1"],
  eth: ["00:11:22:33:44:55", "00:11:22:00:00:00/ff:ff:ff:00:00:00"],
  ipv4: ["10.1.2.3", "10.1.0.0/255.255.0.0"],
  ipv6: ["2001:db8::1", "2001:db8::/32"],
  ofp_port: ["2", "2/3"],
  "ofp_port_1.0": ["2", "2/3"],
  frag: ["first", "1/1"],
  tcp_flags: ["syn|ack", "+syn-ack"],
  tun_flags: ["+oam", "-oam"],
  ct_state: ["+trk+est", "+trk-est"],
  packet_type: ["(1,0x800)", "(1,0x800)/0xffff"],
  bytes: ["0x1", "0x1/0x1"],
};

const special: Readonly<Record<string, readonly [value: string, mask: string]>> = {
  eth_type: ["0x1234", "0x1234/0xffff"],
  vlan_vid: ["0x1005", "0x1001/0x1fff"],
  vlan_tci: ["0x3005", "0x1001/0x1001"],
  nw_tos: ["0x20", "0x20/0xfc"],
  recirc_id: ["0", "0/1"],
};

const fieldValues = (row: FieldRow): readonly [string, string] => special[row.name] ?? values[row.format];
const join = (...words: string[]): string => words.filter((word) => word !== "").join(",");

/** The fields that stand for many alike are named once or twice. */
const isExample = (row: FieldRow): boolean =>
  !/^(tun_metadata|reg|xreg|xxreg)\d+$/.test(row.name) ||
  /^(reg[07]|reg15|xreg[17]|xxreg[03]|tun_metadata0)$/.test(row.name);

const examples = fields.filter(isExample);

/** A match for each field: exact, masked, by its other name, and without what it needs. */
export const fieldMatches: readonly string[] = examples.flatMap((row) => {
  const [value, masked] = fieldValues(row);
  const before = needs[row.prereq];
  return [
    join(before, `${row.name}=${value}`),
    join(before, `${row.name}=${masked}`),
    ...(row.alias === undefined ? [] : [join(before, `${row.alias}=${value}`)]),
    ...(before === "" ? [] : [`${row.name}=${value}`]),
  ];
});

/** Actions that write and read each field, with the match that it needs and with none. */
export const fieldActions: readonly string[] = examples.flatMap((row) => {
  const [value, masked] = fieldValues(row);
  const before = needs[row.prereq];
  const header = row.oxm[0] === undefined ? row.name : headerName(row, row.oxm[0]);
  const bits = Math.min(row.bits, 16);
  const flow = (actions: string, match = before): string => join(match, `actions=${actions}`);
  return [
    flow(`set_field:${value}->${row.name}`),
    flow(`set_field:${masked}->${row.name}`),
    flow(`load:1->${header}[]`),
    flow(`move:${header}[0..${bits - 1}]->NXM_NX_REG1[0..${bits - 1}]`),
    flow(`move:NXM_NX_REG1[0..${bits - 1}]->${header}[0..${bits - 1}]`),
    ...(before === "" ? [] : [flow(`set_field:${value}->${row.name}`, "")]),
  ];
});
