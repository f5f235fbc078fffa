/** A switch inside a program: no root, no files and no sockets unless asked for. */
import { tmpdir } from "node:os";
import { type AdjustableClock, systemClock, virtualClock } from "./clock/index.js";
import { BatchBuilder, Datapath, type DropCount, drops, type PacketAccounts } from "./datapath/index.js";
import { type LogSource, silentLog } from "./log/index.js";
import { Netdevs } from "./netdev/index.js";
import { describeFlood, type Flood, Ofprotos } from "./ofproto/index.js";
import { type BridgeSpec, SwitchBridge } from "./switch-bridge.js";

export interface SwitchOptions {
  /** `virtual`: time stands still until `advance`, and packets move inside the calls that cause them: for tests.
   *  `real`, the default: as a switch does. */
  readonly clock?: "real" | "virtual";
  /** Threads that forward; the default is 1, and none with a virtual clock: then `send` returns when the frame is through. */
  readonly workers?: number;
  /** Where `openManagement` puts its sockets, and the only place for unix sockets of controllers. */
  readonly runDirectory?: string;
  readonly log?: LogSource;
}

/** The switch is closed or cannot do what was asked in this mode. */
export class SwitchError extends Error {
  readonly code: "SWITCH_CLOSED" | "SWITCH_CLOCK" | "SWITCH_BRIDGE_EXISTS";
  readonly details: Readonly<Record<string, unknown>>;
  constructor(code: SwitchError["code"], sentence: string, details: Readonly<Record<string, unknown>> = {}) {
    super(sentence);
    this.name = "SwitchError";
    this.code = code;
    this.details = details;
  }
}

export class Switch {
  readonly #datapath: Datapath;
  readonly #clock: AdjustableClock;
  readonly #netdevs: Netdevs;
  readonly #ofprotos: Ofprotos;
  readonly #bridges = new Map<string, SwitchBridge>();
  readonly #runDirectory: string;
  readonly #log: LogSource;
  readonly #isVirtual: boolean;
  readonly #floodListeners = new Set<(flood: Flood) => void>();
  #closed = false;

  /** Use `createSwitch`. */
  constructor(options: SwitchOptions) {
    this.#isVirtual = options.clock === "virtual";
    this.#log = options.log ?? silentLog;
    this.#runDirectory = options.runDirectory ?? tmpdir();
    this.#datapath = new Datapath({ workers: options.workers ?? (this.#isVirtual ? 0 : 1) });
    const start = this.#datapath.now();
    this.#clock = this.#isVirtual ? virtualClock(start) : systemClock();
    if (this.#isVirtual) {
      const freeze = (nowMs: number): void => {
        new BatchBuilder().clockSet(nowMs).commit(this.#datapath);
      };
      freeze(start);
      this.#clock.onAdjust(freeze);
    }
    this.#netdevs = new Netdevs({
      datapath: this.#datapath,
      policy: { dummy: "none", system: true, embedded: true },
      log: this.#log("netdev"),
      linuxLog: this.#log("netdev_linux").limited(60, 20),
      random: Math.random,
      now: () => this.#clock.monotonic(),
    });
    this.#ofprotos = new Ofprotos({ datapath: this.#datapath, clock: this.#clock, log: this.#log });
    this.#datapath.on("packetIn", (event) => this.#ofprotos.packetIn(event));
    this.#datapath.on("flowsChanged", () => this.#ofprotos.drainChanges());
    this.#datapath.on("flood", (event) => {
      if (this.#floodListeners.size === 0) return;
      const flood = describeFlood(this.#ofprotos, event);
      for (const listener of this.#floodListeners) listener(flood);
    });
    this.#datapath.on("portFrame", ({ dpPort, packet }) => this.#deliver(dpPort, packet));
    if (!this.#isVirtual) this.#datapath.ref();
  }

  addBridge(name: string, spec: BridgeSpec = {}): SwitchBridge {
    this.#mustBeOpen();
    if (this.#bridges.has(name))
      throw new SwitchError(
        "SWITCH_BRIDGE_EXISTS",
        `there is a bridge ${name} already; remove it first or take another name`,
        { bridge: name },
      );
    const host = {
      ofprotos: this.#ofprotos,
      netdevs: this.#netdevs,
      clock: this.#clock,
      log: this.#log,
      runDirectory: this.#runDirectory,
      settle: () => this.#settle(),
    };
    const bridge = new SwitchBridge(host, name, spec);
    this.#bridges.set(name, bridge);
    return bridge;
  }

  removeBridge(name: string): void {
    const bridge = this.#bridges.get(name);
    this.#bridges.delete(name);
    bridge?.close();
  }

  bridge(name: string): SwitchBridge | undefined {
    return this.#bridges.get(name);
  }

  bridges(): readonly SwitchBridge[] {
    return [...this.#bridges.values()];
  }

  /** Calls `listener` when a port sends more packets that no cache knows than its share, at most every ten seconds for a
   *  port.  Returns what ends it. */
  onFlood(listener: (flood: Flood) => void): () => void {
    this.#mustBeOpen();
    this.#floodListeners.add(listener);
    return () => this.#floodListeners.delete(listener);
  }

  /** Packets that were dropped so far, by port and reason, and what else became of packets. */
  drops(): {
    readonly drops: readonly (DropCount & { readonly port: string | undefined })[];
    readonly accounts: PacketAccounts;
  } {
    this.#mustBeOpen();
    const { drops: found, accounts } = drops(this.#datapath);
    return { accounts, drops: found.map((drop) => ({ ...drop, port: this.#netdevs.byDpPort(drop.dpPort)?.name })) };
  }

  /** Milliseconds of the switch's clock. */
  now(): number {
    return this.#clock.monotonic();
  }

  /** Moves a virtual clock forward: timeouts expire, addresses age, probes are sent. */
  advance(ms: number): void {
    this.#mustBeOpen();
    if (!this.#isVirtual)
      throw new SwitchError(
        "SWITCH_CLOCK",
        'only a virtual clock can be moved; make the switch with { clock: "virtual" }',
      );
    this.#clock.advance(ms);
    this.#settle();
  }

  /** Closes bridges and ports and frees all memory.  Idempotent; every later call throws SWITCH_CLOSED. */
  async dispose(): Promise<void> {
    if (this.#closed) return;
    for (const name of [...this.#bridges.keys()]) this.removeBridge(name);
    this.#closed = true;
    this.#clock.dispose();
    this.#datapath.dispose();
  }

  toJSON(): { readonly bridges: readonly SwitchBridge[] } {
    return { bridges: this.bridges() };
  }

  #settle(): void {
    if (this.#datapath.workers === 0) this.#datapath.run();
  }

  #deliver(dpPort: number, frame: Uint8Array): void {
    const name = this.#netdevs.byDpPort(dpPort)?.name;
    if (name === undefined) return;
    for (const bridge of this.#bridges.values()) bridge.port(name)?.deliver(frame);
  }

  #mustBeOpen(): void {
    if (this.#closed)
      throw new SwitchError("SWITCH_CLOSED", "the switch is disposed of; make a new one with createSwitch");
  }
}

/** Makes a switch; `dispose` it when it is no longer needed. */
export async function createSwitch(options: SwitchOptions = {}): Promise<Switch> {
  return new Switch(options);
}
