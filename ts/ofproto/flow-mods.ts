import {
  error,
  flowCommand,
  flowFlag,
  flowModOffsets,
  flowModSize,
  writeFlowMod,
} from "../datapath/generated/records.js";
import { pad8 } from "../datapath/index.js";
import { type ByteWriter, decodeFlowMod, type ErrorName, lastFlowModBuffer, OpenFlowError } from "../openflow/index.js";
import type { FlowMod } from "../openflow/message.js";
import { keyMember } from "../openflow/tables/key.js";
import { CommandBatch, type FlowDatapath } from "./abi-batch.js";
import { wholeMatch } from "./abi-match.js";
import { RequestLog } from "./request-log.js";
import type { RequestFailure } from "./requester.js";

/** Flow_mods on their way to the datapath: as many as came together go down as one batch, in which each stands alone. */

/** Table that belongs to the switch itself; controllers see the tables below it. */
export const internalTable = 254;
/** Tables that controllers see: 0 to 253. */
export const visibleTables = 254;
/** "No buffer": the only buffer that there is. */
const noBuffer = 0xffffffff;

/** Bit of the first byte of a match's map of words: the word of the flow key that holds dp_hash. */
const dpHashWord = 1 << (keyMember("dp_hash").offset / 8);

/** The OpenFlow error for an error of the ABI. */
export function flowModError(code: number): ErrorName {
  switch (code) {
    case error.tableFull:
    case error.noMemory:
      return "OFPFMFC_TABLE_FULL";
    case error.overlap:
      return "OFPFMFC_OVERLAP";
    case error.badTable:
      return "OFPFMFC_BAD_TABLE_ID";
    case error.badMatch:
      return "OFPBMC_BAD_VALUE";
    case error.unsupportedAction:
      return "OFPBAC_BAD_TYPE";
    case error.badAction:
      return "OFPBAC_BAD_ARGUMENT";
    case error.noSuchGroup:
      return "OFPBAC_BAD_OUT_GROUP";
    case error.noSuchMeter:
      return "OFPMMFC_INVALID_METER";
    case error.noSuchPort:
      return "OFPBAC_BAD_OUT_PORT";
    default:
      return "OFPFMFC_UNKNOWN";
  }
}

/** How a connection's flow_mods are read. */
export interface FlowModForm {
  /** NXT_FLOW_MOD_TABLE_ID is on: OpenFlow 1.0's carry a table number. */
  readonly tableId: boolean;
}

/** A flow_mod message, and how it is to be read.  One for all: there are hundreds of thousands a second. */
const source = {
  bytes: new Uint8Array(0) as Uint8Array,
  start: 0,
  end: 0,
  bridge: 0,
  tableId: false,
  executedOnly: true,
};

/** Appends the flow_mod message in [start, end).  Throws OpenFlowError. */
export function appendFlowMod(
  batch: CommandBatch,
  bridge: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  form: FlowModForm,
): void {
  source.bytes = bytes;
  source.start = start;
  source.end = end;
  source.bridge = bridge;
  source.tableId = form.tableId;
  batch.append(source, putFlowMod);
}

function putFlowMod(out: ByteWriter, message: typeof source): void {
  const at = out.position;
  decodeFlowMod(message.bytes, message.start, message.end, out, message);
  const buffer = lastFlowModBuffer();
  const table = out.view.getUint8(at + flowModOffsets.table);
  if (table === internalTable) throw new OpenFlowError("OFPBRC_EPERM", "table 254 belongs to the switch");
  const isAdd = out.view.getUint8(at + flowModOffsets.command) === flowCommand.add;
  if (isAdd && (out.view.getUint8(at + flowModSize) & dpHashWord) !== 0) {
    throw new OpenFlowError("OFPBRC_EPERM", "only the switch's own flows match on dp_hash");
  }
  // An add of OpenFlow 1.0 or 1.1 always resets counters, and later versions see that it does.
  if (isAdd && (message.bytes[message.start] as number) <= 2) {
    const flagsAt = at + flowModOffsets.flowFlags;
    out.view.setUint16(flagsAt, out.view.getUint16(flagsAt, true) | flowFlag.resetCounts, true);
  }
  if (buffer !== noBuffer) {
    throw new OpenFlowError("OFPBRC_BUFFER_UNKNOWN", `buffer 0x${buffer.toString(16)} does not exist`);
  }
}

/** Refuses a flow_mod on what belongs to the switch, or on a packet that is not there. */
export function checkFlowMod(mod: FlowMod): void {
  if (mod.tableId === internalTable) throw new OpenFlowError("OFPBRC_EPERM", "table 254 belongs to the switch");
  if (mod.bufferId !== noBuffer) {
    throw new OpenFlowError("OFPBRC_BUFFER_UNKNOWN", `buffer 0x${mod.bufferId.toString(16)} does not exist`);
  }
}

