import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ofctlIsInstalled, withParser } from "./parser.js";

/** Flows of every kind that ovs-ofctl composes so that its own parser gives the flow back. */
const flows = `
udp
udp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,udp_src=53,udp_dst=1053
tcp
tcp,tcp_flags=0x010
tcp,tcp_flags=0x002
tcp,tcp_flags=0x004
tcp,tcp_flags=0x811,nw_src=1.2.3.4,nw_ttl=64
icmp
icmp,icmp_type=8,icmp_code=0
icmp,icmp_type=3
icmp,icmp_type=8,icmp_code=1
sctp,sctp_src=1,sctp_dst=2
sctp6,sctp_src=1
icmp6
icmp6,icmpv6_type=128,icmpv6_code=0
icmp6,icmpv6_type=129
icmp6,icmpv6_type=128,icmpv6_code=1
icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=fe80::1,nd_sll=02:00:00:00:00:01,nd_options_type=1
icmp6,icmpv6_type=136,icmpv6_code=0,nd_target=fe80::1,nd_tll=02:00:00:00:00:01,nd_options_type=2,nd_reserved=5
icmp6,icmpv6_type=135,icmpv6_code=0,nd_reserved=7
arp
arp,arp_op=1,arp_spa=1.2.3.4
arp,arp_op=2,arp_tpa=1.2.3.4,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02
rarp,arp_op=1,arp_spa=1.2.3.4
dl_type=0x1234
dl_type=0x05ff
udp,dl_vlan=5,dl_vlan_pcp=3
dl_type=0x1234,dl_vlan=5
ip,nw_proto=2
ip,nw_proto=50
ip,nw_tos=184,nw_ecn=1,nw_ttl=7
ip,nw_proto=58
ipv6,nw_proto=1
ipv6,nw_proto=2
ipv6
udp,nw_frag=first
udp,nw_frag=later
icmp,icmp_type=8,nw_frag=first
mpls,mpls_label=5,mpls_bos=1
mpls,mpls_label=5,mpls_bos=0
mplsm,mpls_label=5,mpls_bos=1,mpls_ttl=9,dl_vlan=3
udp6,ipv6_label=0x12345,nw_tos=184,nw_ttl=3,ipv6_src=fe80::1,ipv6_dst=fe80::2
tcp6,tcp_src=9`;

/** The bytes in ovs-ofctl's hexadecimal dump. */
function dumpedBytes(text: string): Uint8Array {
  const lines = text.split("\n").filter((line) => /^[0-9a-f]{8} /.test(line));
  const digits = lines.map((line) => line.slice(8).replace(/[^0-9a-f]/g, ""));
  return new Uint8Array(Buffer.from(digits.join(""), "hex"));
}

test("packets are composed byte for byte as ovs-ofctl compose-packet does", () => {
  if (!ofctlIsInstalled()) return;
  const all = flows
    .trim()
    .split("\n")
    .map((flow) => {
      const result = spawnSync("ovs-ofctl", ["compose-packet", flow], { encoding: "utf8" });
      assert.not.match(result.stderr, /differ|ovs-ofctl:/, flow);
      return { flow, bytes: dumpedBytes(result.stdout) };
    });
  withParser((parser) => {
    const ours = parser.recompose(all.map(({ bytes }) => bytes));
    for (const [index, { flow, bytes }] of all.entries()) {
      assert.is(ours[index], Buffer.from(bytes).toString("hex"), flow);
    }
  });
});

test.run();
