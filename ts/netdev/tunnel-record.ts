import { packetTypeMode, type Tunnel, tunnelFlag } from "../datapath/generated/records.js";
import type { FlowOr, TunnelConfig } from "./tunnel-config.js";

/** A tunnel's options as the datapath has them. */

const modes = {
  legacy_l2: packetTypeMode.legacyL2,
  legacy_l3: packetTypeMode.legacyL3,
  ptap: packetTypeMode.ptap,
} as const;

const any = new Uint8Array(16);
const address = (value: FlowOr<Uint8Array> | undefined): Uint8Array => (value instanceof Uint8Array ? value : any);
const number = (value: FlowOr<number>): number => (value === "flow" ? 0 : value);
const key = (value: FlowOr<bigint>): bigint => (value === "flow" ? 0n : value);

export function tunnelRecord(config: TunnelConfig): Tunnel {
  const flags: readonly (readonly [boolean, number])[] = [
    [config.inKey.value === "flow", tunnelFlag.inKeyFlow],
    [config.outKey.value === "flow", tunnelFlag.outKeyFlow],
    [config.outKey.present, tunnelFlag.outKey],
    [config.local === "flow", tunnelFlag.localFlow],
    [config.remote === "flow", tunnelFlag.remoteFlow],
    [config.tos === "inherit", tunnelFlag.tosInherit],
    [config.ttl === "inherit", tunnelFlag.ttlInherit],
    [config.dontFragment, tunnelFlag.dontFragment],
    [config.csum, tunnelFlag.csum],
    [config.seq, tunnelFlag.seq],
    [config.egressMark !== undefined, tunnelFlag.egressMark],
    [config.erspanVersion === "flow", tunnelFlag.erspanVerFlow],
    [config.erspanIndex === "flow", tunnelFlag.erspanIdxFlow],
    [config.erspanDirection === "flow", tunnelFlag.erspanDirFlow],
    [config.erspanHardware === "flow", tunnelFlag.erspanHwidFlow],
    [config.gbp, tunnelFlag.gbp],
    [config.gpe, tunnelFlag.gpe],
    [config.inKey.present, tunnelFlag.inKey],
  ];
  return {
    inKey: key(config.inKey.value),
    outKey: key(config.outKey.value),
    local: address(config.local),
    remote: address(config.remote),
    tunnelFlags: flags.reduce((sum, [on, bit]) => (on ? sum | bit : sum), 0),
    egressMark: config.egressMark ?? 0,
    erspanIdx: number(config.erspanIndex),
    dstPort: config.dstPort,
    tos: config.tos === "inherit" ? 0 : config.tos,
    // What does not have a TTL to inherit gets the usual one.
    ttl: config.ttl === "inherit" ? defaultTtl : config.ttl,
    tunnelType: config.type.number,
    packetTypeMode: modes[config.packetType],
    erspanVer: number(config.erspanVersion),
    erspanDir: number(config.erspanDirection),
    erspanHwid: number(config.erspanHardware),
    ipProto: config.type.ipProto,
  };
}

const defaultTtl = 64;
