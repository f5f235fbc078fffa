/** What the database wants of BFD and CFM on an interface.  Pure. */
import { monitorFlag } from "../datapath/generated/records.js";
import type { PortMonitor } from "../ofproto/index.js";
import type { InterfaceRow } from "../ovsdb/index.js";
import type { BfdSettings, CfmSettings } from "../protocols/index.js";
import { macBytes, parseMac } from "./bridge-address.js";
import { integer, truth } from "./config-values.js";

type Config = ReadonlyMap<string, string>;

/** All zero when it is none. */
function macOf(config: Config, key: string): Uint8Array {
  return macBytes(parseMac(config.get(key) ?? "") ?? 0n);
}

function ipOf(config: Config, key: string, fallback: Uint8Array, complain: (text: string) => void): Uint8Array {
  const text = config.get(key) ?? "";
  if (text === "") return fallback;
  const parts = text.split(".").map(Number);
  const isAddress = /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && parts.every((part) => part < 256);
  if (isAddress) return Uint8Array.from(parts);
  complain(`"${text}" is not a valid IP address`);
  return fallback;
}

/** Where control packets go to and come from. */
export interface BfdEndpoint {
  /** All zero: the device's own. */
  readonly ethSrc: Uint8Array;
  readonly ethDst: Uint8Array;
  readonly ipSrc: Uint8Array;
  readonly ipDst: Uint8Array;
  /** Tunnels mark them. */
  readonly oam: boolean;
}

export interface WantedBfd {
  readonly settings: BfdSettings;
  readonly endpoint: BfdEndpoint;
  readonly monitor: PortMonitor;
  readonly errors: readonly string[];
}

/** 169.254.1.1 and 169.254.1.0: of no host. */
const ipSrcDefault = Uint8Array.of(169, 254, 1, 1);
const ipDstDefault = Uint8Array.of(169, 254, 1, 0);
const ethDstDefault = Uint8Array.of(0x00, 0x23, 0x20, 0x00, 0x00, 0x01);
const multDefault = 3;

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** Undefined without BFD. */
export function wantedBfd(row: InterfaceRow): WantedBfd | undefined {
  const { bfd } = row;
  if (!truth(bfd, "enable")) return undefined;
  const errors: string[] = [];
  const complain = (text: string): void => {
    errors.push(text);
  };
  const mult = integer(bfd, "mult", multDefault);
  const settings = {
    name: row.name,
    minTxMs: Math.max(integer(bfd, "min_tx", 100), 1),
    minRxMs: Math.max(integer(bfd, "min_rx", 1000), 1),
    decayMinRxMs: integer(bfd, "decay_min_rx", 0),
    mult: mult < 1 || mult > 255 ? multDefault : mult,
    cpathDown: truth(bfd, "cpath_down"),
    forwardingIfRx: truth(bfd, "forwarding_if_rx"),
  };
  const ethDst = macOf(bfd, "bfd_local_dst_mac");
  const ipSrc = ipOf(bfd, "bfd_src_ip", ipSrcDefault, complain);
  const endpoint = {
    ethSrc: macOf(bfd, "bfd_local_src_mac"),
    ethDst: isZero(ethDst) ? ethDstDefault : ethDst,
    ipSrc,
    ipDst: ipOf(bfd, "bfd_dst_ip", ipDstDefault, complain),
    oam: truth(bfd, "oam"),
  };
  const monitor = {
    flags: monitorFlag.bfd | (truth(bfd, "check_tnl_key") ? monitorFlag.bfdCheckKey : 0),
    bfdDstMac: macOf(bfd, "bfd_remote_dst_mac"),
    // Packets to any address are for a session that did not get one of its own.
    bfdIp: ipSrc.join() === ipSrcDefault.join() ? new Uint8Array(4) : ipSrc,
  };
  return { settings, endpoint, monitor, errors };
}

export interface WantedCfm {
  readonly settings: CfmSettings;
  /** Bits of `monitorFlag`. */
  readonly flags: number;
}

/** Undefined without CFM. */
export function wantedCfm({
  name,
  cfm_mpid: mpid,
  other_config: config,
  options,
}: InterfaceRow): WantedCfm | undefined {
  if (mpid === undefined) return undefined;
  const interval = integer(config, "cfm_interval", 0);
  const vlan = config.get("cfm_ccm_vlan") ?? "0";
  const extended = truth(config, "cfm_extended");
  const settings = {
    name,
    mpid: BigInt(mpid),
    intervalMs: interval <= 0 ? 1000 : interval,
    extended,
    demand: truth(config, "cfm_demand"),
    opup: (config.get("cfm_opstate") ?? "up").toLowerCase() === "up",
    vlan: vlan.toLowerCase() === "random" ? ("random" as const) : (Number.parseInt(vlan, 10) || 0) & 0xfff,
    pcp: integer(config, "cfm_ccm_pcp", 0) & 7,
  };
  const checksKey = options.get("key") === "flow" || options.get("in_key") === "flow";
  const flags = monitorFlag.cfm | (extended ? monitorFlag.cfmExtended : 0) | (checksKey ? monitorFlag.cfmCheckKey : 0);
  return { settings, flags };
}

/** Whether anything watches the interface's link. */
export function isWatched(row: InterfaceRow): boolean {
  return truth(row.bfd, "enable") || row.cfm_mpid !== undefined;
}

/** Whether a port waits for a protocol to say that its link works before it is live. */
export function awaitsProof(row: InterfaceRow): boolean {
  return wantedBfd(row) !== undefined && wantedCfm(row) === undefined;
}
