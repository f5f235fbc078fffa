/** A device's speed and duplex as OpenFlow 1.1 port features (OFPPF). */

/** What a device's state says of its link. */
export interface LinkSpeed {
  readonly speedMbps: number | undefined;
  readonly duplex: "half" | "full" | undefined;
  readonly isCopper?: boolean;
}

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

export function linkFeatures(state: LinkSpeed): LinkFeatures {
  if (state.speedMbps === undefined) return { current: 0, currentSpeedKbps: 0 };
  const bits = speedBits.get(state.speedMbps);
  const speed = bits === undefined ? other : state.duplex === "half" ? bits[0] : bits[1];
  return { current: state.isCopper === true ? speed | copper : speed, currentSpeedKbps: 1000 * state.speedMbps };
}

/** Megabits a second of a device that does not say, or says a speed that OpenFlow has no word for. */
const speedMbpsDefault = 100;

export function bytesPerSecond(speedMbps: number | undefined): number {
  const known = speedMbps !== undefined && speedBits.has(speedMbps) ? speedMbps : speedMbpsDefault;
  return (known * 1_000_000) / 8;
}