/** Appends a flow_mod. */
export function addFlowMod(batch: CommandBatch, bridge: number, mod: FlowMod): void {
  const match = wholeMatch(mod.match);
  batch.add(
    flowModSize,
    (view, at) =>
      writeFlowMod(view, at, {
        type: 13,
        flags: 0,
        size: 0,
        bridge,
        table: mod.tableId,
        command: mod.command,
        flowFlags: mod.flags,
        priority: mod.priority,
        outPort: mod.outPort,
        outGroup: mod.outGroup,
        importance: mod.importance,
        cookie: mod.cookie,
        cookieMask: mod.cookieMask,
        newCookie: mod.newCookie,
        idleTimeoutS: mod.idleTimeout,
        hardTimeoutS: mod.hardTimeout,
        matchSize: pad8(match.length),
        actionsSize: pad8(mod.actions.length),
        origin: 0,
      }),
    match,
    mod.actions,
  );
}

export interface FlowModCounts {
  adds: number;
  modifies: number;
  deletes: number;
}

/** Counts the flow_mod command at `at`. */
export function countFlowMod(counts: FlowModCounts, batch: CommandBatch, at: number): void {
  const command = batch.view.getUint8(at + flowModOffsets.command);
  if (command === flowCommand.add) counts.adds++;
  else if (command <= flowCommand.modifyStrict) counts.modifies++;
  else counts.deletes++;
}

/** What a batch did. */
export interface FlowModOutcome extends Readonly<FlowModCounts> {
  /** In the order of the requests. */
  readonly failures: readonly RequestFailure[];
  /** Whether rules may be gone, so that there may be reports to report. */
  readonly removes: boolean;
  /** Requests of the commands, whose origins count from 1; good until more are queued. */
  readonly requests: RequestLog<QueuedKind>;
}

/** Transaction id of a message. */
export function transactionId(message: Uint8Array | undefined): number {
  return message === undefined ? 0 : new DataView(message.buffer, message.byteOffset).getUint32(4);
}

type QueuedKind = "flow_mod" | "packet_out";

/** Gathers flow_mods of one connection between two submits. */
export class FlowModQueue {
  readonly #batch = new CommandBatch();
  readonly #bridge: number;
  /** For each command of the batch, its request; for each request that failed before, its failure by position. */
  readonly #requests = new RequestLog<QueuedKind>();
  #early: { readonly before: number; readonly failure: RequestFailure }[] = [];
  #counts = { adds: 0, modifies: 0, deletes: 0 };

  constructor(bridge: number) {
    this.#bridge = bridge;
  }

  get isEmpty(): boolean {
    return this.#batch.count === 0 && this.#early.length === 0;
  }

  /** Takes the flow_mod message in [start, end) of bytes that nobody writes any more. */
  add(bytes: Uint8Array, start: number, end: number, form: FlowModForm): void {
    const at = this.#begin();
    try {
      appendFlowMod(this.#batch, this.#bridge, bytes, start, end, form);
    } catch (failure) {
      this.fail(bytes.subarray(start, end), failure);
      return;
    }
    this.#requests.add(bytes, start, end, "flow_mod");
    this.#batch.view.setUint32(at + flowModOffsets.origin, this.#requests.count, true);
    countFlowMod(this.#counts, this.#batch, at);
  }

  /** `append` writes the command of a packet-out, which sees what was queued before it and nothing of what follows. */
  addPacketOut(request: Uint8Array, append: (batch: CommandBatch) => void): void {
    this.#begin();
    try {
      append(this.#batch);
    } catch (failure) {
      this.fail(request, failure);
      return;
    }
    this.#requests.add(request, 0, request.length, "packet_out");
  }

  /** Takes a request that failed without reaching the datapath, so that its error keeps its place. */
  fail(request: Uint8Array, failure: unknown): void {
    if (!(failure instanceof OpenFlowError)) throw failure;
    this.#begin();
    this.#early.push({
      before: this.#requests.count,
      failure: { request, error: failure.code, sentence: failure.message },
    });
  }

  /** Sends what was gathered to the datapath. */
  submit(datapath: FlowDatapath): FlowModOutcome {
    const requests = this.#requests;
    const early = this.#early;
    const { adds, modifies, deletes } = this.#counts;
    this.#early = [];
    this.#counts = { adds: 0, modifies: 0, deletes: 0 };
    const results = this.#batch.submit(datapath, true);
    const failures: RequestFailure[] = [];
    let next = 0;
    for (let index = 0; index <= results.count; index++) {
      for (; next < early.length && early[next]?.before === index; next++) {
        const failure = early[next]?.failure;
        if (failure !== undefined) failures.push(failure);
      }
      const code = index < results.count ? results.error(index) : 0;
      const request = code === 0 ? undefined : requests.bytes(index);
      if (request === undefined) continue;
      const isPacketOut = requests.kind(index) === "packet_out";
      const name = isPacketOut && code === error.badPacket ? "OFPBRC_BAD_PACKET" : flowModError(code);
      failures.push({ request, error: name, sentence: `the datapath says ${errorText(code)}` });
    }
    return { adds, modifies, deletes, removes: deletes > 0, requests, failures };
  }

  /** Where the next command begins.  Requests of the batch before are forgotten only now: its changes are told by them. */
  #begin(): number {
    if (this.isEmpty) this.#requests.clear();
    return this.#batch.size;
  }
}

/** Name of an ABI error. */
export function errorText(code: number): string {
  return Object.entries(error).find(([, value]) => value === code)?.[0] ?? `error ${code}`;
}
