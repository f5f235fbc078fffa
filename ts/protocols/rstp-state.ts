/** The variables of the rapid spanning tree protocol, named as the standard names them.  Pure. */
import type { BridgeId } from "./bpdu.js";

/** Table 17-1, in seconds. */
export const rstpTimes = { hello: 2, migrate: 3 } as const;

export interface RstpSettings {
  readonly name: string;
  readonly address: bigint;
  readonly priority: number;
  /** 0: as plain spanning tree bridges do; 2: rapid. */
  readonly version: number;
  /** Seconds. */
  readonly maxAge: number;
  readonly forwardDelay: number;
  readonly transmitHoldCount: number;
}

export interface RstpPortSettings {
  readonly name: string;
  /** 1 to 4095. */
  readonly number: number;
  readonly priority: number;
  readonly pathCost: number;
  readonly carrier: boolean;
  readonly adminState: boolean;
  readonly adminEdge: boolean;
  readonly autoEdge: boolean;
  readonly migrationCheck: boolean;
  readonly pointToPoint: boolean;
}

export type RstpRole = "root" | "designated" | "alternate" | "backup" | "disabled";
export type RstpPortState = "discarding" | "learning" | "forwarding";

/** Who is the root, how far it is, and who says so: less is better, compared from first to last. */
export interface Priority {
  readonly root: BridgeId;
  readonly cost: number;
  readonly bridge: BridgeId;
  readonly port: number;
}

/** Seconds. */
export interface Times {
  readonly messageAge: number;
  readonly maxAge: number;
  readonly hello: number;
  readonly forwardDelay: number;
}

export type Message =
  | { readonly kind: "tcn" }
  | { readonly kind: "config" | "rapid"; readonly flags: number; readonly priority: Priority; readonly times: Times };

export interface RstpPort extends RstpPortSettings {
  readonly role: RstpRole;
  readonly selectedRole: RstpRole;
  readonly infoIs: "disabled" | "aged" | "mine" | "received";
  /** Of the machines that are in a state of their own: 17.24, 17.29, 17.30, 17.31. */
  readonly migration: "checking" | "sensing" | "selecting";
  /** What the role asks for has been done: a port that must not forward has stopped. */
  readonly isSettled: boolean;
  readonly state: RstpPortState;
  readonly changes: "inactive" | "learning" | "active";
  /** A BPDU that waits; the one being worked on while `rcvdMsg`. */
  readonly message: Message | undefined;
  readonly rcvdMsg: boolean;
  readonly rcvdRstp: boolean;
  readonly rcvdStp: boolean;
  readonly rcvdTc: boolean;
  readonly rcvdTcn: boolean;
  readonly rcvdTcAck: boolean;
  readonly tcProp: boolean;
  readonly tcAck: boolean;
  readonly sendRstp: boolean;
  readonly mcheck: boolean;
  readonly operEdge: boolean;
  readonly portPriority: Priority;
  readonly portTimes: Times;
  readonly designatedPriority: Priority;
  readonly designatedTimes: Times;
  readonly proposing: boolean;
  readonly proposed: boolean;
  readonly agree: boolean;
  readonly agreed: boolean;
  readonly disputed: boolean;
  readonly learn: boolean;
  readonly forward: boolean;
  readonly learning: boolean;
  readonly forwarding: boolean;
  readonly sync: boolean;
  readonly synced: boolean;
  readonly reRoot: boolean;
  readonly selected: boolean;
  readonly reselect: boolean;
  readonly updtInfo: boolean;
  readonly newInfo: boolean;
  readonly edgeDelayWhile: number;
  readonly fdWhile: number;
  readonly helloWhen: number;
  readonly mdelayWhile: number;
  readonly rbWhile: number;
  readonly rcvdInfoWhile: number;
  readonly rrWhile: number;
  readonly tcWhile: number;
  readonly txCount: number;
  readonly sent: number;
  readonly received: number;
  readonly errors: number;
  /** Seconds. */
  readonly uptime: number;
}

export interface RstpState {
  readonly settings: RstpSettings;
  readonly bridgeId: BridgeId;
  readonly times: Times;
  readonly rootPriority: Priority;
  /** 0: this bridge is the root. */
  readonly rootPortId: number;
  readonly rootTimes: Times;
  /** When the timers last counted. */
  readonly ticked: number;
  /** By ascending number. */
  readonly ports: readonly RstpPort[];
}

export interface RstpStep {
  readonly state: RstpState;
  readonly transmissions: readonly { readonly port: string; readonly pdu: Uint8Array }[];
  /** Ports. */
  readonly flush: readonly string[];
}
