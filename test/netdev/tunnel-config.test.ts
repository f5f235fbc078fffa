import { test } from "uvu";
import * as assert from "uvu/assert";
import { tunnelFlag } from "../../ts/datapath/generated/records.js";
import { formatTunnel, parseTunnel } from "../../ts/netdev/tunnel-config.js";
import { tunnelRecord } from "../../ts/netdev/tunnel-record.js";
import { dpPortName, type TunnelType, tunnelTypes } from "../../ts/netdev/tunnel-types.js";

const typeOf = (name: string): TunnelType => {
  const found = tunnelTypes.find((type) => type.name === name);
  if (found === undefined) throw new Error(`no tunnel type ${name}`);
  return found;
};
const parse = (type: string, options: Readonly<Record<string, string>>) =>
  parseTunnel("t", typeOf(type), new Map(Object.entries(options)));
const shown = (type: string, options: Readonly<Record<string, string>>): string => {
  const { config } = parse(type, options);
  return config === undefined ? "refused" : formatTunnel(config);
};
const remote = { remote_ip: "1.1.1.1" };

test("options print sorted, without what is as usual", () => {
  assert.is(shown("vxlan", { ...remote, dst_port: "4789", ttl: "64", csum: "false", tos: "0" }), "remote_ip=1.1.1.1");
  assert.is(
    shown("gre", { ...remote, local_ip: "2.2.2.3", df_default: "false", ttl: "1", csum: "true" }),
    "csum=true, df_default=false, local_ip=2.2.2.3, remote_ip=1.1.1.1, ttl=1",
  );
  assert.is(shown("geneve", { remote_ip: "2001:db8::1", dst_port: "5000" }), "dst_port=5000, remote_ip=2001:db8::1");
  assert.is(shown("gre", { ...remote, tos: "0x10", seq: "true" }), "remote_ip=1.1.1.1, seq=true, tos=0x10");
  assert.is(shown("gre", { ...remote, packet_type: "legacy_l3" }), "packet_type=legacy_l3, remote_ip=1.1.1.1");
  assert.is(shown("gtpu", { ...remote, packet_type: "legacy_l3" }), "remote_ip=1.1.1.1");
});

test("keys: one for both ways, or one each; a number in any base, or the flow's", () => {
  assert.is(shown("gre", { ...remote, key: "0x10" }), "key=16, remote_ip=1.1.1.1");
  assert.is(shown("gre", { ...remote, key: "flow" }), "key=flow, remote_ip=1.1.1.1");
  assert.is(shown("gre", { ...remote, in_key: "2", out_key: "3" }), "in_key=2, out_key=3, remote_ip=1.1.1.1");
  assert.is(shown("gre", { ...remote, in_key: "flow" }), "in_key=flow, remote_ip=1.1.1.1");
  assert.is(shown("gre", { ...remote, key: "5", out_key: "flow" }), "in_key=5, out_key=flow, remote_ip=1.1.1.1");
});

test("a version of ERSPAN that the flow decides leaves everything to the flow", () => {
  assert.is(
    shown("erspan", { ...remote, erspan_ver: "flow" }),
    "erspan_dir=flow, erspan_hwid=flow, erspan_idx=flow, erspan_ver=flow, remote_ip=1.1.1.1",
  );
  assert.is(
    shown("erspan", { ...remote, erspan_ver: "2", erspan_dir: "1", erspan_hwid: "0x7" }),
    "erspan_dir=1, erspan_hwid=0x7, erspan_ver=2, remote_ip=1.1.1.1",
  );
});

test("what cannot be is refused with the sentence for Interface.error", () => {
  const rows: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ["gre", {}, "t: gre type requires valid 'remote_ip' argument"],
    ["gre", { remote_ip: "x" }, "t: bad gre 'remote_ip'\nt: gre type requires valid 'remote_ip' argument"],
    ["vxlan", { remote_ip: "224.0.0.1" }, "t: multicast remote_ip=224.0.0.1 not allowed"],
    ["vxlan", { ...remote, local_ip: "flow" }, "t: vxlan type requires 'remote_ip=flow' with 'local_ip=flow'"],
    ["vxlan", { ...remote, local_ip: "::1" }, "t: 'remote_ip' and 'local_ip' has to be of the same address family"],
    ["erspan", { ...remote, erspan_ver: "3" }, "t: invalid erspan version: 3"],
    ["erspan", { ...remote, erspan_dir: "2" }, "t: invalid erspan direction: 2"],
    ["erspan", { ...remote, erspan_idx: "100000" }, "t: invalid erspan index: 100000"],
    ["erspan", { ...remote, erspan_hwid: "40" }, "t: invalid erspan hardware ID: 40"],
    ["gre", { ...remote, packet_type: "x" }, "t: unknown packet_type 'x'"],
    [
      "vxlan",
      { ...remote, packet_type: "legacy_l3" },
      "t: legacy_l3 configured on VXLAN (without GPE) tunnel that cannot carry L3 traffic",
    ],
    [
      "gtpu",
      { ...remote, packet_type: "legacy_l2" },
      "t: legacy_l2 configured on gtpu tunnel that cannot carry L2 traffic",
    ],
  ];
  for (const [type, options, sentence] of rows) {
    const { config, complaints, error } = parse(type, options);
    assert.is(config, undefined, sentence);
    assert.is(complaints.join("\n"), sentence);
    assert.is(error, 22);
  }
});

test("what is only odd is complained about and the tunnel made", () => {
  const rows: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ["gre", { ...remote, what: "1" }, "t: unknown gre argument 'what'"],
    ["gre", { ...remote, dst_port: "5" }, "t: unknown gre argument 'dst_port'"],
    ["gre", { ...remote, tos: "1" }, "t: invalid TOS 1"],
    ["vxlan", { ...remote, exts: "gbp,x" }, "t: unknown extension 'x'"],
  ];
  for (const [type, options, sentence] of rows) {
    const { config, complaints, error } = parse(type, options);
    assert.ok(config !== undefined, sentence);
    assert.equal(complaints, [sentence]);
    assert.is(error, 0);
  }
});

test("the record for the datapath says which values are the flow's", () => {
  const { config } = parse("gre", {
    remote_ip: "flow",
    local_ip: "flow",
    in_key: "flow",
    out_key: "7",
    ttl: "inherit",
  });
  if (config === undefined) throw new Error("refused");
  const record = tunnelRecord(config);
  const { inKey, inKeyFlow, outKey, remoteFlow, localFlow, ttlInherit, dontFragment } = tunnelFlag;
  assert.is(record.tunnelFlags, inKey | inKeyFlow | outKey | remoteFlow | localFlow | ttlInherit | dontFragment);
  assert.is(record.outKey, 7n);
  assert.is(record.ttl, 64);
});

test("tunnels share a datapath port by type, and by port where there are ports", () => {
  assert.is(dpPortName(typeOf("vxlan"), 4789), "vxlan_sys_4789");
  assert.is(dpPortName(typeOf("geneve"), 5000), "genev_sys_5000");
  assert.is(dpPortName(typeOf("gre"), 0), "gre_sys");
});

test.run();
