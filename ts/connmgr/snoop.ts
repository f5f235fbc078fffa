import type { Logger, LogSource } from "../log/index.js";
import { type Listener, listen, type Stream, type StreamEvents } from "./stream.js";
import { Vconn } from "./vconn.js";
import { defaultVersions } from "./version.js";

/** Lets `ovs-ofctl snoop` see a controller's conversation.  What a snoop says is ignored. */

/** Snoops of one controller; more are refused. */
const snoopsMax = 8;
/** A snoop that reads slowly misses messages instead of filling memory. */
const unsentSizeMax = 1024 * 1024;

export class Snoops {
  readonly #watched = new Map<object, Set<Vconn>>();
  #listener: Listener | undefined;
  readonly #pick: () => object | undefined;
  readonly #xid: () => number;
  readonly #all = new Set<Vconn>();

  readonly #log: Logger;
  readonly #rconnLog: Logger;

  /** `pick`: the controller worth watching, or undefined when there is none; it is watched through all the connections
   *  that it will have. */
  constructor(pick: () => object | undefined, xid: () => number, logs: LogSource) {
    this.#pick = pick;
    this.#xid = xid;
    this.#log = logs("connmgr").limited(1, 5);
    this.#rconnLog = logs("rconn");
  }

  listen(path: string, failed: (error: string) => void): void {
    this.#listener = listen(
      { kind: "unix", passive: true, path },
      {
        listening: () => undefined,
        failed,
        acceptFailed: (error) => this.#log.warn(`accept failed (${error})`),
        accepted: (stream, peer) => this.#accept(stream, peer),
      },
      { dscp: 0 },
    );
  }

  /** A controller is no longer configured. */
  forget(controller: object): void {
    for (const snoop of this.#watched.get(controller) ?? []) {
      snoop.close();
      this.#all.delete(snoop);
    }
    this.#watched.delete(controller);
  }

  /** Whether anybody listens to a controller's session. */
  isWatching(controller: object): boolean {
    return this.#watched.has(controller);
  }

  /** A message of a controller's session, in either direction. */
  seen(controller: object, message: Uint8Array): void {
    const snoops = this.#watched.get(controller);
    if (snoops === undefined) return;
    const copy = message.slice();
    for (const snoop of snoops) {
      if (snoop.version !== undefined && snoop.unsentSize + copy.length <= unsentSizeMax) snoop.send(copy);
    }
  }

  close(): void {
    this.#listener?.close();
    this.#listener = undefined;
    for (const snoop of this.#all) snoop.destroy();
    this.#all.clear();
    this.#watched.clear();
  }

  #accept(stream: Stream, peer: string): StreamEvents {
    const controller = this.#pick();
    const watching = controller === undefined ? undefined : (this.#watched.get(controller) ?? new Set<Vconn>());
    if (controller === undefined || watching === undefined || watching.size >= snoopsMax) {
      if (controller === undefined) this.#log.info("no controller connection to snoop");
      else this.#rconnLog.dbg(`too many monitor connections, discarding ${peer}`);
      stream.destroy();
      return { connected: () => undefined, data: () => undefined, closed: () => undefined };
    }
    this.#rconnLog.info(`new monitor connection from ${peer}`);
    const forget = (): void => {
      watching.delete(vconn);
      this.#all.delete(vconn);
      if (watching.size === 0) this.#watched.delete(controller);
    };
    const vconn: Vconn = new Vconn(stream, defaultVersions, this.#xid, {
      ready: () => undefined,
      readable: () => {
        while (vconn.recv() !== undefined);
      },
      drained: () => undefined,
      closed: forget,
      remark: () => undefined,
      isWatched: () => false,
      seen: () => undefined,
      passed: () => undefined,
      agreed: () => undefined,
    });
    watching.add(vconn);
    this.#all.add(vconn);
    this.#watched.set(controller, watching);
    return {
      connected: () => undefined,
      data: (chunk) => vconn.take(chunk),
      closed: (error) => vconn.streamClosed(error),
    };
  }
}
