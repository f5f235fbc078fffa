import type { AsyncChange, AsyncConfig, Version } from "../openflow/message.js";

/** Which asynchronous messages a connection gets: for each kind a mask of reasons as primary (or equal), and one as
 *  secondary.  Pure. */

const invalidTtl = 1 << 2;
/** All reasons of OFPR of OpenFlow 1.4 but the TTL one. */
const packetInDefault = 0x3b;
const portStatusDefault = 0x7;
/** All reasons of OFPRR that a version has: up to DELETE, up to GROUP_DELETE, up to EVICTION. */
const flowRemovedDefault = (version: Version): number => (version < 4 ? 0x7 : version === 4 ? 0xf : 0x3f);

const none: readonly [number, number] = [0, 0];

/** What a new connection gets. */
export function asyncDefault(version: Version): AsyncConfig {
  return {
    packetIn: [packetInDefault, 0],
    portStatus: [portStatusDefault, portStatusDefault],
    flowRemoved: [flowRemovedDefault(version), 0],
    roleStatus: none,
    tableStatus: none,
    requestForward: none,
  };
}

/** What a connection gets whose controller row says `enable_async_messages=false`. */
export const asyncSilent: AsyncConfig = {
  packetIn: none,
  portStatus: none,
  flowRemoved: none,
  roleStatus: none,
  tableStatus: none,
  requestForward: none,
};

/** Each mask that the change does not name stays. */
export function mergeAsync(config: AsyncConfig, change: AsyncChange): AsyncConfig {
  const merged = (kind: keyof AsyncConfig): readonly [number, number] => {
    const [primary, secondary] = change[kind] ?? [undefined, undefined];
    return [primary ?? config[kind][0], secondary ?? config[kind][1]];
  };
  return {
    packetIn: merged("packetIn"),
    portStatus: merged("portStatus"),
    flowRemoved: merged("flowRemoved"),
    roleStatus: merged("roleStatus"),
    tableStatus: merged("tableStatus"),
    requestForward: merged("requestForward"),
  };
}

/** OFPC_INVALID_TTL_TO_CONTROLLER, kept where it takes effect. */
export function withInvalidTtl(config: AsyncConfig, wanted: boolean): AsyncConfig {
  const [primary, secondary] = config.packetIn;
  return { ...config, packetIn: [wanted ? primary | invalidTtl : primary & ~invalidTtl, secondary] };
}

/** In one role. */
export function wantsInvalidTtl(config: AsyncConfig, isSecondary: boolean): boolean {
  return (config.packetIn[isSecondary ? 1 : 0] & invalidTtl) !== 0;
}

/** Whether a reason passes. */
export function passes(mask: readonly [number, number], isSecondary: boolean, reason: number): boolean {
  return ((mask[isSecondary ? 1 : 0] >>> reason) & 1) === 1;
}

const packetInReason = { noMatch: 0, action: 1, actionSet: 3, packetOut: 5, explicitMiss: 6, implicitMiss: 7 } as const;

/** The reason that a version's packet-in carries for an ABI packet_in_reason. */
export function wireReason(reason: number, version: Version): number {
  if (reason >= packetInReason.actionSet && reason <= packetInReason.packetOut) {
    return version < 5 ? packetInReason.action : reason;
  }
  if (reason === packetInReason.explicitMiss) return version < 4 ? packetInReason.action : packetInReason.noMatch;
  return reason === packetInReason.implicitMiss ? packetInReason.noMatch : reason;
}

/** Whether the packet is there only because no rule matched and no rule said so: OpenFlow 1.3 and later drop those. */
export function isImplicitMiss(reason: number): boolean {
  return reason === packetInReason.implicitMiss;
}

/** Whether it counts as a table miss where packet-ins are scheduled. */
export function isMiss(reason: number): boolean {
  return (
    reason === packetInReason.noMatch ||
    reason === packetInReason.explicitMiss ||
    reason === packetInReason.implicitMiss
  );
}

/** The reason that OpenFlow 1.0 to 1.3 have for a rule's removal: they know no eviction. */
export function removedReason(reason: number, version: Version): number {
  const meterDelete = 4;
  const deleted = 2;
  return version < 5 && reason >= meterDelete ? deleted : reason;
}
