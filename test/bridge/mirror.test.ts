import { test } from "uvu";
import * as assert from "uvu/assert";
import { wantedMirror } from "../../ts/bridge/mirror.js";
import type { MirrorRow, Uuid } from "../../ts/ovsdb/index.js";

const row = (columns: Partial<MirrorRow>): MirrorRow =>
  ({
    name: "m",
    select_all: false,
    select_src_port: [],
    select_dst_port: [],
    select_vlan: [],
    output_port: undefined,
    output_vlan: undefined,
    snaplen: undefined,
    ...columns,
  }) as MirrorRow;
const bundles: Readonly<Record<string, number>> = { a: 1, b: 2 };
const bundleOf = (port: Uuid): number | undefined => bundles[port];
const a = "a" as Uuid;
const b = "b" as Uuid;
const elsewhere = "c" as Uuid;

test("a mirror selects the bundles of its ports, without those of other bridges", () => {
  const { mirror, warnings } = wantedMirror(
    "br0",
    row({ select_src_port: [a, elsewhere], select_dst_port: [b], select_vlan: [5], output_port: b }),
    bundleOf,
  );
  assert.equal(warnings, []);
  assert.equal(mirror, {
    selectAll: false,
    sources: [1],
    destinations: [2],
    vlans: [5],
    output: { bundle: 2 },
    snaplen: 0,
  });
});

test("a mirror needs an output on its bridge, and a port goes before a VLAN", () => {
  assert.equal(wantedMirror("br0", row({}), bundleOf), {
    mirror: undefined,
    warnings: ["bridge br0: mirror m does not specify output; ignoring"],
  });
  assert.equal(wantedMirror("br0", row({ output_port: elsewhere }), bundleOf), {
    mirror: undefined,
    warnings: ["bridge br0: mirror m outputs to port not on bridge"],
  });
  const both = wantedMirror("br0", row({ output_port: a, output_vlan: 7 }), bundleOf);
  assert.equal(both.mirror?.output, { bundle: 1 });
  assert.is(both.warnings.length, 1);
});

test("a copy of 65535 bytes is a whole packet", () => {
  assert.is(wantedMirror("br0", row({ output_vlan: 7, snaplen: 65535 }), bundleOf).mirror?.snaplen, 0);
  assert.is(wantedMirror("br0", row({ output_vlan: 7, snaplen: 64 }), bundleOf).mirror?.snaplen, 64);
});

test.run();
