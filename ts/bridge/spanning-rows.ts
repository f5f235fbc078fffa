/** What the database asks of the spanning tree protocols, in the state machines' terms.  Pure. */

import type { BridgeRow, PortRow } from "../ovsdb/index.js";
import {
  type RstpPortSettings,
  type RstpSettings,
  rstpCostOfSpeed,
  type StpPortSettings,
  type StpSettings,
  stpCostOfSpeed,
} from "../protocols/index.js";
import { formatMac, type Mac, parseMac } from "./bridge-address.js";

/** A port of the bridge with all that matters to a spanning tree. */
export interface SpanningPortRow {
  readonly row: PortRow;
  /** Interfaces that the port has in the database. */
  readonly interfaces: number;
  readonly isInternal: boolean;
  readonly isMirror: boolean;
  /** The device; undefined if it could not be had. */
  readonly device:
    | { readonly name: string; readonly carrier: boolean; readonly speedMbps: number | undefined }
    | undefined;
}

export interface WantedStp {
  /** Undefined: the ports' rows forbid it. */
  readonly settings: StpSettings | undefined;
  readonly ports: readonly StpPortSettings[];
  /** Sentences for the log. */
  readonly errors: readonly string[];
}

export const spanningPortsMax = 255;
/** Of a device that does not know, in megabits a second. */
export const speedDefault = 10_000;
const priorityDefault = { bridge: 0x8000, port: 0x80 } as const;

/** What C's strtoul() makes of the text. */
export function numberOf(text: string): number {
  const hex = /^\s*\+?0x([0-9a-f]+)/i.exec(text);
  if (hex !== null) return Number.parseInt(hex[1] ?? "0", 16);
  return Number(/^\s*\+?(\d+)/.exec(text)?.[1] ?? 0);
}

/** A number of a row; what is no number is as if it were not there. */
export function numberIn(config: ReadonlyMap<string, string>, key: string, fallback: number): number {
  const text = config.get(key);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : fallback;
}

/** The address that identifies a bridge. */
export function identity(
  row: BridgeRow,
  key: string,
  bridgeMac: Mac,
): { readonly address: Mac; readonly error: string | undefined } {
  const text = row.other_config.get(key);
  const address = text === undefined ? bridgeMac : parseMac(text);
  if (address !== undefined) return { address, error: undefined };
  return {
    address: bridgeMac,
    error: `bridge ${row.name}: invalid ${key}, defaulting to ${formatMac(bridgeMac)}`,
  };
}

/** Why a port takes no part, in words for the log; empty: it was asked not to, or cannot anyway.  Undefined: it does. */
export function abstains(port: SpanningPortRow, key: string, name: string): string | undefined {
  if (port.row.other_config.get(key) === "false") return "";
  if (port.interfaces !== 1) return `port ${port.row.name}: cannot enable ${name} on bonds, disabling`;
  return port.isInternal || port.isMirror ? "" : undefined;
}

export function wantedStp(row: BridgeRow, bridgeMac: Mac, rows: readonly SpanningPortRow[]): WantedStp {
  const config = row.other_config;
  const errors: string[] = [];
  const { address, error } = identity(row, "stp-system-id", bridgeMac);
  if (error !== undefined) errors.push(error);
  const settings: StpSettings = {
    name: row.name,
    address,
    priority: numberIn(config, "stp-priority", priorityDefault.bridge) & 0xffff,
    helloMs: 1000 * numberIn(config, "stp-hello-time", 2),
    maxAgeMs: 1000 * numberIn(config, "stp-max-age", 20),
    forwardDelayMs: 1000 * numberIn(config, "stp-forward-delay", 15),
  };
  const ports: StpPortSettings[] = [];
  const taken = new Set<number>();
  let automatic = 0;
  for (const port of rows) {
    const refusal = abstains(port, "stp-enable", "STP");
    if (refusal !== undefined) {
      if (refusal !== "") errors.push(refusal);
      continue;
    }
    const asked = port.row.other_config.get("stp-port-num");
    const number = asked === undefined ? automatic + 1 : numberOf(asked);
    const fault =
      asked === undefined
        ? number > spanningPortsMax && "too many STP ports, disabling"
        : ((number < 1 || number > spanningPortsMax) && "invalid stp-port-num") ||
          (taken.has(number) && `duplicate stp-port-num ${number}, disabling`);
    if (fault !== false) {
      errors.push(`port ${port.row.name}: ${fault}`);
      continue;
    }
    if (asked === undefined) automatic += 1;
    else taken.add(number);
    if (port.device !== undefined) ports.push(portSettings(port, port.device, number));
  }
  if (taken.size > 0 && automatic > 0) {
    errors.push(`bridge ${row.name}: must manually configure all STP port IDs or none, disabling`);
    return { settings: undefined, ports: [], errors };
  }
  return { settings, ports, errors };
}

