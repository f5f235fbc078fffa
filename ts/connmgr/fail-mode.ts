/** What a bridge does without its controllers.  Pure: times in milliseconds on a monotonic clock. */

export type FailMode = "standalone" | "secure";

/** Priority of the rule that makes a bridge a learning switch while its controllers are lost. */
export const failOpenPriority = 0xf0f0f0;

export interface FailController {
  /** Active (not passive) and primary: only these are waited for. */
  readonly failureMs: number;
  readonly isConnected: boolean;
  readonly isAdmitted: boolean;
  /** As configured, not as clamped for the echo probe. */
  readonly probeMs: number;
}

export interface FailOpenState {
  /** Whether the bridge switches by itself because its controllers are lost. */
  readonly active: boolean;
  /** When the next fake packet-in is due while a controller is connected but has not admitted us. */
  readonly nextBogusAt: number | undefined;
  /** The time without controllers that the log was last told of. */
  readonly toldMs: number;
}

export type FailOpenAction =
  | { readonly do: "enter"; readonly failureMs: number }
  /** The log is reminded. */
  | { readonly do: "still"; readonly failureMs: number }
  | { readonly do: "bogus_packet_in" }
  | { readonly do: "recover" };

export const failOpenIdle: FailOpenState = { active: false, nextBogusAt: undefined, toldMs: 0 };

const bogusEveryMs = 2000;
const stillEveryMs = 60_000;
const secondMs = 1000;

/** How long all controllers must have failed before the bridge switches by itself: three times the longest configured
 *  interval, for a silence, an answer to the probe that does not come, and an attempt to connect again. */
export function triggerMs(controllers: readonly FailController[]): number {
  return Math.max(secondMs, 3 * Math.max(0, ...controllers.map((controller) => controller.probeMs)));
}

/** The least failure time among the controllers, in whole seconds; undefined without any. */
export function failureMs(controllers: readonly FailController[]): number | undefined {
  if (controllers.length === 0) return undefined;
  const least = Math.min(...controllers.map((controller) => controller.failureMs));
  return Math.floor(least / secondMs) * secondMs;
}

/** Whether a flush of all flows leaves the rule of fail-open behind. */
export function isOpen(mode: FailMode, controllers: readonly FailController[]): boolean {
  const failed = failureMs(controllers);
  return mode === "standalone" && failed !== undefined && failed >= triggerMs(controllers);
}

/** One look at the controllers.  `mode` secure or no controllers: never fails open. */
export function stepFailOpen(
  state: FailOpenState,
  mode: FailMode,
  controllers: readonly FailController[],
  now: number,
): { readonly state: FailOpenState; readonly actions: readonly FailOpenAction[] } {
  const failed = failureMs(controllers);
  if (mode === "secure" || failed === undefined) {
    return { state: failOpenIdle, actions: state.active ? [{ do: "recover" }] : [] };
  }
  if (!state.active) {
    if (failed < triggerMs(controllers)) return { state, actions: [] };
    return {
      state: { active: true, nextBogusAt: undefined, toldMs: failed },
      actions: [{ do: "enter", failureMs: failed }],
    };
  }
  if (controllers.some((controller) => controller.isAdmitted)) {
    return { state: failOpenIdle, actions: [{ do: "recover" }] };
  }
  const actions: FailOpenAction[] = [];
  let { nextBogusAt, toldMs } = state;
  if (failed > toldMs + stillEveryMs) {
    actions.push({ do: "still", failureMs: failed });
    toldMs = failed;
  }
  if (!controllers.some((controller) => controller.isConnected)) nextBogusAt = undefined;
  else if (nextBogusAt === undefined) nextBogusAt = now + bogusEveryMs;
  else if (now >= nextBogusAt) {
    actions.push({ do: "bogus_packet_in" });
    nextBogusAt = now + bogusEveryMs;
  }
  return { state: { active: true, nextBogusAt, toldMs }, actions };
}

/** When `stepFailOpen` should be asked again; undefined when only a change of a controller matters. */
export function failOpenDeadline(
  state: FailOpenState,
  mode: FailMode,
  controllers: readonly FailController[],
  now: number,
): number | undefined {
  const failed = failureMs(controllers);
  if (mode === "secure" || failed === undefined) return undefined;
  if (state.active) {
    const stillAt = now + Math.max(0, state.toldMs + stillEveryMs + secondMs - failed);
    return Math.min(state.nextBogusAt ?? Number.POSITIVE_INFINITY, stillAt);
  }
  if (controllers.some((controller) => controller.isAdmitted)) return undefined;
  return now + Math.max(0, triggerMs(controllers) - failed);
}
