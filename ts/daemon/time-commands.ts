import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import type { AdjustableClock } from "../clock/index.js";

function milliseconds(text: string | undefined): number {
  const match = /^\s*\d+/.exec(text ?? "");
  const value = match === null ? 0 : Number(match[0]);
  if (value <= 0 || !Number.isSafeInteger(value)) throw new UnixctlError("invalid MSECS");
  return value;
}

/** `time/stop` and `time/warp`.  Each step of a warp is followed by a pass of the main loop, so that what becomes due in
 *  it has happened before the next; a single step has the pass as well. */
export function timeCommands(clock: AdjustableClock, pass: () => Promise<void>): readonly UnixctlCommand[] {
  return [
    {
      name: "time/stop",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => {
        clock.stop();
        return "";
      },
    },
    {
      name: "time/warp",
      usage: "[large_msecs] msecs",
      minArgs: 1,
      maxArgs: 2,
      handler: async (args) => {
        let left = milliseconds(args[0]);
        const step = args[1] === undefined ? left : milliseconds(args[1]);
        while (left > 0) {
          const ms = Math.min(step, left);
          clock.advance(ms);
          left -= ms;
          await pass();
        }
        return "warped\n";
      },
    },
  ];
}
