import { checkMessageLength, identifyMessage, type MessageIdentity, OpenFlowError } from "../openflow/index.js";

/** Requests that come in several messages (OFPMPF_REQ_MORE), put together before they are handled.  Pure: time is the
 *  caller's.  Every multipart request passes, so that what comes out has a length that fits its kind. */

/** The next part of a request must come within this time. */
const patienceMs = 1000;
/** Bytes of all parts; features of all tables can be over a megabyte. */
const sizeMax = 4 * 1024 * 1024;

interface Partial {
  readonly name: string;
  readonly parts: Uint8Array[];
  size: number;
  hasBody: boolean;
  dueMs: number;
}

/** Whether the message is a multipart request (a statistics request before OpenFlow 1.3). */
export function isMultipartRequest(bytes: Uint8Array): boolean {
  return bytes[1] === (bytes[0] === 1 ? 16 : 18);
}

export class MultipartAssembler {
  readonly #byXid = new Map<number, Partial>();

  /** Takes a multipart request; returns all parts of its request when it was the last, else undefined.  Parts without a
   *  body are left out as long as one is left.  Throws OpenFlowError. */
  take(bytes: Uint8Array, now: number): readonly Uint8Array[] | undefined {
    const identity = identifyMessage(bytes);
    const hasBody = bytes.length > identity.bodyAt;
    if (hasBody) checkMessageLength(bytes, identity);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const more = (bytes[0] as number) >= 4 && (view.getUint16(10) & 1) !== 0;
    const xid = view.getUint32(4);
    if (!more && this.#byXid.size === 0) {
      checkBody(hasBody, identity);
      return [bytes];
    }
    return this.#add(xid, bytes, identity, hasBody, more, now);
  }

  /** When to call `expire`. */
  get deadline(): number | undefined {
    let first: number | undefined;
    for (const { dueMs } of this.#byXid.values()) if (first === undefined || dueMs < first) first = dueMs;
    return first;
  }

  /** Gives up requests whose next part is overdue; returns the last part of each, for the error. */
  expire(now: number): readonly Uint8Array[] {
    const last: Uint8Array[] = [];
    for (const [xid, partial] of this.#byXid) {
      if (partial.dueMs > now) continue;
      const part = partial.parts.at(-1);
      if (part !== undefined) last.push(part);
      this.#byXid.delete(xid);
    }
    return last;
  }

  #add(
    xid: number,
    bytes: Uint8Array,
    identity: MessageIdentity,
    hasBody: boolean,
    more: boolean,
    now: number,
  ): readonly Uint8Array[] | undefined {
    const name = `${identity.row.space} ${identity.row.name}`;
    const partial = this.#byXid.get(xid) ?? { name, parts: [], size: 0, hasBody: false, dueMs: 0 };
    this.#byXid.delete(xid);
    if (partial.name !== name)
      throw new OpenFlowError("OFPBRC_BAD_STAT", "the parts of a request are of different kinds");
    partial.size += bytes.length;
    if (partial.size > sizeMax)
      throw new OpenFlowError("OFPBRC_MULTIPART_BUFFER_OVERFLOW", `a request of ${partial.size} bytes is too long`);
    partial.hasBody ||= hasBody;
    partial.dueMs = now + patienceMs;
    partial.parts.push(bytes.slice());
    if (more) {
      this.#byXid.set(xid, partial);
      return undefined;
    }
    checkBody(partial.hasBody, identity);
    const filled = partial.parts.filter((part) => part.length > identity.bodyAt);
    return filled.length > 0 ? filled : partial.parts.slice(-1);
  }
}

function checkBody(hasBody: boolean, { row }: MessageIdentity): void {
  if (!hasBody && row.bodyMin > 0) throw new OpenFlowError("OFPBRC_BAD_LEN", `a ${row.name} needs a body`);
}
