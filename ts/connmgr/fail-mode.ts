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
  /** A controller admitted us: the rule goes once its flow table has had the time to arrive. */
  readonly recovering: boolean;
}

export type FailOpenAction =
  | { readonly do: "enter"; readonly failureMs: number }
  | { readonly do: "bogus_packet_in" }
  | { readonly do: "recover" };

export const failOpenIdle: FailOpenState = { active: false, nextBogusAt: undefined, recovering: false };

const bogusEveryMs = 2000;
const secondMs = 1000;

/** How long all controllers must have failed before the bridge switches by itself.  Uses the configured interval: the
 *  smallest of the controllers', three times, and 1 s where probes are off. */
export function triggerMs(controllers: readonly FailController[]): number {
  let probe = Number.POSITIVE_INFINITY;
  for (const controller of controllers) {
    probe = Math.min(probe, controller.probeMs === 0 ? 0 : Math.max(secondMs, controller.probeMs));
  }
  return Math.max(secondMs, 3 * (Number.isFinite(probe) ? probe : 0));
}

/** The least failure time among the controllers, or undefined without any. */
export function failureMs(controllers: readonly FailController[]): number | undefined {
  return controllers.length === 0 ? undefined : Math.min(...controllers.map((controller) => controller.failureMs));
}

/** One look at the controllers.  `mode` secure or no controllers: never fails open. */
export function stepFailOpen(
  state: FailOpenState,
  mode: FailMode,
  controllers: readonly FailController[],
  now: number,
): { readonly state: FailOpenState; readonly actions: readonly FailOpenAction[] } {
  const failed = failureMs(controllers);
  if (mode === "secure" || failed === undefined) return { state: failOpenIdle, actions: [] };
  if (!state.active) {
    if (failed < triggerMs(controllers)) return { state, actions: [] };
    return {
      state: { active: true, nextBogusAt: undefined, recovering: false },
      actions: [{ do: "enter", failureMs: failed }],
    };
  }
  if (controllers.some((controller) => controller.isAdmitted)) {
    return { state: failOpenIdle, actions: [{ do: "recover" }] };
  }
  if (!controllers.some((controller) => controller.isConnected)) {
    return { state: { ...state, nextBogusAt: undefined }, actions: [] };
  }
  if (state.nextBogusAt === undefined || now >= state.nextBogusAt) {
    return { state: { ...state, nextBogusAt: now + bogusEveryMs }, actions: [{ do: "bogus_packet_in" }] };
  }
  return { state, actions: [] };
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
  if (state.active) return state.nextBogusAt;
  if (controllers.some((controller) => controller.isAdmitted)) return undefined;
  return now + Math.max(0, triggerMs(controllers) - failed);
}
