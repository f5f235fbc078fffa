export type { AdjustableClock, Clock, Timer, TimeSource } from "./clock.js";
export { systemClock, virtualClock } from "./clock.js";
