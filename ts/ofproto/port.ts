import type { Tunnel } from "../datapath/generated/records.js";
import type { PortDesc, PortStats } from "../openflow/message.js";

/** A port of one OpenFlow switch. */

export const portState = { linkDown: 1, blocked: 2, live: 4 } as const;
/** OFPPS_STP of OpenFlow 1.0: the bits, and the states that they tell. */
export const stpState = { mask: 0x300, listen: 0, learn: 0x100, forward: 0x200, block: 0x300 } as const;

/** What the spanning tree makes of a port. */
export interface SpanningPort {
  /** Bits of `spanningFlag`. */
  readonly flags: number;
  /** Of `stpState`. */
  readonly state: number;
}

/** What watches the link of a port: whose frames are for state machines. */
export interface PortMonitor {
  /** Bits of `monitorFlag`. */
  readonly flags: number;
  /** Frames of BFD to other addresses are not for us; all zero: any address. */
  readonly bfdDstMac: Uint8Array;
  /** All zero: any. */
  readonly bfdIp: Uint8Array;
}

export const noMonitor: PortMonitor = { flags: 0, bfdDstMac: new Uint8Array(6), bfdIp: new Uint8Array(4) };

export const portConfig = {
  portDown: 1,
  noStp: 2,
  noRecv: 4,
  noRecvStp: 8,
  noFlood: 16,
  noFwd: 32,
  noPacketIn: 64,
} as const;
/** Bits that a port_mod may change. */
export const changeableConfig = 0x7f;

/** Features in the bits of OpenFlow 1.1 (OFPPF), and speeds. */
export interface PortFeatures {
  readonly current: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  readonly currentSpeedKbps: number;
  readonly maxSpeedKbps: number;
}

export const noFeatures: PortFeatures = {
  current: 0,
  advertised: 0,
  supported: 0,
  peer: 0,
  currentSpeedKbps: 0,
  maxSpeedKbps: 0,
};

/** What the owner of the device tells about it. */
export interface PortDevice {
  readonly hwAddr: Uint8Array;
  readonly mtu: number;
  /** Administratively up. */
  readonly up: boolean;
  readonly carrier: boolean;
  readonly features: PortFeatures;
}

export interface PortCounters {
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxFrameErrors: bigint;
  readonly rxOverErrors: bigint;
  readonly rxCrcErrors: bigint;
  readonly collisions: bigint;
  /** What the device counts besides. */
  readonly custom?: readonly (readonly [name: string, value: bigint])[];
}

/** A queue that a port's device sends by. */
export interface PortQueue {
  readonly number: number;
  /** Undefined: the device does not count. */
  readonly counters: { readonly txBytes: bigint; readonly txPackets: bigint; readonly txErrors: bigint } | undefined;
  /** When it was made, in milliseconds of the switch's clock; undefined: not known. */
  readonly createdMs: number | undefined;
}

/** What a bridge gives for a new port. */
export interface PortSpec extends PortDevice {
  readonly name: string;
  /** Datapath port number; 0 for a patch port. */
  readonly dpPort: number;
  /** Name of the datapath port when it is not the port's own: tunnels share one. */
  readonly dpName?: string | undefined;
  /** Undefined: the next free one. 65534 (OFPP_LOCAL of OpenFlow 1.0) is the bridge's own port. */
  readonly requestedNumber?: number | undefined;
  /** Type that dpif/show prints. */
  readonly shownAs: string;
  /** What dpif/show prints after the type, e.g. `peer=p2`. */
  readonly shownConfig?: string | (() => string | undefined) | undefined;
  /** What makes the port one end of a tunnel. */
  readonly tunnel?: Tunnel | undefined;
  /** The other end of a patch port. */
  readonly peer?: PatchPeer | undefined;
  /** It is live when `settlePorts` is called: ports that come together are all told of before any of them is live. */
  readonly settlesLater?: boolean;
  /** Turns the device up or down because a controller asked; the owner reports the outcome by `updatePort`. */
  readonly setUp?: ((up: boolean) => void) | undefined;
  /** Where counters come from when it is not the datapath port of that number. */
  readonly counters?: (() => PortCounters | undefined) | undefined;
  /** False for a port that is not live before the protocols that watch its link say so. */
  readonly mayEnable?: boolean;
  /** Queues of the device; absent for one that has none. */
  readonly queues?: (() => readonly PortQueue[]) | undefined;
}

/** What may change of a tunnel. */
export type TunnelChange = Pick<PortSpec, "dpPort" | "dpName" | "shownConfig" | "tunnel">;

export interface PatchPeer {
  /** The ABI's id of the bridge. */
  readonly bridge: number;
  readonly ofpPort: number;
}

/** OFPP_LOCAL as OpenFlow 1.1 and later write it, and as the ABI does. */
export const localPort = 0xfffffffe;
/** OFPP_LOCAL as OpenFlow 1.0 and the database write it. */
export const localPort10 = 0xfffe;

export interface OfPort {
  readonly name: string;
  /** OpenFlow number; OFPP_LOCAL as 0xfffffffe. */
  readonly number: number;
  spec: PortSpec;
  device: PortDevice;
  peer: PatchPeer | undefined;
  /** OFPPC bits. */
  config: number;
  /** OFPPS bits. */
  state: number;
  /** Bits of `spanningFlag`. */
  spanning: number;
  monitor: PortMonitor;
  takesLldp: boolean;
  /** Whether the protocols that watch its link let it be used. */
  mayEnable: boolean;
  /** DSCP that IP packets get by queue. */
  queueDscps: ReadonlyMap<number, number>;
  /** When it was added, in milliseconds of the switch's clock. */
  readonly createdMs: number;
}

/** The OFPPS bits that a device's condition gives, with those of `before` that it does not. */
export function stateOf(device: PortDevice, before = 0, mayEnable = true): number {
  const live = mayEnable ? portState.live : 0;
  return (device.carrier ? live : portState.linkDown) | (before & stpState.mask);
}

/** OFPPC bits after the device's own condition is taken in. */
export function configOf(config: number, device: PortDevice): number {
  return device.up ? config & ~portConfig.portDown : config | portConfig.portDown;
}

export function describePort(port: OfPort): PortDesc {
  return {
    port: port.number,
    hwAddr: port.device.hwAddr,
    name: port.name,
    config: port.config,
    state: port.state,
    ...port.device.features,
  };
}

/** All bits set: the counter is not known. */
const unknown = 0xffffffffffffffffn;

export function portStatsOf(port: OfPort, counters: PortCounters | undefined, now: number): PortStats {
  const ageMs = Math.max(0, now - port.createdMs);
  const at = (read: (known: PortCounters) => bigint): bigint => (counters === undefined ? unknown : read(counters));
  return {
    port: port.number,
    rxPackets: at((known) => known.rxPackets),
    txPackets: at((known) => known.txPackets),
    rxBytes: at((known) => known.rxBytes),
    txBytes: at((known) => known.txBytes),
    rxDropped: at((known) => known.rxDropped),
    txDropped: at((known) => known.txDropped),
    rxErrors: at((known) => known.rxErrors),
    txErrors: at((known) => known.txErrors),
    rxFrameErr: at((known) => known.rxFrameErrors),
    rxOverErr: at((known) => known.rxOverErrors),
    rxCrcErr: at((known) => known.rxCrcErrors),
    collisions: at((known) => known.collisions),
    durationSec: Math.floor(ageMs / 1000),
    durationNsec: (ageMs % 1000) * 1_000_000,
    ...(counters?.custom === undefined ? {} : { custom: counters.custom }),
  };
}
