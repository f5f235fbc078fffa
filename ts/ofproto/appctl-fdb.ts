import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import {
  bridgeQuerySize,
  command,
  type FdbInfo,
  fdbDelSize,
  fdbSetSize,
  fdbStatsClearSize,
  fdbStatsInfoSize,
  query,
  readFdbInfo,
  readFdbStatsInfo,
  writeBridgeQuery,
  writeFdbDel,
  writeFdbSet,
  writeFdbStatsClear,
} from "../datapath/generated/records.js";
import { CommandBatch } from "./abi-batch.js";
import { findBridge } from "./appctl-datapath.js";
import { dumpBridge } from "./object-dump.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";
import { localPort } from "./port.js";

/** The commands that show and forget learned MAC addresses. */

const replySize = 64 * 1024;

/** Addresses that NORMAL has learned, the longest unused first. */
export function learnedAddresses(ofproto: Ofproto): readonly FdbInfo[] {
  const entries = Array.from(dumpBridge(ofproto, query.fdbDump, replySize), ({ view, at }) => readFdbInfo(view, at));
  return entries.sort((a, b) => Number(b.ageMs - a.ageMs));
}

/** `50:54:00:00:00:01`, as the ABI has it. */
function parseMac(text: string): Uint8Array {
  const digits = /^([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2})$/i;
  const found = digits.exec(text);
  if (found === null) throw new UnixctlError("bad MAC address");
  const mac = new Uint8Array(8);
  found.slice(1).forEach((byte, index) => {
    mac[index] = Number.parseInt(byte, 16);
  });
  return mac;
}

/** What C's atoi() makes of it, as 16 bits. */
function parseVlan(text: string): number {
  return Number(/^\s*[-+]?\d+/.exec(text)?.[0] ?? 0) & 0xffff;
}

/** Sends one command about addresses; returns the datapath's error. */
function send(ofproto: Ofproto, size: number, write: (view: DataView, at: number) => void): number {
  const batch = new CommandBatch(256);
  batch.add(size, write);
  return batch.submit(ofproto.datapath, true).error(0);
}

function portText(number: number): string {
  return number === localPort ? "LOCAL" : String(number);
}

function addStatic(ofproto: Ofproto, portName: string, vlan: number, mac: Uint8Array): string {
  const port = ofproto.ports().find((each) => each.name === portName);
  if (port === undefined) throw new UnixctlError("software error, odp port is present but no ofp port");
  const same = (entry: FdbInfo): boolean => entry.mac.subarray(0, 6).every((byte, index) => byte === mac[index]);
  const known = learnedAddresses(ofproto).find((entry) => entry.vlan === vlan && same(entry));
  const error = send(ofproto, fdbSetSize, (view, at) =>
    writeFdbSet(view, at, {
      type: command.fdbSet,
      flags: 0,
      size: 0,
      bridge: ofproto.bridge,
      ofpPort: port.number,
      mac,
      vlan,
    }),
  );
  if (error !== 0) throw new UnixctlError("could not add static mac entry\n");
  if (known === undefined || (known.isStatic !== 0 && known.ofpPort === port.number)) return "";
  const kind = known.isStatic !== 0 ? "static" : "dynamic";
  return `Overriding already existing ${kind} entry on ${portText(known.ofpPort)}\n`;
}

function deleteStatic(ofproto: Ofproto, vlan: number, mac: Uint8Array): string {
  const { bridge } = ofproto;
  const error = send(ofproto, fdbDelSize, (view, at) =>
    writeFdbDel(view, at, { type: command.fdbDel, flags: 0, size: 0, bridge, vlan, mac }),
  );
  if (error !== 0) throw new UnixctlError("could not find static mac entry\n");
  return "";
}

function showStats(ofproto: Ofproto): string {
  const asked = new Uint8Array(bridgeQuerySize);
  const { bridge } = ofproto;
  const size = bridgeQuerySize;
  writeBridgeQuery(new DataView(asked.buffer), 0, { type: query.fdbStats, flags: 0, size, cursor: 0n, bridge });
  const reply = new Uint8Array(fdbStatsInfoSize);
  if (ofproto.datapath.query(asked, reply) < 0) throw new UnixctlError("no such bridge");
  const stats = readFdbStatsInfo(new DataView(reply.buffer), 0);
  const lines = [
    `Statistics for bridge "${ofproto.name}":`,
    `  Current/maximum MAC entries in the table: ${stats.n}/${stats.sizeMax}`,
    `  Current static MAC entries in the table : ${stats.nStatic}`,
    `  Total number of learned MAC entries     : ${stats.nLearned}`,
    `  Total number of expired MAC entries     : ${stats.nExpired}`,
    `  Total number of evicted MAC entries     : ${stats.nEvicted}`,
    `  Total number of port moved MAC entries  : ${stats.nMoved}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function clearStats(ofproto: Ofproto): void {
  const { bridge } = ofproto;
  send(ofproto, fdbStatsClearSize, (view, at) =>
    writeFdbStatsClear(view, at, { type: command.fdbStatsClear, flags: 0, size: 0, bridge }),
  );
}

function formatEntry(entry: FdbInfo): string {
  const mac = [...entry.mac.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  const age = entry.isStatic !== 0 ? "static" : String(Math.floor(Number(entry.ageMs) / 1000)).padStart(3);
  return `${portText(entry.ofpPort).padStart(5)}  ${String(entry.vlan).padStart(4)}  ${mac}  ${age}\n`;
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
    {
      name: "fdb/add",
      usage: "bridge port vlan mac",
      minArgs: 4,
      maxArgs: 4,
      handler: ([bridge = "", port = "", vlan = "", mac = ""]) =>
        addStatic(findBridge(all, bridge), port, parseVlan(vlan), parseMac(mac)),
    },
    {
      name: "fdb/del",
      usage: "bridge vlan mac",
      minArgs: 3,
      maxArgs: 3,
      handler: ([bridge = "", vlan = "", mac = ""]) =>
        deleteStatic(findBridge(all, bridge), parseVlan(vlan), parseMac(mac)),
    },
    {
      name: "fdb/stats-show",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      handler: ([name = ""]) => showStats(findBridge(all, name)),
    },
    {
      name: "fdb/stats-clear",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        for (const ofproto of name === undefined ? all.all() : [findBridge(all, name)]) clearStats(ofproto);
        return "statistics successfully cleared\n";
      },
    },
  ];
}
