import { packetTypeMode, type Tunnel, tunnelFlag } from "../datapath/generated/records.js";
import { formatIpv6 } from "../openflow/index.js";
import type { PortSpec } from "./port.js";

/** Which packets a tunnel port receives, and how that reads. */

const modeNames = new Map<number, string>([
  [packetTypeMode.legacyL2, "legacy_l2"],
  [packetTypeMode.legacyL3, "legacy_l3"],
  [packetTypeMode.ptap, "ptap"],
]);

const has = (tunnel: Tunnel, flag: number): boolean => (tunnel.tunnelFlags & flag) !== 0;

/** Two tunnels of the same key would receive the same packets. */
export function tunnelKey(spec: PortSpec): string {
  const { tunnel } = spec;
  if (tunnel === undefined) return "";
  const flags = tunnel.tunnelFlags & (tunnelFlag.inKeyFlow | tunnelFlag.localFlow | tunnelFlag.remoteFlow);
  return [spec.dpPort, tunnel.inKey, tunnel.local.join(), tunnel.remote.join(), flags, tunnel.packetTypeMode].join(" ");
}

export function tunnelAddress(bytes: Uint8Array): string {
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return isMapped ? bytes.subarray(12).join(".") : formatIpv6(bytes);
}

/** `1.1.1.1->2.2.2.2, key=0x5, legacy_l2, dp port=4789`. */
export function tunnelMatchText(spec: PortSpec): string {
  const { tunnel } = spec;
  if (tunnel === undefined) return "";
  const ends = !has(tunnel, tunnelFlag.remoteFlow)
    ? `${tunnelAddress(tunnel.local)}->${tunnelAddress(tunnel.remote)}`
    : has(tunnel, tunnelFlag.localFlow)
      ? "flow->flow"
      : `${tunnelAddress(tunnel.local)}->flow`;
  const key = has(tunnel, tunnelFlag.inKeyFlow) ? "flow" : hex(tunnel.inKey);
  return `${ends}, key=${key}, ${modeNames.get(tunnel.packetTypeMode) ?? "?"}, dp port=${spec.dpPort}`;
}

/** As C prints %#x. */
const hex = (value: bigint | number): string => (BigInt(value) === 0n ? "0" : `0x${value.toString(16)}`);

function outKeyText(tunnel: Tunnel, inKeyPresent: boolean): string {
  const flow = has(tunnel, tunnelFlag.outKeyFlow);
  const present = has(tunnel, tunnelFlag.outKey);
  if (tunnel.outKey === tunnel.inKey && present === inKeyPresent && flow === has(tunnel, tunnelFlag.inKeyFlow))
    return "";
  return `, out_key=${present ? (flow ? "flow" : hex(tunnel.outKey)) : "none"}`;
}

/** A port's line of ofproto/list-tunnels. */
export function tunnelLine(name: string, spec: PortSpec): string {
  const { tunnel } = spec;
  if (tunnel === undefined) return "";
  const inKeyPresent = has(tunnel, tunnelFlag.inKey);
  const ttl = has(tunnel, tunnelFlag.ttlInherit) ? "inherit" : String(tunnel.ttl);
  const tos = has(tunnel, tunnelFlag.tosInherit) ? ", tos=inherit" : tunnel.tos === 0 ? "" : `, tos=${hex(tunnel.tos)}`;
  const df = has(tunnel, tunnelFlag.dontFragment) ? "" : ", df=false";
  const csum = has(tunnel, tunnelFlag.csum) ? ", csum=true" : "";
  const out = outKeyText(tunnel, inKeyPresent);
  return `port ${spec.dpPort}: ${name} (${spec.shownAs}: ${tunnelMatchText(spec)}${out}, ttl=${ttl}${tos}${df}${csum})\n`;
}
