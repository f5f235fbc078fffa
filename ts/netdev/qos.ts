/** How a device's sending is shaped, as bridges see it; the kernel does it for some devices, the datapath for others. */
import type { TcCounters } from "./tc-message.js";

export interface ShownQos {
  /** As QoS.type; "" for none. */
  readonly type: string;
  readonly details: ReadonlyMap<string, string>;
}

export interface QosQueue {
  readonly number: number;
  readonly details: ReadonlyMap<string, string>;
  /** When it was made, in milliseconds of the switch's clock. */
  readonly createdMs: number;
}

/** Functions give 0 or an errno value where they say so. */
export interface DeviceQos {
  /** Names that QoS.type may have, besides "". */
  readonly types: readonly string[];
  show(): ShownQos | number;
  /** "" for none.  An errno value: it is as it was, or there is none now. */
  set(type: string, details: ReadonlyMap<string, string>): number;
  queues(): readonly QosQueue[];
  setQueue(number: number, details: ReadonlyMap<string, string>): number;
  deleteQueue(number: number): number;
  /** What one queue sent, or an errno value. */
  queueCounters(number: number): TcCounters | number;
  /** What all queues sent, by their numbers; those that are not counted are not there. */
  allCounters(): ReadonlyMap<number, TcCounters>;
}

const longMax = 2n ** 64n - 1n;

/** A number of a QoS or a queue's details; what is none, or takes more than 64 bits, is 0. */
export function longOf(details: ReadonlyMap<string, string>, key: string): bigint {
  const text = details.get(key)?.trim() ?? "";
  const value = /^\+?\d+$/.test(text) ? BigInt(text.replace("+", "")) : 0n;
  return value > longMax ? 0n : value;
}
