import { OpenFlowError } from "../openflow/index.js";

/** The bundles of one connection: messages that a controller gathers under an id and then commits together.  Pure: what a
 *  bundle gathers (`Changes`) and the time are the caller's. */

interface MessageBundle<Changes> {
  readonly flags: number;
  /** The message that opened it, for the error when it times out. */
  readonly request: Uint8Array;
  readonly changes: Changes;
  usedMs: number;
  isClosed: boolean;
}

/** A bundle that is not used for so long is forgotten, with an error; other_config:bundle-idle-timeout changes it. */
export const bundleIdleMsDefault = 10_000;
/** Bundles are looked through for idle ones so often. */
export const bundleSweepMs = 1000;

export class MessageBundles<Changes> {
  readonly #byId = new Map<number, MessageBundle<Changes>>();

  get size(): number {
    return this.#byId.size;
  }

  /** Throws OpenFlowError; whatever does so forgets the bundle. */
  open(id: number, flags: number, request: Uint8Array, changes: Changes, now: number): void {
    if (this.#byId.delete(id)) throw new OpenFlowError("OFPBFC_BAD_ID", `bundle ${id} exists already`, { id });
    this.#byId.set(id, { flags, request: request.slice(), changes, usedMs: now, isClosed: false });
  }

  close(id: number, flags: number, now: number): void {
    const bundle = this.#writable(id, flags);
    bundle.isClosed = true;
    bundle.usedMs = now;
  }

  /** What an open bundle has gathered. */
  changes(id: number): Changes | undefined {
    return this.#byId.get(id)?.changes;
  }

  /** One more message came for a bundle that is known. */
  use(id: number, flags: number, now: number): void {
    this.#writable(id, flags).usedMs = now;
  }

  /** Takes the bundle out, to be committed. */
  take(id: number, flags: number): Changes {
    const bundle = this.#known(id);
    this.#byId.delete(id);
    if (bundle.flags !== flags) throw new OpenFlowError("OFPBFC_BAD_FLAGS", `bundle ${id} has other flags`, { id });
    return bundle.changes;
  }

  discard(id: number): void {
    this.#known(id);
    this.#byId.delete(id);
  }

  /** Forgets the bundles that nobody used for `idleMs`; returns the messages that opened them. */
  expire(now: number, idleMs: number): readonly Uint8Array[] {
    const requests: Uint8Array[] = [];
    for (const [id, bundle] of this.#byId) {
      if (bundle.usedMs > now - idleMs) continue;
      requests.push(bundle.request);
      this.#byId.delete(id);
    }
    return requests;
  }

  #known(id: number): MessageBundle<Changes> {
    const bundle = this.#byId.get(id);
    if (bundle === undefined) throw new OpenFlowError("OFPBFC_BAD_ID", `there is no bundle ${id}`, { id });
    return bundle;
  }

  #writable(id: number, flags: number): MessageBundle<Changes> {
    const bundle = this.#known(id);
    if (!bundle.isClosed && bundle.flags === flags) return bundle;
    this.#byId.delete(id);
    if (bundle.isClosed) throw new OpenFlowError("OFPBFC_BUNDLE_CLOSED", `bundle ${id} is closed`, { id });
    throw new OpenFlowError("OFPBFC_BAD_FLAGS", `bundle ${id} has other flags`, { id });
  }
}
