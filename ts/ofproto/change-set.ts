import { abi, flowModOffsets } from "../datapath/generated/records.js";
import {
  checkMessageLength,
  decodeMessage,
  identifyMessage,
  isFlowMod,
  type MessageSpan,
  OpenFlowError,
  swapTlvMap,
  withTlvMap,
} from "../openflow/index.js";
import type { GroupMod, Message, PacketOut, PortMod } from "../openflow/message.js";
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
import { appendGroupMod, doneGroupMod, groupModError } from "./groups.js";
import type { Ofproto } from "./ofproto.js";
import { appendPacketOut, packetOutError } from "./packet-out.js";
import { applyPortMod, checkPortMod } from "./port-mod.js";
import { RequestLog } from "./request-log.js";
import type { Requester, RequestFailure } from "./requester.js";

/** Changes of a switch that are gathered, and then made all together or not at all: what a bundle of messages does.  All
 *  that goes to the tables is one batch of the datapath, so that no packet sees a part of it. */

/** Bytes that a set may have before one more message, of which there is room for the longest. */
const sizeMax = abi.batchSizeMax - 2 ** 20;

/** The batch of a set that is over, for the next set: memory that grows anew costs more than the messages of a bundle. */
let spare: CommandBatch | undefined;
/** Bytes above which a batch is not kept. */
const spareSizeMax = 4 * 2 ** 20;

function takeBatch(): CommandBatch {
  const batch = spare ?? new CommandBatch(1024);
  spare = undefined;
  return batch;
}

export class ChangeSet {
  readonly #ofproto: Ofproto;
  readonly #batch = takeBatch();
  /** Requests of the batch's commands, by index. */
  readonly #requests = new RequestLog<Message["type"]>();
  readonly #portMods: { readonly mod: PortMod; readonly request: Uint8Array }[] = [];

  readonly #groupMods: { readonly mod: GroupMod; readonly requestXid: number }[] = [];

  readonly #flowMods: FlowModCounts = { adds: 0, modifies: 0, deletes: 0 };

  constructor(ofproto: Ofproto) {
    this.#ofproto = ofproto;
  }

  /** Flow_mods among the changes. */
  get flowMods(): Readonly<FlowModCounts> {
    return this.#flowMods;
  }

  /** Takes the message in [start, end) of a request, which nobody writes any more: errors of the commit echo it, and a copy
   *  of each would cost more than all the rest.  Throws OpenFlowError. */
  add(
    { bytes, start: requestStart, end: requestEnd }: MessageSpan,
    start: number,
    end: number,
    form: FlowModForm,
  ): void {
    if (this.#batch.size > sizeMax)
      throw new OpenFlowError("OFPBFC_MSG_TOO_MANY", "the bundle is too large to be committed");
    if (isFlowMod(bytes, start, end)) {
      this.#addFlowMod(bytes, start, end, form);
      this.#requests.add(bytes, requestStart, requestEnd, "flow_mod");
      return;
    }
    const message = bytes.subarray(start, end);
    const kind = bundlable(message);
    const context = { bridge: this.#ofproto.bridge, tableId: true, executedOnly: true };
    const decoded = withTlvMap(this.#ofproto.tlvs, () => decodeMessage(message, context));
    if (decoded.type === "packet_out") appendPacketOut(this.#batch, this.#ofproto, decoded as PacketOut);
    else if (decoded.type === "group_mod") {
      const { version: _version, xid: _xid, ...mod } = decoded;
      appendGroupMod(this.#batch, this.#ofproto.bridge, mod);
      const requestXid = transactionId(bytes.subarray(requestStart, requestEnd));
      this.#groupMods.push({ mod, requestXid });
    } else if (decoded.type === "port_mod") {
      this.#portMods.push({ mod: decoded, request: bytes.subarray(requestStart, requestEnd) });
      return;
    } else throw new OpenFlowError("OFPBFC_MSG_UNSUP", `a ${kind} cannot be in a bundle`);
    this.#requests.add(bytes, requestStart, requestEnd, kind);
  }

  #addFlowMod(bytes: Uint8Array, start: number, end: number, form: FlowModForm): void {
    const at = this.#batch.size;
    const before = swapTlvMap(this.#ofproto.tlvs);
    try {
      appendFlowMod(this.#batch, this.#ofproto.bridge, bytes, start, end, form);
    } finally {
      swapTlvMap(before);
    }
    countFlowMod(this.#flowMods, this.#batch, at);
    // All changes of the set are told together, as those of its first message.
    this.#batch.view.setUint32(at + flowModOffsets.origin, 1, true);
  }

  /** Makes the changes; then the set is over.  Returns what failed; then nothing has changed.  `isAtomic` refuses port_mods,
   *  which take effect one by one. */
  commit(requester: Requester, isAtomic: boolean): RequestFailure | undefined {
    const failure = this.#checkPortMods(isAtomic) ?? this.#submit(requester);
    this.#batch.clear();
    if (this.#batch.capacity <= spareSizeMax) spare = this.#batch;
    if (failure !== undefined) return failure;
    for (const { mod, requestXid } of this.#groupMods) {
      const request = doneGroupMod(this.#ofproto, mod);
      this.#ofproto.tellRequest({ requestXid, request, origin: requester });
    }
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
