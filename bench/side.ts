/** What a question asks of a switch, so that it can ask Sluice and Open vSwitch the same. */
import type { Source } from "./frames.js";
import type { OpenFlowClient } from "./openflow-client.js";

/** Rates of one stretch of forwarding. */
export interface Forwarding {
  readonly packetsPerSecond: number;
  /** Packets of them that no cache knew. */
  readonly missesPerSecond: number;
  /** Cycles of the time-stamp counter for each packet, spent in turns that received packets. */
  readonly cyclesPerPacket: number;
  readonly megaflows: number;
}

export interface Counters {
  readonly packets: number;
  readonly megaflows: number;
  /** Resident memory in bytes. */
  readonly resident: number;
}

/** Flows of the port that others must not slow down. */
export const goodFlows = 1000;

/** A switch with one polling thread between a port 1 that makes packets without end and a port 2 that swallows them. */
export interface Forwarder {
  /** Connected to its bridge. */
  readonly client: OpenFlowClient;
  /** Starts the packets, waits until the rate has settled and measures for `seconds`. */
  forward(source: Source, warmSeconds: number, seconds: number): Promise<Forwarding>;
  /** Starts the packets and leaves them running. */
  start(source: Source): Promise<void>;
  /** Rates of the next `seconds` of packets that run. */
  watch(seconds: number): Promise<Forwarding>;
  /** Starts packets without end on a third port. */
  startAttack(source: Source): Promise<void>;
  /** Packets a second that leave by port 2, over `seconds`. */
  delivered(seconds: number): Promise<number>;
  /** Counters since the start. */
  counters(): Promise<Counters>;
  stop(): Promise<void>;
}

export interface ForwarderOptions {
  /** Every packet that is not the only one of its kind is translated: the megaflow cache takes next to nothing. */
  readonly uncached?: boolean;
  /** Both ports are devices of DPDK's, the same on both sides. */
  readonly dpdk?: boolean;
}

/** A daemon as users start it, with a bridge br0 of its own and an idle port 1. */
export interface Daemon {
  readonly client: OpenFlowClient;
  /** Another connection to the bridge; whoever opens it closes it. */
  openClient(): Promise<OpenFlowClient>;
  /** Resident memory in bytes. */
  resident(): number;
  /** Environment in which the ovs-* tools talk to this daemon. */
  readonly env: NodeJS.ProcessEnv;
  stop(): Promise<void>;
}

/** A daemon as users start it, with the host's devices and without a bridge. */
export type SystemDaemon = Pick<Daemon, "env" | "stop">;

/** A switch that can be measured. */
export interface Side {
  readonly name: "sluice" | "ovs";
  /** Undefined: can be measured; otherwise why not. */
  forwarderMissing(options?: ForwarderOptions): string | undefined;
  daemonMissing(): string | undefined;
  startForwarder(options?: ForwarderOptions): Promise<Forwarder>;
  /** DPDK's devices without a switch between them, for `seconds`, with buffers as this side lays them out. */
  bareLoop(seconds: number): Promise<Pick<Forwarding, "packetsPerSecond" | "cyclesPerPacket">>;
  startDaemon(): Promise<Daemon>;
  /** Started by the command `under`, which execs, with these in Open_vSwitch.other_config. */
  startSystemDaemon(under: readonly string[], config: readonly string[]): Promise<SystemDaemon>;
}
