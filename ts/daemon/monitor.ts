import type { Clock } from "../clock/index.js";
import type { Logger } from "../log/index.js";
import { type Spawned, signalName } from "./detach.js";

/** A worker that died of one of these has crashed; one that was told to end, or ended, is not started again. */
const crashSignals: ReadonlySet<string> = new Set([
  "SIGABRT",
  "SIGALRM",
  "SIGBUS",
  "SIGFPE",
  "SIGILL",
  "SIGPIPE",
  "SIGSEGV",
  "SIGXCPU",
  "SIGXFSZ",
]);
const restartMsMin = 10_000;

export interface MonitorOptions {
  /** `crashes`: how often one has crashed before. */
  readonly spawn: (crashes: number) => Spawned;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called once, when the first worker is ready. */
  readonly onReady: () => void;
}

/** Starts a worker, and again when it crashes, at most once in ten seconds.  Resolves to the status to exit with. */
export async function monitor(options: MonitorOptions): Promise<number> {
  const { clock, log } = options;
  let crashes = 0;
  let wasReady = false;
  for (;;) {
    const startedMs = clock.monotonic();
    const spawned = options.spawn(crashes);
    const forward = (signal: NodeJS.Signals): void => void spawned.child.kill(signal);
    process.on("SIGTERM", forward).on("SIGINT", forward).on("SIGHUP", forward);
    void spawned.ready.then(() => {
      if (!wasReady) options.onReady();
      wasReady = true;
    });
    const { status, signal } = await spawned.ended;
    process.off("SIGTERM", forward).off("SIGINT", forward).off("SIGHUP", forward);
    const pid = spawned.child.pid ?? 0;
    if (signal === null || !crashSignals.has(signal)) {
      const what = signal === null ? `exit status ${status ?? 0}` : `killed (${signalName(signal)})`;
      log.info(`pid ${pid} died, ${what}, exiting`);
      return signal === null ? (status ?? 0) : 1;
    }
    crashes++;
    const text = `${crashes} crashes: pid ${pid} died, killed (${signalName(signal)})`;
    // A daemon that cannot even start would crash for ever.
    if (!wasReady) {
      log.err(`${text}, before it was ready, exiting`);
      return 1;
    }
    log.err(`${text}, restarting`);
    const waitMs = startedMs + restartMsMin - clock.monotonic();
    if (waitMs > 0) {
      log.info("waiting until 10 seconds since last restart");
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
    }
  }
}
