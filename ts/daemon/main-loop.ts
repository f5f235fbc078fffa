/** The main loop: nothing polls.  Whoever has something to do asks for a pass, requests that come before it are one, and
 *  a pass runs the stages in their fixed order. */

export interface LoopStage {
  readonly name: "memory" | "bridge" | "unixctl" | "netdev";
  run(): void | Promise<void>;
}

export interface MainLoopOptions {
  /** In the order in which they run: memory, bridge, unixctl, netdev. */
  readonly stages: readonly LoopStage[];
  /** A stage threw: our own fault. */
  readonly onError: (stage: string, error: unknown) => void;
  /** Told of each stage as it starts, for tests of the order. */
  readonly trace?: (stage: string) => void;
}

export class MainLoop {
  private current: Promise<void> | undefined;
  private wanted: Promise<void> | undefined;
  private stopped = false;
  /** Passes so far. */
  passes = 0;

  constructor(private readonly options: MainLoopOptions) {}

  /** Asks for a pass, soon.  What it resolves to is the end of a pass that began after this call. */
  wake(): Promise<void> {
    this.wanted ??= this.next();
    return this.wanted;
  }

  /** Lets the running pass end and starts no other. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.current;
  }

  private async next(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    await this.current;
    this.wanted = undefined;
    this.current = this.pass();
    await this.current;
  }

  private async pass(): Promise<void> {
    this.passes++;
    for (const stage of this.options.stages) {
      if (this.stopped) return;
      this.options.trace?.(stage.name);
      try {
        await stage.run();
      } catch (error) {
        this.options.onError(stage.name, error);
      }
    }
  }
}
