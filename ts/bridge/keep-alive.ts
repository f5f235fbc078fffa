import {
  command,
  keepaliveDelSize,
  keepaliveSetSize,
  writeKeepaliveDel,
  writeKeepaliveSet,
} from "../datapath/generated/records.js";
import { keepaliveInfo, type QueryTarget } from "../datapath/index.js";
import { CommandBatch, type FlowDatapath } from "../ofproto/index.js";

/** One session of keep-alives in the datapath: frames that it sends and expects by itself, however busy we are. */

export interface KeptFrames {
  readonly frame: Uint8Array;
  /** Where in `frame` a number is that goes up; 0: nowhere. */
  readonly seqAt: number;
  readonly actions: Uint8Array;
  /** Between two frames, from the least to the most. */
  readonly intervalMs: readonly [least: number, most: number];
  /** Until the first of them. */
  readonly firstMs: number;
  /** What the other end sends; undefined: every frame is for us. */
  readonly expected: Uint8Array | undefined;
  readonly expectedSeqAt: number;
  /** Silence that is told, and silence until now. */
  readonly detectMs: number;
  readonly silentMs: number;
}

/** What the datapath did since the last time. */
export interface KeepAliveNews {
  /** Frames that were expected, and how long ago the last of them came. */
  readonly heard: number;
  readonly heardAgoMs: number;
  /** The last of them, with its number. */
  readonly frame: Uint8Array;
  readonly rxSeq: number;
  readonly sent: number;
  /** Undefined: none was sent yet. */
  readonly sentAgoMs: number | undefined;
  readonly nextInMs: number;
  readonly txSeq: number;
}

export interface KeepAliveDatapath extends FlowDatapath, QueryTarget {
  now(): number;
}

/** The datapath counts whole milliseconds.  Its word must not come before the state machine agrees that the time is over: there
 *  is no second one. */
const roundingMs = 2;

const nothing = new Uint8Array(0);

/** The bytes but for the number. */
function unnumbered(bytes: Uint8Array, seqAt: number): Uint8Array {
  if (seqAt === 0) return bytes;
  const copy = bytes.slice();
  copy.fill(0, seqAt, seqAt + 4);
  return copy;
}

export class KeepAlive {
  readonly #datapath: KeepAliveDatapath;
  readonly #bridge: number;
  readonly #protocol: number;
  #ofport: number | undefined;
  #frames: KeptFrames | undefined;
  #text = "";
  #heard = 0n;
  #sent = 0n;

  constructor(datapath: KeepAliveDatapath, bridge: number, protocol: number) {
    this.#datapath = datapath;
    this.#bridge = bridge;
    this.#protocol = protocol;
  }

  get isSending(): boolean {
    return this.#frames !== undefined;
  }

  /** Whether frames that come as expected are not for us. */
  get isListening(): boolean {
    return this.#frames?.expected !== undefined;
  }

  /** Hands over.  What differs from before by nothing but times of the moment changes nothing.  Returns whether the
   *  datapath has it. */
  set(ofport: number, frames: KeptFrames): boolean {
    const { frame, seqAt, expected, expectedSeqAt, actions, intervalMs, detectMs } = frames;
    const text = [
      unnumbered(frame, seqAt).join(),
      expected === undefined ? "" : unnumbered(expected, expectedSeqAt).join(),
      actions.join(),
      ...intervalMs,
      detectMs,
    ].join("/");
    if (this.#ofport !== undefined && this.#ofport !== ofport) this.close();
    if (text === this.#text && this.#frames !== undefined) return true;
    const batch = new CommandBatch(1024);
    const write = (view: DataView, at: number): void => {
      writeKeepaliveSet(view, at, {
        type: command.keepaliveSet,
        flags: 0,
        size: 0,
        bridge: this.#bridge,
        ofpPort: ofport,
        protocol: this.#protocol,
        intervalMinMs: intervalMs[0],
        intervalMaxMs: intervalMs[1],
        firstMs: Math.max(0, Math.round(frames.firstMs)),
        detectMs: expected === undefined ? 0 : Math.ceil(detectMs) + roundingMs,
        silentMs: Math.max(0, Math.floor(frames.silentMs)),
        seqAt,
        expectedSeqAt: expected === undefined ? 0 : expectedSeqAt,
        actionsSize: actions.length,
        frameSize: frame.length,
        expectedSize: expected?.length ?? 0,
      });
    };
    batch.add(keepaliveSetSize, write, actions, frame, expected ?? nothing);
    if (batch.submit(this.#datapath, false).error(0) !== 0) {
      this.close();
      return false;
    }
    this.#ofport = ofport;
    this.#frames = frames;
    this.#text = text;
    return true;
  }

  /** What came of it since the last time; undefined when nothing was handed over. */
  news(): KeepAliveNews | undefined {
    if (this.#ofport === undefined || this.#frames === undefined) return undefined;
    const info = keepaliveInfo(this.#datapath, this.#bridge, this.#ofport, this.#protocol);
    if (info === undefined) return undefined;
    const now = this.#datapath.now();
    const heard = Number(info.nRx - this.#heard);
    const sent = Number(info.nTx - this.#sent);
    this.#heard = info.nRx;
    this.#sent = info.nTx;
    const frame = (this.#frames.expected ?? nothing).slice();
    const { expectedSeqAt } = this.#frames;
    if (expectedSeqAt !== 0 && frame.length > 0) new DataView(frame.buffer).setUint32(expectedSeqAt, info.rxSeq);
    return {
      heard,
      heardAgoMs: Math.max(0, now - Number(info.lastRxMs)),
      frame,
      rxSeq: info.rxSeq,
      sent,
      sentAgoMs: info.nTx === 0n ? undefined : Math.max(0, now - Number(info.lastTxMs)),
      nextInMs: Math.max(1, Number(info.nextTxMs) - now),
      txSeq: info.txSeq,
    };
  }

  /** A frame came that was not the expected one: all that follow are for us until the next `set`. */
  surprised(): void {
    if (this.#frames === undefined) return;
    this.#frames = { ...this.#frames, expected: undefined };
    this.#text = "";
  }

  /** Takes back what was handed over. */
  close(): void {
    if (this.#ofport !== undefined) {
      const batch = new CommandBatch(256);
      const record = {
        type: command.keepaliveDel,
        flags: 0,
        size: 0,
        bridge: this.#bridge,
        ofpPort: this.#ofport,
        protocol: this.#protocol,
      };
      batch.add(keepaliveDelSize, (view, at) => writeKeepaliveDel(view, at, record));
      batch.submit(this.#datapath, false);
    }
    this.#ofport = undefined;
    this.#frames = undefined;
    this.#text = "";
    this.#heard = 0n;
    this.#sent = 0n;
  }
}
