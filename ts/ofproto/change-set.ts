import { abi, flowModOffsets } from "../datapath/generated/records.js";
import { checkMessageLength, decodeMessage, identifyMessage, OpenFlowError, withTlvMap } from "../openflow/index.js";
import type { Message, PacketOut, PortMod } from "../openflow/message.js";
import { CommandBatch } from "./abi-batch.js";
import {
  appendFlowMod,
  countFlowMod,
  errorText,
  type FlowModCounts,
  type FlowModForm,
  flowModError,
  transactionId,
} from "./flow-mods.js";
import { appendGroupMod, groupModError } from "./groups.js";
import type { Ofproto } from "./ofproto.js";
import { appendPacketOut, packetOutError } from "./packet-out.js";
import { applyPortMod, checkPortMod } from "./port-mod.js";
import type { Requester, RequestFailure } from "./requester.js";

/** Changes of a switch that are gathered, and then made all together or not at all: what a bundle of messages does.  All
 *  that goes to the tables is one batch of the datapath, so that no packet sees a part of it. */

/** Bytes that a set may have before one more message, of which there is room for the longest. */
const sizeMax = abi.batchSizeMax - 2 ** 20;

/** Requests and what kind of message they were.  A million of them may wait, so there is no object for each: the collector
 *  would go through them again and again. */
class RequestLog {
  readonly #buffers: ArrayBufferLike[] = [];
  readonly #at: number[] = [];
  readonly #sizes: number[] = [];
  readonly #kinds: Message["type"][] = [];

  add(bytes: Uint8Array, kind: Message["type"]): void {
    this.#buffers.push(bytes.buffer);
    this.#at.push(bytes.byteOffset);
    this.#sizes.push(bytes.length);
    this.#kinds.push(kind);
  }

  kind(index: number): Message["type"] | undefined {
    return this.#kinds[index];
  }

  bytes(index: number): Uint8Array | undefined {
    const buffer = this.#buffers[index];
    return buffer === undefined ? undefined : new Uint8Array(buffer, this.#at[index], this.#sizes[index]);
  }
}

export class ChangeSet {
  readonly #ofproto: Ofproto;
  readonly #batch = new CommandBatch(1024);
  /** Requests of the batch's commands, by index. */
  readonly #requests = new RequestLog();
  readonly #portMods: { readonly mod: PortMod; readonly request: Uint8Array }[] = [];

  readonly #flowMods: FlowModCounts = { adds: 0, modifies: 0, deletes: 0 };

  constructor(ofproto: Ofproto) {
    this.#ofproto = ofproto;
  }

  /** Flow_mods among the changes. */
  get flowMods(): Readonly<FlowModCounts> {
    return this.#flowMods;
  }

  /** Takes one message.  `request`, which nobody writes any more, is what errors of the commit echo: a copy of each would
   *  cost more than all the rest.  Throws OpenFlowError. */
  add(message: Uint8Array, request: Uint8Array, form: FlowModForm): void {
    if (this.#batch.size > sizeMax)
      throw new OpenFlowError("OFPBFC_MSG_TOO_MANY", "the bundle is too large to be committed");
    const kind = bundlable(message);
    if (kind === "flow_mod") {
      const at = this.#batch.size;
      withTlvMap(this.#ofproto.tlvs, () => appendFlowMod(this.#batch, this.#ofproto.bridge, message, form));
      countFlowMod(this.#flowMods, this.#batch, at);
      // All changes of the set are told together, as those of its first message.
      this.#batch.view.setUint32(at + flowModOffsets.origin, 1, true);
    } else {
      const context = { bridge: this.#ofproto.bridge, tableId: true, executedOnly: true };
      const decoded = withTlvMap(this.#ofproto.tlvs, () => decodeMessage(message, context));
      if (decoded.type === "packet_out") appendPacketOut(this.#batch, this.#ofproto, decoded as PacketOut);
      else if (decoded.type === "group_mod") appendGroupMod(this.#batch, this.#ofproto.bridge, decoded);
      else if (decoded.type === "port_mod") {
        this.#portMods.push({ mod: decoded, request });
        return;
      } else throw new OpenFlowError("OFPBFC_MSG_UNSUP", `a ${kind} cannot be in a bundle`);
    }
    this.#requests.add(request, kind);
  }

  /** Makes the changes.  Returns what failed; then nothing has changed.  `isAtomic` refuses port_mods, which take effect
   *  one by one. */
  commit(requester: Requester, isAtomic: boolean): RequestFailure | undefined {
    const failure = this.#checkPortMods(isAtomic) ?? this.#submit(requester);
    if (failure !== undefined) return failure;
    for (const { mod } of this.#portMods) applyPortMod(this.#ofproto, mod, requester);
    return undefined;
  }

  #checkPortMods(isAtomic: boolean): RequestFailure | undefined {
    for (const { mod, request } of this.#portMods) {
      try {
        if (isAtomic) throw new OpenFlowError("OFPBFC_MSG_FAILED", "a port_mod cannot be part of an atomic bundle");
        checkPortMod(this.#ofproto, mod);
      } catch (error) {
        if (!(error instanceof OpenFlowError)) throw error;
        return { request, error: error.code, sentence: error.message };
      }
    }
    return undefined;
  }

  /** Sends the batch; returns its first failure, in which case nothing of it has happened. */
  #submit(requester: Requester): RequestFailure | undefined {
    const results = this.#batch.submit(this.#ofproto.datapath, false);
    for (let index = 0; index < results.count; index++) {
      const code = results.error(index);
      const request = code === 0 ? undefined : this.#requests.bytes(index);
      if (request === undefined) continue;
      const kind = this.#requests.kind(index);
      const error =
        kind === "packet_out" ? packetOutError(code) : kind === "group_mod" ? groupModError(code) : flowModError(code);
      return { request, error, sentence: `the datapath says ${errorText(code)}` };
    }
    this.#ofproto.tellChanges(requester, () => transactionId(this.#requests.bytes(0)));
    return undefined;
  }
}

/** The kind of a message that may be in a bundle.  Throws OpenFlowError for any other. */
function bundlable(message: Uint8Array): Message["type"] {
  let name = "unknown";
  try {
    const identity = identifyMessage(message);
    checkMessageLength(message, identity);
    name = identity.row.name;
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
  }
  if (name === "flow_mod" || name === "group_mod" || name === "port_mod" || name === "packet_out") return name;
  throw new OpenFlowError("OFPBFC_MSG_UNSUP", `a message of kind ${name} cannot be in a bundle`);
}
