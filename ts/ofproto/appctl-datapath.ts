import { type CommandReply, type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import type { PortInfo } from "../datapath/generated/records.js";
import { BatchBuilder, datapathStats } from "../datapath/index.js";
import type { FlowDatapath } from "./abi-batch.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";
import { localPort, localPort10, type OfPort } from "./port.js";
import { portInfo } from "./port-counters.js";
import { tunnelLine } from "./tunnel-match.js";

/** The commands of `ovs-appctl` that show the datapath: dpif/show, dpctl/show, upcall/show, revalidator/... */

/** The bridges of one datapath type share what OVS calls a datapath. */
export interface DatapathView {
  /** `system`, `netdev` or `dummy`. */
  readonly type: string;
  /** `dummy@ovs-dummy`. */
  readonly name: string;
  readonly ofprotos: readonly Ofproto[];
  readonly datapath: FlowDatapath;
}

export function datapathViews(all: Ofprotos): readonly DatapathView[] {
  const byType = new Map<string, Ofproto[]>();
  for (const ofproto of all.all()) {
    const list = byType.get(ofproto.datapathType);
    if (list === undefined) byType.set(ofproto.datapathType, [ofproto]);
    else list.push(ofproto);
  }
  return [...byType]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, ofprotos]) => ({ type, name: `${type}@ovs-${type}`, ofprotos, datapath: all.datapath }));
}

/** The datapath that `name` names (`type@name` or the name alone), or the only one there is. */
export function findDatapath(all: Ofprotos, name: string | undefined): DatapathView {
  const views = datapathViews(all);
  if (name === undefined) {
    const only = views[0];
    if (only === undefined) throw new UnixctlError("ovs-vswitchd: no datapaths exist");
    if (views.length > 1) throw new UnixctlError("ovs-vswitchd: multiple datapaths, specify one");
    return only;
  }
  const found = views.find((view) => view.name === name || view.name.endsWith(`@${name}`));
  if (found === undefined) throw new UnixctlError("ovs-vswitchd: datapath not found (Invalid argument)");
  return found;
}

export function findBridge(all: Ofprotos, name: string, message = "no such bridge"): Ofproto {
  const ofproto = all.find(name);
  if (ofproto === undefined) throw new UnixctlError(message);
  return ofproto;
}

function describeDevice(port: OfPort): string {
  const { shownAs, shownConfig } = port.spec;
  const config = typeof shownConfig === "function" ? shownConfig() : shownConfig;
  return `(${shownAs}${config === undefined ? "" : `: ${config}`})`;
}

