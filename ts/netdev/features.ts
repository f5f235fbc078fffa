/** A device's speed and duplex as OpenFlow 1.1 port features (OFPPF). */
import type { DeviceState } from "./netdev.js";

export interface LinkFeatures {
  readonly current: number;
  readonly currentSpeedKbps: number;
}

const copper = 1 << 11;
const other = 1 << 10;
/** Bits for half and full duplex by speed in megabits a second. */
const speedBits: ReadonlyMap<number, readonly [half: number, full: number]> = new Map([
  [10, [1 << 0, 1 << 1]],
  [100, [1 << 2, 1 << 3]],
  [1000, [1 << 4, 1 << 5]],
  [10_000, [1 << 6, 1 << 6]],
  [40_000, [1 << 7, 1 << 7]],
  [100_000, [1 << 8, 1 << 8]],
  [1_000_000, [1 << 9, 1 << 9]],
]);

export function linkFeatures(state: Pick<DeviceState, "speedMbps" | "duplex" | "isCopper">): LinkFeatures {
  if (state.speedMbps === undefined) return { current: 0, currentSpeedKbps: 0 };
  const bits = speedBits.get(state.speedMbps);
  const speed = bits === undefined ? other : state.duplex === "half" ? bits[0] : bits[1];
  return { current: state.isCopper === true ? speed | copper : speed, currentSpeedKbps: 1000 * state.speedMbps };
}
