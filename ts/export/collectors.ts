import { createSocket, type Socket } from "node:dgram";
import type { Logger } from "../log/index.js";
import { parseTarget, type Target } from "./targets.js";

/** Sends datagrams to each of several collectors. */

/** Datagrams that the host's sockets have not taken yet, at most; more are dropped and counted. */
const pendingMax = 1024;

export interface CollectorCounts {
  sent: number;
  /** Datagrams that could not be sent. */
  failed: number;
  dropped: number;
}

export class Collectors {
  readonly counts: CollectorCounts = { sent: 0, failed: 0, dropped: 0 };
  readonly size: number;
  readonly #log: Logger;
  readonly #open: { readonly target: Target; readonly socket: Socket; ready: boolean; waiting: Uint8Array[] }[] = [];
  #pending = 0;

  constructor(targets: readonly string[], defaultPort: number | undefined, log: Logger) {
    this.#log = log;
    for (const text of [...new Set(targets)].sort()) {
      const target = parseTarget(text, defaultPort);
      if (target === undefined) {
        log.warn(`couldn't open connection to collector (${text}: bad collector address)`);
        continue;
      }
      const socket = createSocket(target.host.includes(":") ? "udp6" : "udp4");
      const collector = { target, socket, ready: false, waiting: [] as Uint8Array[] };
      socket.unref();
      // A collector that is not there answers by ICMP, which is the next datagram's error.
      socket.on("error", (error) => this.#failed(target, error));
      socket.connect(target.port, target.host, () => {
        collector.ready = true;
        for (const datagram of collector.waiting.splice(0)) this.#send(collector, datagram);
      });
      this.#open.push(collector);
    }
    this.size = this.#open.length;
  }

  send(datagram: Uint8Array): void {
    for (const collector of this.#open) {
      if (this.#pending >= pendingMax) {
        this.counts.dropped++;
        continue;
      }
      this.#pending++;
      if (collector.ready) this.#send(collector, datagram);
      else collector.waiting.push(datagram);
    }
  }

  close(): void {
    for (const { socket } of this.#open.splice(0)) {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      socket.close();
    }
  }

  #send(collector: { readonly target: Target; readonly socket: Socket }, datagram: Uint8Array): void {
    collector.socket.send(datagram, (error) => {
      this.#pending--;
      if (error === null) this.counts.sent++;
      else this.#failed(collector.target, error);
    });
  }

  #failed({ host, port }: Target, error: Error): void {
    this.counts.failed++;
    const shown = host.includes(":") ? `[${host}]` : host;
    this.#log.warn(`${shown}:${port}: sending to collector failed (${error.message})`, { host, port });
  }
}
