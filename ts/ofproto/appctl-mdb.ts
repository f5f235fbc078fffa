import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { type MdbInfo, query, readMdbInfo } from "../datapath/generated/records.js";
import { formatIpv4, formatIpv6 } from "../openflow/index.js";
import { findBridge } from "./appctl-datapath.js";
import { dumpBridge } from "./object-dump.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";
import { localPort } from "./port.js";

/** The commands that show and forget multicast groups that were snooped. */

const replySize = 64 * 1024;

/** Groups in the order of their last reports, then routers. */
export function multicastGroups(ofproto: Ofproto): readonly MdbInfo[] {
  return Array.from(dumpBridge(ofproto, query.mdbDump, replySize), ({ view, at }) => readMdbInfo(view, at));
}

function groupText(group: Uint8Array): string {
  const mapped = group.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
  return mapped ? formatIpv4(group, 12) : formatIpv6(group);
}

function formatEntry(entry: MdbInfo): string {
  const port = (entry.ofpPort === localPort ? "LOCAL" : String(entry.ofpPort)).padStart(5);
  const place = `${port}  ${String(entry.vlan).padStart(4)}`;
  const age = String(entry.ageS).padStart(3);
  if (entry.isRouter !== 0) return `${place}  querier             ${age}\n`;
  return `${place}  ${groupText(entry.group)}         ${age}\n`;
}

function snooping(all: Ofprotos, name: string): Ofproto {
  const ofproto = findBridge(all, name);
  if (!ofproto.snoops) throw new UnixctlError("multicast snooping is disabled");
  return ofproto;
}

export function mdbCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    {
      name: "mdb/show",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      handler: ([name = ""]) =>
        ` port  VLAN  GROUP                Age\n${multicastGroups(snooping(all, name)).map(formatEntry).join("")}`,
    },
    {
      name: "mdb/flush",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        for (const ofproto of name === undefined ? all.all() : [snooping(all, name)]) ofproto.flushMdb();
        return "table successfully flushed\n";
      },
    },
  ];
}
