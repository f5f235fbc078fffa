import type { UnixctlCommand } from "../appctl/index.js";
import {
  bridgeQueryOffsets,
  bridgeQuerySize,
  dumpReplySize,
  type FdbInfo,
  query,
  readFdbInfo,
  recordOffsets,
  writeBridgeQuery,
} from "../datapath/generated/records.js";
import { findBridge } from "./appctl-datapath.js";
import { dumpReplies } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";
import { localPort } from "./port.js";

/** The commands that show and forget learned MAC addresses. */

const replySize = 64 * 1024;

/** Addresses that NORMAL has learned, the longest unused first. */
export function learnedAddresses(ofproto: Ofproto): readonly FdbInfo[] {
  const asked = new Uint8Array(bridgeQuerySize);
  writeBridgeQuery(new DataView(asked.buffer), 0, {
    type: query.fdbDump,
    flags: 0,
    size: bridgeQuerySize,
    cursor: 0n,
    bridge: ofproto.bridge,
  });
  const entries: FdbInfo[] = [];
  for (const reply of dumpReplies(ofproto.datapath, asked, bridgeQueryOffsets.cursor, replySize)) {
    const view = new DataView(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.length);
    let at = dumpReplySize;
    for (let index = 0; index < reply.count; index++) {
      entries.push(readFdbInfo(view, at));
      at += view.getUint32(at + recordOffsets.size, true);
    }
  }
  return entries.sort((a, b) => Number(b.ageMs - a.ageMs));
}

function formatEntry(entry: FdbInfo): string {
  const port = entry.ofpPort === localPort ? "LOCAL" : String(entry.ofpPort);
  const mac = [...entry.mac.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  const age = entry.isStatic !== 0 ? "static" : String(Math.floor(Number(entry.ageMs) / 1000)).padStart(3);
  return `${port.padStart(5)}  ${String(entry.vlan).padStart(4)}  ${mac}  ${age}\n`;
}

export function fdbCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    {
      name: "fdb/show",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      handler: ([name = ""]) =>
        ` port  VLAN  MAC                Age\n${learnedAddresses(findBridge(all, name)).map(formatEntry).join("")}`,
    },
    {
      name: "fdb/flush",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        for (const ofproto of name === undefined ? all.all() : [findBridge(all, name)]) ofproto.flushFdb();
        return "table successfully flushed\n";
      },
    },
  ];
}
