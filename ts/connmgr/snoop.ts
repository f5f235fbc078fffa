import { type Listener, listen, type Stream, type StreamEvents } from "./stream.js";
import { Vconn } from "./vconn.js";
import { defaultVersions } from "./version.js";

/** Lets `ovs-ofctl snoop` see a controller's conversation.  What a snoop says is ignored. */

/** Snoops of one session; more are refused. */
const snoopsMax = 8;
/** A snoop that reads slowly misses messages instead of filling memory. */
const unsentSizeMax = 1024 * 1024;

export class Snoops {
  readonly #watched = new Map<object, Set<Vconn>>();
  #listener: Listener | undefined;
  readonly #pick: () => object | undefined;
  readonly #xid: () => number;
  readonly #all = new Set<Vconn>();

  /** `pick`: the session worth watching, or undefined when there is none. */
  constructor(pick: () => object | undefined, xid: () => number) {
    this.#pick = pick;
    this.#xid = xid;
  }

  listen(path: string, failed: (error: string) => void): void {
    this.#listener = listen(
      { kind: "unix", passive: true, path },
      { listening: () => undefined, failed, accepted: (stream) => this.#accept(stream) },
      undefined,
    );
  }

  /** A message of a session, in either direction. */
  seen(session: object, message: Uint8Array): void {
    const snoops = this.#watched.get(session);
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

  #accept(stream: Stream): StreamEvents {
    const session = this.#pick();
    const watching = session === undefined ? undefined : (this.#watched.get(session) ?? new Set<Vconn>());
    if (session === undefined || watching === undefined || watching.size >= snoopsMax) {
      stream.destroy();
      return { connected: () => undefined, data: () => undefined, closed: () => undefined };
    }
    const forget = (): void => {
      watching.delete(vconn);
      this.#all.delete(vconn);
      if (watching.size === 0) this.#watched.delete(session);
    };
    const vconn: Vconn = new Vconn(stream, defaultVersions, this.#xid, {
      ready: () => undefined,
      readable: () => {
        while (vconn.recv() !== undefined);
      },
      drained: () => undefined,
      closed: forget,
      remark: () => undefined,
      seen: () => undefined,
    });
    watching.add(vconn);
    this.#all.add(vconn);
    this.#watched.set(session, watching);
    return {
      connected: () => undefined,
      data: (chunk) => vconn.take(chunk),
      closed: (error) => vconn.streamClosed(error),
    };
  }
}
