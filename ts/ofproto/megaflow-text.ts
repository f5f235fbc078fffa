import type { Megaflow } from "../datapath/index.js";
import type { FlowWords, PortNames } from "./flow-words.js";

/** Megaflows as the commands and the log print them. */

/** TCP flags as a megaflow's statistics tell them. */
function tcpFlags(flags: number): string {
  const letters = "FSRP.UECN";
  return [...letters].filter((_letter, bit) => ((flags >>> bit) & 1) === 1).join("");
}

/** `ufid:00000000-0000-0000-0000-000000000000`, from the worker that has the megaflow and its number there. */
export function formatUfid(flow: Megaflow): string {
  const hex = flow.id.toString(16).padStart(24, "0");
  const worker = flow.worker.toString(16).padStart(8, "0");
  return `ufid:${worker}-${hex.slice(0, 4)}-${hex.slice(4, 8)}-${hex.slice(8, 12)}-${hex.slice(12)}`;
}

/** `packets:3, bytes:180, used:0.052s, flags:S`. */
export function formatMegaflowStats(flow: Megaflow, now: number): string {
  const used = flow.nPackets === 0n ? "never" : `${(Math.max(0, now - Number(flow.usedMs)) / 1000).toFixed(3)}s`;
  const flags = flow.tcpFlags === 0 ? "" : `, flags:${tcpFlags(flow.tcpFlags)}`;
  return `packets:${flow.nPackets}, bytes:${flow.nBytes}, used:${used}${flags}`;
}

export interface MegaflowStyle {
  readonly now: number;
  readonly names: PortNames | undefined;
  /** Fields that the match leaves open too, and the identity. */
  readonly more: boolean;
  /** dpctl's form rather than dpif's: they differ in what surrounds the flow. */
  readonly dpctl: boolean;
}

/** One line, without its end. */
export function formatMegaflow(flow: Megaflow, words: FlowWords, style: MegaflowStyle): string {
  const id = style.more ? `${formatUfid(flow)}${style.dpctl ? "," : ""} ` : "";
  const layer = style.more && style.dpctl ? ", dp:ovs" : "";
  const match = words.datapathMatch(flow.match, style.names, style.more, flow.key);
  const actions = words.datapathActions(flow.actions, style.names, flow.match);
  return `${id}${match}, ${formatMegaflowStats(flow, style.now)}${layer}, actions:${actions}`;
}
