import { traceNote } from "../datapath/generated/records.js";
import type { Remark } from "../datapath/index.js";
import { traceFlow, traceWords } from "./flow-table.js";
import type { Ofprotos } from "./ofprotos.js";
import { warningText } from "./trace-remarks.js";

/** A number whose bytes lie in memory in network order, read as the machine reads numbers. */
function asInMemory(value: bigint): bigint {
  const word = new BigUint64Array(1);
  new DataView(word.buffer).setBigUint64(0, value);
  return word[0] ?? 0n;
}

/** Warnings about what translations of packets ran into, in the log as Open vSwitch writes them. */
export class TranslationLog {
  readonly #all: Ofprotos;
  readonly #xlate;
  readonly #debug;
  readonly #upcall;
  readonly #learn;

  constructor(all: Ofprotos) {
    this.#all = all;
    this.#xlate = all.log("ofproto_dpif_xlate").limited(1, 5);
    this.#debug = all.log("ofproto_dpif_xlate").limited(30, 300);
    this.#upcall = all.log("ofproto_dpif_upcall").limited(1, 1);
    this.#learn = all.log("ofproto").limited(1, 5);
  }

  remark(remark: Remark): void {
    const ofproto = this.#all.byId(remark.bridge);
    if (ofproto === undefined) return;
    const { code, a: cookie } = remark;
    if (code === traceNote.learnLimit) {
      // Open vSwitch prints the cookie as it lies in memory.
      this.#learn.info(`Learn limit for flow ${asInMemory(cookie)} reached.`, { bridge: ofproto.name, cookie });
      return;
    }
    const words = traceWords(ofproto, false, true);
    const what = warningText({ ...remark, d: 0n }, words);
    if (code > traceNote.truncPatch) {
      this.#debug.dbg(`bridge ${ofproto.name}: ${what}`, { bridge: ofproto.name, what });
      return;
    }
    const flow = words.flow(remark.key);
    this.#xlate.warn(`${what} on bridge ${ofproto.name} while processing ${flow}`, {
      bridge: ofproto.name,
      what,
      flow,
    });
    if (code === traceNote.recursionTooDeep || code === traceNote.tooManyResubmits) this.#explain(remark);
  }

  /** Tells the whole way of a packet that went around. */
  #explain(remark: Remark): void {
    const first = this.#all.byId(remark.firstBridge);
    if (first === undefined || remark.firstKey.length === 0) return;
    this.#upcall.warn(traceFlow(first, remark.firstKey, {}).text, { bridge: first.name });
  }
}
