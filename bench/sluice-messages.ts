/** What the harness and the process under measurement say to each other. */
import type { Source } from "./frames.js";

export type SubjectRequest =
  | { readonly do: "source"; readonly port: number; readonly source: Source }
  | { readonly do: "replay"; readonly port: number; readonly pcap: string }
  | { readonly do: "dpdk"; readonly port: number; readonly devargs: string }
  | { readonly do: "stats" };

/** Counters since the start; every request is answered by them. */
export interface SubjectReply {
  readonly atMs: number;
  readonly packets: number;
  /** That the sink swallowed. */
  readonly delivered: number;
  readonly misses: number;
  readonly busyCycles: number;
  readonly megaflows: number;
  readonly masks: number;
  readonly resident: number;
}
