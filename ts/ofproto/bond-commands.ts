import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { datapathViews } from "./appctl-datapath.js";
import { bondCounts } from "./bond-counts.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";

/** What of bonds people see of the datapath. */

const rulePriority = 20;
const lastBucket = 0xff;

/** The rules, as `bridge/dump-flows` shows them, by which packets leave that came back to a bond with their hash. */
export function bondRules(ofproto: Ofproto): readonly string[] {
  const now = ofproto.clock.monotonic();
  return ofproto.hashingBonds().flatMap(({ id, bond, sinceMs }) => {
    const counts = bond.lbOutput ? undefined : bondCounts(ofproto.datapath, ofproto.bridge, id);
    if (counts === undefined) return [];
    const seconds = Math.floor((now - sinceMs) / 1000);
    return bond.buckets.map(
      (port, bucket) =>
        `table_id=254, duration=${seconds}s, n_packets=${counts.packets[bucket]}, n_bytes=${counts.bytes[bucket]}, ` +
        `priority=${rulePriority},recirc_id=0x${counts.id.toString(16)},dp_hash=0x${bucket.toString(16)}/0x${lastBucket.toString(16)},actions=output:${port}\n`,
    );
  });
}

function showBonds(ofprotos: readonly Ofproto[]): string {
  const bonds = ofprotos.flatMap((ofproto) =>
    ofproto.hashingBonds().flatMap(({ id, bond }) => {
      const counts = bond.lbOutput ? bondCounts(ofproto.datapath, ofproto.bridge, id) : undefined;
      if (counts === undefined) return [];
      const members = bond.buckets.map(
        (port, bucket) => `    bucket ${bucket} - member ${ofproto.port(port)?.spec.dpPort ?? 0}\n`,
      );
      return [`  bond-id ${counts.id}:\n${members.join("")}`];
    }),
  );
  return bonds.length === 0 ? "" : `Bonds:\n${bonds.join("")}`;
}

export function bondCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    {
      name: "dpif-netdev/bond-show",
      usage: "[dp]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        const views = datapathViews(all);
        const only = views.length === 1 ? views[0] : undefined;
        const view = name === undefined ? only : views.find(({ type }) => `ovs-${type}` === name);
        if (view === undefined) throw new UnixctlError("please specify an existing datapath");
        return showBonds(view.ofprotos);
      },
    },
  ];
}
