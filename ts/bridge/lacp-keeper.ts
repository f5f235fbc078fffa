import type { Clock, Timer } from "../clock/index.js";
import { outputAction } from "../ofproto/index.js";
import {
  countLacp,
  isSteadyLacp,
  type LacpMember,
  type LacpState,
  lacpDetectMs,
  lacpDue,
  lacpIntervalMs,
  lacpTransmits,
  receiveLacp,
} from "../protocols/index.js";
import type { KeepAlive } from "./keep-alive.js";

/** Leaves to the datapath what repeats itself of an aggregation's LACP: PDUs that say nothing new, sent and received. */

export interface LacpKeeperOptions {
  readonly clock: Clock;
  readonly keepAlive: () => KeepAlive;
  /** Whether the datapath is to send and listen by itself: not while time stands still. */
  readonly delegates: () => boolean;
  /** Hands out the frames that wait. */
  readonly takeEvents: () => void;
}

interface Kept {
  readonly session: KeepAlive;
  readonly ofport: number;
  /** The last frame that was sent. */
  sent: Uint8Array | undefined;
  /** The last that came, if it changes nothing when it comes again. */
  heard: Uint8Array | undefined;
}

/** How often is looked, to be sure, after what the datapath would tell. */
const safetyLookMs = 1000;

/** What follows the Ethernet header of a frame. */
export const lacpOfFrame = (frame: Uint8Array): Uint8Array => frame.subarray(frame[12] === 0x81 ? 18 : 14);

export class LacpKeeper {
  readonly #options: LacpKeeperOptions;
  readonly #kept = new Map<string, Kept>();
  #delegation: Timer | undefined;

  constructor(options: LacpKeeperOptions) {
    this.#options = options;
  }

  /** The state with what the datapath sent and heard meanwhile. */
  sync(before: LacpState): LacpState {
    let state = before;
    const now = this.#options.clock.monotonic();
    for (const [name, { session }] of this.#kept) {
      const news = session.news();
      if (news === undefined) continue;
      if (news.heard > 0) state = receiveLacp(state, name, lacpOfFrame(news.frame), now - news.heardAgoMs).state;
      const txDue = news.sent > 0 ? now + news.nextInMs : undefined;
      state = countLacp(state, name, { rxPdus: Math.max(0, news.heard - 1), txPdus: news.sent, txDue });
    }
    return state;
  }

  /** A frame was sent by a member. */
  sent(name: string, ofport: number, frame: Uint8Array): void {
    let kept = this.#kept.get(name);
    if (kept?.ofport !== ofport) {
      kept?.session.close();
      kept = { session: this.#options.keepAlive(), ofport, sent: undefined, heard: undefined };
      this.#kept.set(name, kept);
    }
    kept.sent = frame;
  }

  /** A frame came by a member, and made `after` of `before`. */
  heard(name: string, frame: Uint8Array, before: LacpState, after: LacpState): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    kept.session.surprised();
    kept.heard = isSteadyLacp(before, after, name) ? frame.slice() : undefined;
  }

  /** Once what is due now was done: has the datapath go on with it. */
  schedule(state: () => LacpState | undefined, done: () => void): void {
    if (this.#kept.size === 0 || this.#delegation !== undefined) return;
    this.#delegation = this.#options.clock.after(0, () => {
      this.#delegation = undefined;
      this.#options.takeEvents();
      this.#delegate(state());
      done();
    });
  }

  /** When there is something to do that the datapath does not do. */
  due(state: LacpState): number {
    const now = this.#options.clock.monotonic();
    let isListening = false;
    const due = lacpDue(state, ({ name, txDue }) => {
      const session = this.#kept.get(name)?.session;
      isListening ||= session?.isListening === true;
      return { sends: session?.isSending === true && txDue > now, listens: session?.isListening === true };
    });
    return isListening ? Math.min(due, now + safetyLookMs) : due;
  }

  close(): void {
    this.#delegation?.cancel();
    this.#delegation = undefined;
    for (const { session } of this.#kept.values()) session.close();
    this.#kept.clear();
  }

  #delegate(state: LacpState | undefined): void {
    if (state === undefined || !this.#options.delegates()) {
      for (const { session } of this.#kept.values()) session.close();
      return;
    }
    const now = this.#options.clock.monotonic();
    for (const [name, kept] of this.#kept) {
      const member = state.members.find((each) => each.name === name);
      if (member !== undefined && lacpTransmits(state, member)) this.#hand(state, member, kept, now);
      else kept.session.close();
    }
  }

  #hand(state: LacpState, member: LacpMember, { session, ofport, sent, heard }: Kept, now: number): void {
    if (sent === undefined || member.txDue <= now || state.stale) return;
    const detectMs = lacpDetectMs(state);
    const intervalMs = lacpIntervalMs(member);
    session.set(ofport, {
      frame: sent,
      seqAt: 0,
      actions: outputAction(ofport),
      intervalMs: [intervalMs, intervalMs],
      firstMs: member.txDue - now,
      expected: member.status === "current" ? heard : undefined,
      expectedSeqAt: 0,
      detectMs,
      silentMs: now - (member.rxDue - detectMs),
    });
  }
}