function showInterfaces(all: Ofprotos): string {
  const lines: string[] = [];
  const stats = datapathStats(all.datapath);
  for (const view of datapathViews(all)) {
    lines.push(`${view.name}: hit:${stats.nHit} missed:${stats.nMissed}`);
    for (const ofproto of view.ofprotos) {
      lines.push(`  ${ofproto.name}:`);
      const ports = [...ofproto.ports()].sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const port of ports) {
        const number = port.number === localPort ? localPort10 : port.number;
        const dpPort = port.spec.dpPort === 0 ? "none" : String(port.spec.dpPort);
        lines.push(`    ${port.name} ${number}/${dpPort}: ${describeDevice(port)}`);
      }
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** The port of the datapath: of a tunnel's, only what its tunnels share. */
function describePort(port: OfPort): string {
  return port.spec.tunnel === undefined ? describeDevice(port) : `(${port.spec.shownAs}: packet_type=ptap)`;
}

/** Type of the port that stands for the datapath itself. */
const ownPortType: Readonly<Record<string, string>> = { dummy: "dummy-internal", netdev: "tap", system: "internal" };

function showDatapaths(all: Ofprotos, args: readonly string[]): string {
  const withStats = args.includes("-s");
  const names = args.filter((arg) => !arg.startsWith("-"));
  const views = names.length === 0 ? datapathViews(all) : names.map((name) => findDatapath(all, name));
  return views.map((view) => showDatapath(all, view, withStats)).join("");
}

function showDatapath(all: Ofprotos, view: DatapathView, withStats: boolean): string {
  const stats = datapathStats(all.datapath);
  const lines = [
    `${view.name}:`,
    `  lookups: hit:${stats.nHit} missed:${stats.nMissed} lost:${stats.nLost}`,
    `  flows: ${stats.nFlows}`,
    `  port 0: ovs-${view.type} (${ownPortType[view.type] ?? "internal"})`,
  ];
  if (withStats) lines.push(...statsLines(undefined));
  const ports = view.ofprotos.flatMap((ofproto) => ofproto.ports()).filter((port) => port.spec.dpPort !== 0);
  const told = new Set<number>();
  for (const port of ports.sort((a, b) => a.spec.dpPort - b.spec.dpPort)) {
    // Tunnels share a port of the datapath, which has a name of its own.
    if (told.has(port.spec.dpPort)) continue;
    told.add(port.spec.dpPort);
    const device = port.spec.shownAs === "system" ? "" : ` ${describePort(port)}`;
    lines.push(`  port ${port.spec.dpPort}: ${port.spec.dpName ?? port.name}${device}`);
    if (withStats) lines.push(...statsLines(portInfo(all.datapath, port.spec.dpPort)));
  }
  return lines.map((line) => `${line}\n`).join("");
}

function statsLines(info: PortInfo | undefined): string[] {
  const number = (value: bigint | undefined): string => (value === undefined ? "?" : String(value));
  const count = (value: bigint | undefined): string => (info === undefined ? "0" : number(value));
  return [
    `    RX packets:${count(info?.rxPackets)} errors:${number(info?.rxErrors)} dropped:${number(info?.rxDropped)} ` +
      `overruns:${number(info?.rxOverErrors)} frame:${number(info?.rxFrameErrors)}`,
    `    TX packets:${count(info?.txPackets)} errors:${number(info?.txErrors)} dropped:${number(info?.txDropped)} ` +
      "aborted:? carrier:?",
    `    collisions:${number(info?.collisions)}`,
    `    RX bytes:${humanBytes(info?.rxBytes ?? 0n)}  TX bytes:${humanBytes(info?.txBytes ?? 0n)}`,
  ];
}

/** `1536 (1.5 KiB)`. */
function humanBytes(value: bigint): string {
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let scaled = Number(value) / 1024;
  if (scaled < 1) return String(value);
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${value} (${scaled.toFixed(1)} ${units[unit]})`;
}

export const none = (name: string, usage: string, run: () => CommandReply): UnixctlCommand => ({
  name,
  usage,
  minArgs: 0,
  maxArgs: 0,
  handler: run,
});

export function datapathCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    none("dpif/show", "", () => showInterfaces(all)),
    none("dpif/dump-dps", "", () =>
      all
        .all()
        .map((ofproto) => `${ofproto.datapathType}@${ofproto.name}\n`)
        .join(""),
    ),
    none("dpctl/dump-dps", "", () =>
      datapathViews(all)
        .map((view) => `${view.name}\n`)
        .join(""),
    ),
    {
      name: "dpctl/show",
      usage: "[-s] [dp...]",
      minArgs: 0,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => showDatapaths(all, args),
    },
    {
      name: "dpctl/del-flows",
      usage: "[dp] [file]",
      minArgs: 0,
      maxArgs: 2,
      handler: ([name]) => {
        findDatapath(all, name);
        new BatchBuilder().megaflowFlush().commit(all.datapath);
        return "";
      },
    },
    none("ofproto/list-tunnels", "", () =>
      all
        .all()
        .flatMap((ofproto) => ofproto.ports())
        .filter((port) => port.spec.tunnel !== undefined)
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map((port) => tunnelLine(port.name, port.spec))
        .join(""),
    ),
    none("ofproto/list", "", () =>
      all
        .all()
        .map((ofproto) => `${ofproto.name}\n`)
        .join(""),
    ),
  ];
}