function portSettings(
  { row }: SpanningPortRow,
  device: NonNullable<SpanningPortRow["device"]>,
  number: number,
): StpPortSettings {
  const cost = row.other_config.get("stp-path-cost");
  const priority = row.other_config.get("stp-port-priority");
  return {
    name: device.name,
    number,
    priority: priority === undefined ? priorityDefault.port : numberOf(priority) & 0xff,
    pathCost: cost === undefined ? stpCostOfSpeed(device.speedMbps ?? speedDefault) : numberOf(cost) & 0xffff,
    carrier: device.carrier,
  };
}

export interface WantedRstp {
  readonly settings: RstpSettings;
  readonly ports: readonly RstpPortSettings[];
  readonly errors: readonly string[];
}

const rapidPortsMax = 4095;
const within = (value: number, min: number, max: number, fallback: number): number =>
  value >= min && value <= max ? value : fallback;

/** Values that cannot be are as if they were not there. */
export function wantedRstp(row: BridgeRow, bridgeMac: Mac, rows: readonly SpanningPortRow[]): WantedRstp {
  const config = row.other_config;
  const errors: string[] = [];
  const { address, error } = identity(row, "rstp-address", bridgeMac);
  if (error !== undefined) errors.push(error);
  const priority = within(numberIn(config, "rstp-priority", priorityDefault.bridge), 0, 61_440, priorityDefault.bridge);
  // Twice the forward delay but for a second is at least the age.
  const maxAge = within(numberIn(config, "rstp-max-age", 20), 6, 28, 20);
  const settings: RstpSettings = {
    name: row.name,
    address,
    priority: priority - (priority % 4096),
    version: numberIn(config, "rstp-force-protocol-version", 2) === 0 ? 0 : 2,
    maxAge,
    forwardDelay: within(numberIn(config, "rstp-forward-delay", 15), maxAge / 2 + 1, 30, 15),
    transmitHoldCount: within(numberIn(config, "rstp-transmit-hold-count", 6), 1, 10, 6),
  };
  const ports: RstpPortSettings[] = [];
  for (const port of rows) {
    const refusal = abstains(port, "rstp-enable", "RSTP");
    if (refusal !== undefined) {
      if (refusal !== "") errors.push(refusal);
      continue;
    }
    const asked = port.row.other_config.get("rstp-port-num");
    const number = asked === undefined ? 0 : numberOf(asked);
    if (asked !== undefined && (number < 1 || number > rapidPortsMax)) {
      errors.push(`port ${port.row.name}: invalid rstp-port-num`);
      continue;
    }
    if (ports.length >= rapidPortsMax) {
      errors.push(`port ${port.row.name}: too many RSTP ports, disabling`);
      continue;
    }
    if (port.device !== undefined) ports.push(rapidPort(port, port.device, freeNumber(number, ports)));
  }
  return { settings, ports, errors };
}

/** The number asked for if it is free, else the lowest that is. */
function freeNumber(asked: number, ports: readonly RstpPortSettings[]): number {
  const isFree = (candidate: number): boolean => ports.every(({ number }) => number !== candidate);
  if (asked !== 0 && isFree(asked)) return asked;
  let number = 1;
  while (!isFree(number)) number += 1;
  return number;
}

function rapidPort(
  { row }: SpanningPortRow,
  device: NonNullable<SpanningPortRow["device"]>,
  number: number,
): RstpPortSettings {
  const config = row.other_config;
  const priority = config.get("rstp-port-priority");
  const asked = priority === undefined ? priorityDefault.port : numberOf(priority);
  const usual = rstpCostOfSpeed(device.speedMbps ?? speedDefault);
  const cost = config.get("rstp-path-cost");
  return {
    name: device.name,
    number,
    priority: within(asked - (asked % 16), 0, 240, priorityDefault.port),
    pathCost: cost === undefined ? usual : within(numberOf(cost), 1, 200_000_000, usual),
    carrier: device.carrier,
    adminState: config.get("rstp-admin-port-state") !== "false",
    adminEdge: config.get("rstp-port-admin-edge") === "true",
    autoEdge: config.get("rstp-port-auto-edge") !== "false",
    migrationCheck: config.get("rstp-port-mcheck") === "true",
    pointToPoint: numberIn(config, "rstp-admin-p2p-mac", 1) !== 0,
  };
}
