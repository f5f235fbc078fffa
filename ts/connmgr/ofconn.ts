import type { Logger } from "../log/index.js";
import {
  appendPacketOut,
  ChangeSet,
  type DoneRequest,
  dumpFlows,
  everyFlow,
  type FlowChange,
  type FlowModForm,
  type FlowModQueue,
  handleRequest,
  type Ofproto,
  type PacketInEvent,
  type PortChange,
  type RemovedFlow,
  type Requester,
  type RequestFailure,
  type TableVacancyStatus,
  visibleTables,
} from "../ofproto/index.js";
import {
  type BundleAddPlace,
  bundleAct,
  bundleFlags,
  decodeMessage,
  encodeMessage,
  errorReply,
  identifyMessage,
  isBundleAdd,
  isFlowMod,
  type MessageSpan,
  messageTitle,
  OpenFlowError,
  readBundleAddMessage,
  swapTlvMap,
  withTlvMap,
} from "../openflow/index.js";
import type {
  AsyncConfig,
  BundleControl,
  FlowMonitor,
  FlowUpdate,
  Message,
  MessageBody,
  PacketInFormat,
  Version,
} from "../openflow/message.js";
import {
  asyncDefault,
  asyncSilent,
  isImplicitMiss,
  isMiss,
  mergeAsync,
  passes,
  removedReason,
  wantsInvalidTtl,
  wireReason,
  withInvalidTtl,
} from "./async-config.js";
import { flowModKind, flowModSentence, flowModsCame, noFlowMods, takeFlowModReport } from "./flow-mod-report.js";
import { FlowMonitors, monitorUnsentMax } from "./flow-monitors.js";
import { bundleSweepMs, MessageBundles } from "./message-bundles.js";
import { isMultipartRequest, MultipartAssembler } from "./multipart-assembler.js";
import { PacketInEncoder } from "./packet-in-encoder.js";
import { type PacketInRate, PacketInSchedule } from "./packet-in-schedule.js";
import { type Role, role } from "./role.js";
import type { Vconn } from "./vconn.js";

/** One controller's connection while it is up: its role, what it wants to hear, and its requests, which are answered
 *  strictly in order.  Everything here is forgotten when the connection ends. */

/** Messages handled before others get their turn. */
const messagesPerTurn = 50;
/** Unsent replies above which no request is read. */
const unsentMax = 100;
/** A dump stops while so many bytes wait for the peer. */
const unsentSizeMax = 256 * 1024;
const defaultMissSendLen = 128;

/** What all connections of a bridge share. */
export interface OfconnHost {
  readonly ofproto: Ofproto;
  readonly log: Logger;
  now(): number;
  chance(): number;
  /** The generation a claim leads to, or undefined when it is stale; takes it over. */
  claim(id: bigint | undefined): boolean;
  readonly generationId: bigint | undefined;
  /** Every other primary becomes secondary. */
  demoteOthers(except: Ofconn): void;
  /** Bundles that nobody uses for so long are forgotten. */
  readonly bundleIdleMs: number;
  /** Something changed that decides what the pipeline has to send up. */
  wantsChanged(): void;
  /** There is something to report of flow_mods: call `reportFlowMods` when it is due. */
  flowModsCame(ofconn: Ofconn): void;
  /** The connection has work left: call `turn` again. */
  wake(ofconn: Ofconn): void;
  /** The connection cannot go on because of an error of ours. */
  failed(ofconn: Ofconn): void;
}

export interface OfconnOptions {
  /** As it is named in the log: `br0<->tcp:127.0.0.1:6653`. */
  readonly name: string;
  readonly kind: "primary" | "service";
  readonly enableAsync: boolean;
  readonly packetInRate: PacketInRate | undefined;
  /** Packet-ins that may wait in the connection; more are dropped. */
  readonly queueSize: number;
}

/** OFPT_PACKET_OUT of every version. */
const packetOutType = 13;
/** What was read last of a message for a bundle. */
const bundleAdd: BundleAddPlace = { id: 0, flags: 0, start: 0, end: 0 };
const decodeContext = { bridge: 0, tableId: true, executedOnly: true };

export type Schedules = readonly [action: PacketInSchedule<PacketInEvent>, miss: PacketInSchedule<PacketInEvent>];

/** Messages that a peer may send without having accepted us. */
const unadmitting: ReadonlySet<Message["type"]> = new Set<Message["type"]>([
  "hello",
  "error",
  "echo_request",
  "echo_reply",
  "features_request",
  "features_reply",
  "get_config_request",
  "get_config_reply",
  "set_config",
  "queue_get_config_request",
  "queue_get_config_reply",
  "get_async_request",
  "get_async_reply",
  "group_stats_request",
  "group_desc_request",
  "group_features_request",
  "table_features_request",
]);

/** What a secondary controller may not send, whatever is in it. */
const primaryOnly: ReadonlySet<string> = new Set<Message["type"]>([
  "flow_mod",
  "group_mod",
  "meter_mod",
  "port_mod",
  "table_mod",
  "packet_out",
  "bundle_control",
  "bundle_add_message",
  "nxt_tlv_table_mod",
]);

export class Ofconn implements Requester {
  readonly name: string;
  readonly kind: "primary" | "service";
  readonly version: Version;
  readonly #vconn: Vconn;
  readonly #host: OfconnHost;
  readonly #flowMods: FlowModQueue;
  #schedules: Schedules | undefined;
  #queueSize: number;
  #flowModReport = noFlowMods;
  readonly #pendingKinds = { adds: 0, deletes: 0, modifications: 0 };
  #role: Role = role.equal;
  #async: AsyncConfig;
  #missSendLen: number;
  #packetInFormat: PacketInFormat = "standard";
  #controllerId = 0;
  #flowModForm: FlowModForm = { tableId: false };
  /** A reply in the making. */
  #dump:
    | { readonly iterator: Iterator<MessageBody | Uint8Array>; readonly xid: number; readonly request: Uint8Array }
    | undefined;
  readonly #assembler = new MultipartAssembler();
  readonly #bundles = new MessageBundles<ChangeSet>();
  readonly #monitors = new FlowMonitors();
  /** Sizes of the updates on their way, and the connection's count of bytes at which each has left. */
  #updatesUnsent: { readonly size: number; readonly leftAt: number }[] = [];
  #bundleSweepMs = 0;
  #packetInsUnsent = 0;
  readonly #packetIns: PacketInEncoder;
  packetInsDropped = 0;
  #admitting = false;
  readonly #errorLog: Logger;
  readonly #dropLog: Logger;

  constructor(vconn: Vconn, version: Version, host: OfconnHost, options: OfconnOptions) {
    this.#vconn = vconn;
    this.version = version;
    this.#host = host;
    this.name = options.name;
    this.kind = options.kind;
    this.#async = options.enableAsync ? asyncDefault(version) : asyncSilent;
    this.#missSendLen = options.kind === "primary" ? defaultMissSendLen : 0;
    this.#flowMods = host.ofproto.flowModQueue();
    this.#packetIns = new PacketInEncoder(version);
    this.#errorLog = host.log.limited(10, 10);
    this.#dropLog = host.log.limited(5, 5);
    this.#queueSize = options.queueSize;
    const rate = options.packetInRate;
    this.#schedules = rate === undefined ? undefined : [this.#schedule(rate), this.#schedule(rate)];
  }

  /** The controller's row changed. */
  change(rate: PacketInRate | undefined, queueSize: number): void {
    this.#queueSize = queueSize;
    if (rate === undefined) this.#schedules = undefined;
    else if (this.#schedules === undefined) this.#schedules = [this.#schedule(rate), this.#schedule(rate)];
    else for (const schedule of this.#schedules) schedule.setRate(rate);
  }

  /** Tells the log what is due of how many flow_mods came; returns when to come again. */
  reportFlowMods(now: number): number | undefined {
    const { report, sentence } = takeFlowModReport(this.#flowModReport, now);
    this.#flowModReport = report;
    if (sentence !== undefined) this.#host.log.info(`${this.name}: ${sentence}`);
    return report.dueAt;
  }

  /** The connection is over. */
  ended(): void {
    const sentence = flowModSentence(this.#flowModReport, this.#host.now());
    if (sentence !== undefined) this.#host.log.info(`${this.name}: ${sentence}`);
  }

  get role(): Role {
    return this.#role;
  }
  get isSecondary(): boolean {
    return this.#role === role.secondary;
  }
  get controllerId(): number {
    return this.#controllerId;
  }
  get schedules(): Schedules | undefined {
    return this.#schedules;
  }
  /** Whether this connection makes table-miss packet-ins happen. */
  get wantsTableMiss(): boolean {
    return this.#controllerId === 0 && this.version < 4;
  }
  get wantsInvalidTtl(): boolean {
    return wantsInvalidTtl(this.#async, false) || wantsInvalidTtl(this.#async, true);
  }
  /** True once since the last call when a message showed that the peer has accepted us. */
  takeAdmitting(): boolean {
    const admitting = this.#admitting;
    this.#admitting = false;
    return admitting;
  }

  /** Handles what waits, up to a turn's worth.  Returns whether more waits that can be handled now. */
  turn(): boolean {
    try {
      return this.#turn();
    } catch (error) {
      this.#host.log.err(`${this.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      this.#host.failed(this);
      return false;
    }
  }

  #turn(): boolean {
    if (this.#dump !== undefined && !this.#continueDump()) return false;
    for (let count = 0; count < messagesPerTurn; count++) {
      if (this.#vconn.unsent >= unsentMax) break;
      const message = this.#vconn.recvInPlace();
      if (message === undefined) break;
      this.#take(message);
      if (this.#dump !== undefined && !this.#continueDump()) return false;
    }
    this.#submitFlowMods();
    this.#vconn.flush();
    return this.#vconn.readable && this.#vconn.unsent < unsentMax;
  }

  /** Another controller became primary. */
  demote(): void {
    this.#role = role.secondary;
    if (this.version >= 4) {
      this.#send(0, {
        type: "role_status",
        role: role.secondary,
        reason: 0,
        generationId: this.#host.generationId ?? 0xffffffffffffffffn,
      });
    }
  }

  packetIn(event: PacketInEvent): void {
    if (event.controllerId !== this.#controllerId || !this.#listens()) return;
    const reason = wireReason(event.reason, this.version);
    if (!passes(this.#async.packetIn, this.isSecondary, reason)) return;
    if (isImplicitMiss(event.reason) && this.version >= 4) return;
    if (this.#schedules === undefined) {
      this.#sendPacketIn(event);
      return;
    }
    const schedule = this.#schedules[isMiss(event.reason) ? 1 : 0];
    const now = schedule.offer(event.inPort, event, this.#host.now());
    if (now !== undefined) this.#sendPacketIn(now);
  }

  /** Sends the packet-ins whose turn has come; returns when to come again. */
  runSchedules(now: number): number | undefined {
    let next: number | undefined;
    for (const schedule of this.#schedules ?? []) {
      for (const event of schedule.run(now)) this.#sendPacketIn(event);
      const at = schedule.deadline(now);
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    return next;
  }

  /** Does what is due by now; returns when to come again. */
  runDue(now: number): number | undefined {
    for (const request of this.#assembler.expire(now)) {
      this.#refuse(request, new OpenFlowError("OFPBRC_MULTIPART_REQUEST_TIMEOUT", "the rest of a request is missing"));
    }
    if (now >= this.#bundleSweepMs) {
      this.#bundleSweepMs = now + bundleSweepMs;
      for (const request of this.#bundles.expire(now, this.#host.bundleIdleMs))
        this.#refuse(request, new OpenFlowError("OFPBFC_TIMEOUT", "nobody used the bundle for too long"));
    }
    const sweep = this.#bundles.size > 0 ? this.#bundleSweepMs : undefined;
    const { deadline } = this.#assembler;
    return sweep !== undefined && deadline !== undefined ? Math.min(sweep, deadline) : (sweep ?? deadline);
  }

  get monitorsFlows(): boolean {
    return this.#monitors.size > 0;
  }

  flowChanged(change: FlowChange): void {
    if (this.#monitors.size > 0) this.#monitors.note(change, change.requester === this);
  }

  flowChangesTold(): void {
    if (this.#monitors.size === 0) return;
    for (const message of this.#flowUpdates(0, this.#monitors.takeUpdates())) this.#sendUpdate(message);
    const unsent = this.#updatesUnsent.reduce((sum, { size }) => sum + size, 0);
    if (this.#monitors.isPaused || unsent <= monitorUnsentMax) return;
    this.#monitors.pause();
    this.#sendUpdate(pauseMessage(this.version, "paused"));
  }

  /** `isReply`: there is a message even when there are no updates. */
  #flowUpdates(xid: number, updates: Iterable<FlowUpdate>, isReply = false): readonly Uint8Array[] {
    return withTlvMap(this.#host.ofproto.tlvs, () => [...flowUpdates(this.version, xid, updates, isReply)]);
  }

  #sendUpdate(message: Uint8Array): void {
    this.#vconn.send(message);
    this.#updatesUnsent.push({ size: message.length, leftAt: this.#vconn.queuedSize });
  }

  /** Forgets updates that have left; goes on when all have. */
  #resumeMonitors(): void {
    const left = this.#vconn.queuedSize - this.#vconn.unsentSize;
    while ((this.#updatesUnsent[0]?.leftAt ?? Number.POSITIVE_INFINITY) <= left) this.#updatesUnsent.shift();
    if (!this.#monitors.isPaused || this.#updatesUnsent.length > 0) return;
    const { ofproto } = this.#host;
    const updates = this.#monitors.resume(dumpFlows(ofproto.datapath, ofproto.bridge, everyFlow));
    for (const message of this.#flowUpdates(0, updates)) this.#vconn.send(message);
    this.#vconn.send(pauseMessage(this.version, "resumed"));
  }

  flowRemoved(flow: RemovedFlow): void {
    if (!this.#listens()) return;
    // Masks are of the true reason, whatever the version makes of it: one without it hears of no such removal by itself.
    if (!passes(this.#async.flowRemoved, this.isSecondary, flow.reason)) return;
    const reason = removedReason(flow.reason, this.version);
    this.#send(0, {
      type: "flow_removed",
      standard: true,
      reason,
      tableId: flow.table,
      priority: flow.priority,
      cookie: flow.cookie,
      durationSec: Math.floor(flow.durationMs / 1000),
      durationNsec: (flow.durationMs % 1000) * 1_000_000,
      idleTimeout: flow.idleTimeout,
      hardTimeout: flow.hardTimeout,
      packetCount: flow.nPackets,
      byteCount: flow.nBytes,
      match: flow.match,
    });
  }

  portChanged(change: PortChange): void {
    if (!this.#listens() || !passes(this.#async.portStatus, this.isSecondary, change.reason)) return;
    if (change.origin === this && this.version < 6) return;
    const message = encodeMessage(this.version, 0, { type: "port_status", reason: change.reason, port: change.port });
    if (change.old !== undefined) {
      const old = encodeMessage(this.version, 0, { type: "port_status", reason: change.reason, port: change.old });
      if (Buffer.compare(message, old) === 0) return;
    }
    this.#vconn.send(message);
  }

  /** Another controller changed a group or a meter. */
  requestDone(done: DoneRequest): void {
    const isMeter = done.request.type === "meter_mod";
    // OFPRFR: 0 group_mod, 1 meter_mod.
    if (done.origin === this || !this.#listens()) return;
    if (!passes(this.#async.requestForward, this.isSecondary, isMeter ? 1 : 0)) return;
    if (isMeter && this.version < 4) return;
    this.#send(0, { type: "requestforward", requestXid: done.requestXid, request: done.request });
  }

  tableStatus(status: TableVacancyStatus): void {
    if (!this.#listens() || this.version < 5) return;
    if (!passes(this.#async.tableStatus, this.isSecondary, status.reason)) return;
    this.#send(0, { type: "table_status", ...status });
  }

  #schedule(rate: PacketInRate): PacketInSchedule<PacketInEvent> {
    return new PacketInSchedule(rate, this.#host.now(), () => this.#host.chance());
  }

  /** A service connection hears nothing before it asked for it by a length. */
  #listens(): boolean {
    return this.kind === "primary" || this.#missSendLen !== 0;
  }

  #sendPacketIn(event: PacketInEvent): void {
    // A burst fills the queue within a turn; only what the kernel does not take counts as waiting.
    const most = this.#queueSize;
    if (this.#vconn.unsent >= most) this.#vconn.flush();
    if (this.#packetInsUnsent >= most && this.#vconn.unsent >= most) {
      this.packetInsDropped++;
      this.#dropLog.info(`${this.name}: dropping packet-in due to queue overflow`);
      return;
    }
    this.#packetInsUnsent++;
    const reason = wireReason(event.reason, this.version);
    const encode = (): Uint8Array => this.#packetIns.encode(event, this.#packetInFormat, reason);
    this.#vconn.send(withTlvMap(this.#host.ofproto.tlvs, encode));
  }

  /** The kernel took messages; goes on with what waited for that. */
  drained(): void {
    if (this.#updatesUnsent.length > 0 || this.#monitors.isPaused) this.#resumeMonitors();
    if (this.#vconn.unsent < this.#queueSize) this.#packetInsUnsent = 0;
    if (this.#dump !== undefined || (this.#vconn.readable && this.#vconn.unsent < unsentMax)) this.#host.wake(this);
  }

  /** Handles one message of the peer. */
  #take(message: MessageSpan): void {
    const { bytes, start, end } = message;
    if (isFlowMod(bytes, start, end)) {
      this.#admitting = true;
      this.#takeFlowMod(bytes, start, end);
      return;
    }
    if (bytes[start + 1] === packetOutType && !this.isSecondary) {
      this.#admitting = true;
      this.#takePacketOut(bytes.subarray(start, end));
      return;
    }
    this.#submitFlowMods();
    // As many of these come as flow_mods, and for the same reason.
    if (isBundleAdd(bytes, start, end) && !this.isSecondary) {
      this.#admitting = true;
      this.#addToBundle(message);
      return;
    }
    this.#takeOther(bytes.subarray(start, end));
  }

  #takeOther(bytes: Uint8Array): void {
    try {
      const message = this.#decode(bytes);
      if (message === undefined) return;
      if (!unadmitting.has(message.type)) this.#admitting = true;
      this.#handle(message, bytes);
    } catch (error) {
      this.#refuse(bytes, error);
    }
  }

  #read(bytes: Uint8Array): Message {
    return withTlvMap(this.#host.ofproto.tlvs, () => decodeMessage(bytes, decodeContext));
  }

  /** The message, or undefined when more parts of it are to come. */
  #decode(bytes: Uint8Array): Message | undefined {
    if (this.isSecondary && primaryOnly.has(identifyMessage(bytes).row.name)) {
      throw new OpenFlowError("OFPBRC_IS_SECONDARY", "a secondary controller may not change the switch");
    }
    if (!isMultipartRequest(bytes)) return this.#read(bytes);
    const parts = this.#assembler.take(bytes, this.#host.now());
    if (parts === undefined) return undefined;
    const [first, ...rest] = parts.map((part) => this.#read(part));
    return first === undefined || rest.length === 0 ? first : mergeParts(first, rest);
  }

  /** Packet-outs go down with the flow_mods around them, in order. */
  #takePacketOut(bytes: Uint8Array): void {
    const { ofproto } = this.#host;
    this.#flowMods.addPacketOut(bytes, (batch) => {
      const message = this.#read(bytes);
      if (message.type === "packet_out") appendPacketOut(batch, ofproto, message);
    });
  }

  #takeFlowMod(bytes: Uint8Array, start: number, end: number): void {
    if (this.isSecondary) {
      this.#flowMods.fail(
        bytes.subarray(start, end),
        new OpenFlowError("OFPBRC_IS_SECONDARY", "a secondary controller may not change flows"),
      );
      return;
    }
    const command = this.#commandOf(bytes, start);
    this.#pendingKinds[flowModKind(command)]++;
    const before = swapTlvMap(this.#host.ofproto.tlvs);
    try {
      this.#flowMods.add(bytes, start, end, this.#flowModForm);
    } finally {
      swapTlvMap(before);
    }
  }

  /** Of the flow_mod at `start`. */
  #commandOf(bytes: Uint8Array, start = 0): number {
    return bytes[start + (this.version === 1 ? 57 : 25)] ?? 0;
  }

  #reportFlowModsCame(): void {
    const kinds = this.#pendingKinds;
    const now = this.#host.now();
    for (const kind of ["adds", "deletes", "modifications"] as const) {
      if (kinds[kind] <= 0) continue;
      this.#flowModReport = flowModsCame(this.#flowModReport, kind, kinds[kind], now);
      kinds[kind] = 0;
    }
    if (this.#flowModReport.dueAt !== undefined) this.#host.flowModsCame(this);
  }

  #submitFlowMods(): void {
    if (this.#flowMods.isEmpty) return;
    const outcome = this.#host.ofproto.submitFlowMods(this.#flowMods, this);
    for (const failure of outcome.failures) {
      this.#sendFailure(failure);
      if (!this.isSecondary && isFlowMod(failure.request))
        this.#pendingKinds[flowModKind(this.#commandOf(failure.request))]--;
    }
    this.#reportFlowModsCame();
  }

  /** Messages about the connection are answered here; the rest is the switch's. */
  #handle(message: Message, bytes: Uint8Array): void {
    const { xid } = message;
    switch (message.type) {
      case "hello":
        throw new OpenFlowError("OFPBRC_BAD_TYPE", "hello comes once");
      case "error":
        this.#host.log.info(`${this.name}: received OpenFlow error`, {
          type: message.errorType,
          code: message.errorCode,
        });
        return;
      case "echo_request":
        this.#send(xid, { type: "echo_reply", data: message.data });
        return;
      case "echo_reply":
        return;
      case "barrier_request":
        this.#send(xid, { type: "barrier_reply" });
        return;
      case "role_request":
        this.#requestRole(message.role, message.generationId, message.standard, xid);
        return;
      case "get_async_request":
        this.#send(xid, { type: "get_async_reply", standard: true, config: this.#async });
        return;
      case "set_async":
        this.#async = mergeAsync(this.#async, message.config);
        if (this.kind === "service" && this.#missSendLen === 0) this.#missSendLen = defaultMissSendLen;
        this.#host.wantsChanged();
        return;
      case "get_config_request":
        this.#send(xid, {
          type: "get_config_reply",
          fragMode: this.#host.ofproto.settings.fragMode,
          invalidTtlToController: wantsInvalidTtl(this.#async, this.isSecondary),
          missSendLen: this.#missSendLen,
        });
        return;
      case "set_config":
        this.#setConfig(message.fragMode, message.invalidTtlToController, message.missSendLen);
        return;
      case "nxt_set_packet_in_format":
        this.#setPacketInFormat(message.value);
        return;
      case "nxt_set_controller_id":
        this.#controllerId = message.value;
        this.#host.wantsChanged();
        return;
      case "nxt_flow_mod_table_id":
        this.#flowModForm = { tableId: message.value !== 0 };
        return;
      case "nxt_set_flow_format":
        return;
      case "flow_monitor_request":
        this.#monitor(message.monitors, xid);
        return;
      case "flow_monitor_cancel":
        this.#monitors.cancel(message.id);
        this.#host.wantsChanged();
        return;
      case "bundle_control":
        this.#controlBundle(message, bytes);
        return;
      default:
        this.#answer(message, bytes);
    }
  }

  #answer(message: Message, bytes: Uint8Array): void {
    const replies = handleRequest(this.#host.ofproto, message, this);
    if (Array.isArray(replies)) {
      for (const reply of replies as (MessageBody | Uint8Array)[]) this.#sendReply(message.xid, reply);
      return;
    }
    this.#dump = { iterator: replies[Symbol.iterator](), xid: message.xid, request: bytes.slice() };
  }

  /** Sends what the peer has room for.  Returns whether the reply is complete. */
  #continueDump(): boolean {
    const dump = this.#dump;
    if (dump === undefined) return true;
    try {
      while (this.#vconn.unsentSize < unsentSizeMax) {
        const next = dump.iterator.next();
        if (next.done === true) {
          this.#dump = undefined;
          return true;
        }
        this.#sendReply(dump.xid, next.value);
      }
    } catch (error) {
      this.#dump = undefined;
      this.#refuse(dump.request, error);
      return true;
    }
    this.#vconn.flush();
    return false;
  }

  #requestRole(wanted: number, generationId: bigint | undefined, standard: boolean, xid: number): void {
    if (wanted !== role.noChange && wanted !== role.equal && wanted !== role.primary && wanted !== role.secondary) {
      throw new OpenFlowError("OFPRRFC_BAD_ROLE", `there is no role ${wanted}`);
    }
    if (wanted === role.primary || wanted === role.secondary) {
      if (!this.#host.claim(generationId)) throw new OpenFlowError("OFPRRFC_STALE", "the generation id is stale");
    }
    if (wanted === role.primary && this.#role !== role.primary) this.#host.demoteOthers(this);
    if (wanted !== role.noChange) this.#role = wanted;
    this.#send(xid, {
      type: "role_reply",
      standard,
      role: this.#role,
      generationId: this.#host.generationId ?? 0xffffffffffffffffn,
    });
  }

  #monitor(wanted: readonly FlowMonitor[], xid: number): void {
    const { ofproto } = this.#host;
    const made = this.#monitors.change(wanted, visibleTables);
    // What happened before is in what is shown at once.
    ofproto.tellChanges();
    this.#monitors.takeUpdates();
    this.#host.wantsChanged();
    const updates = this.#monitors.initial(made, dumpFlows(ofproto.datapath, ofproto.bridge, everyFlow));
    for (const message of this.#flowUpdates(xid, updates, true)) this.#vconn.send(message);
  }

  #addToBundle(request: MessageSpan): void {
    try {
      readBundleAddMessage(request.bytes, request.start, request.end, bundleAdd);
      const { id, flags, start, end } = bundleAdd;
      const known = this.#bundles.changes(id);
      const changes = known ?? new ChangeSet(this.#host.ofproto);
      // What cannot be read leaves the bundle as it is.
      changes.add(request, start, end, this.#flowModForm);
      const now = this.#host.now();
      if (known === undefined)
        this.#bundles.open(id, flags, request.bytes.subarray(request.start, request.end), changes, now);
      else this.#bundles.use(id, flags, now);
    } catch (error) {
      this.#refuse(request.bytes.subarray(request.start, request.end), error);
    }
  }

  #controlBundle(control: BundleControl, bytes: Uint8Array): void {
    const { id, act, flags, xid } = control as BundleControl & { readonly xid: number };
    const now = this.#host.now();
    switch (act) {
      case bundleAct.open:
        this.#bundles.open(id, flags, bytes, new ChangeSet(this.#host.ofproto), now);
        break;
      case bundleAct.close:
        this.#bundles.close(id, flags, now);
        break;
      case bundleAct.commit: {
        const changes = this.#bundles.take(id, flags);
        const failure = changes.commit(this, (flags & bundleFlags.atomic) !== 0);
        if (failure !== undefined) {
          this.#sendFailure(failure);
          throw new OpenFlowError("OFPBFC_MSG_FAILED", "a message of the bundle failed");
        }
        const { adds, modifies, deletes } = changes.flowMods;
        this.#pendingKinds.adds += adds;
        this.#pendingKinds.modifications += modifies;
        this.#pendingKinds.deletes += deletes;
        this.#reportFlowModsCame();
        break;
      }
      case bundleAct.discard:
        this.#bundles.discard(id);
        break;
      default:
        throw new OpenFlowError("OFPBFC_BAD_TYPE", `a bundle_control cannot ask for ${act}`);
    }
    this.#send(xid, { type: "bundle_control", id, act: act + 1, flags: 0 });
  }

  #setConfig(fragMode: number, invalidTtl: boolean | undefined, missSendLen: number): void {
    const reassemble = 2;
    if (this.kind === "service" || !this.isSecondary) {
      if (fragMode === reassemble) {
        this.#host.log.warn(`${this.#host.ofproto.name}: unsupported fragment handling mode reassemble`);
      } else this.#host.ofproto.changeSettings({ fragMode });
    }
    if (invalidTtl !== undefined) this.#async = withInvalidTtl(this.#async, invalidTtl);
    this.#missSendLen = missSendLen;
    this.#host.wantsChanged();
  }

  #setPacketInFormat(value: number): void {
    const formats: readonly PacketInFormat[] = ["standard", "nxt_packet_in", "nxt_packet_in2"];
    const format = formats[value];
    if (format === undefined) throw new OpenFlowError("OFPBRC_EPERM", `there is no packet-in format ${value}`);
    this.#packetInFormat = format;
  }

  #sendReply(xid: number, reply: MessageBody | Uint8Array): void {
    if (reply instanceof Uint8Array) this.#vconn.send(reply);
    else this.#send(xid, reply);
  }

  #send(xid: number, body: MessageBody): void {
    this.#vconn.send(withTlvMap(this.#host.ofproto.tlvs, () => encodeMessage(this.version, xid, body)));
  }

  #refuse(bytes: Uint8Array, error: unknown): void {
    if (!(error instanceof OpenFlowError)) throw error;
    this.#sendFailure({ request: bytes, error: error.code, sentence: error.message });
  }

  #sendFailure(failure: RequestFailure): void {
    this.#errorLog.info(`${this.name}: sending ${failure.error} error reply to ${titleOf(failure.request)} message`);
    const xid = new DataView(failure.request.buffer, failure.request.byteOffset).getUint32(4);
    const error = new OpenFlowError(failure.error, failure.sentence);
    this.#send(xid, errorReply(error, this.version, failure.request));
  }
}

/** Bytes of updates in one message, about: the last one may go over it. */
const updatesSizeMax = 48 * 1024;

/** Messages with the updates.  `isReply`: there is one even when it is empty. */
function* flowUpdates(
  version: Version,
  xid: number,
  updates: Iterable<FlowUpdate>,
  isReply: boolean,
): Generator<Uint8Array> {
  let some: FlowUpdate[] = [];
  let size = 0;
  for (const update of updates) {
    if (size > updatesSizeMax) {
      yield encodeMessage(version, xid, { type: "flow_monitor_reply", more: true, updates: some });
      some = [];
      size = 0;
    }
    some.push(update);
    size += "match" in update ? 128 + 2 * update.match.length + 2 * update.actions.length : 8;
  }
  if (some.length > 0 || isReply)
    yield encodeMessage(version, xid, { type: "flow_monitor_reply", more: false, updates: some });
}

function pauseMessage(version: Version, event: "paused" | "resumed"): Uint8Array {
  if (version < 5) return encodeMessage(version, 0, { type: `flow_monitor_${event}` });
  return encodeMessage(version, 0, { type: "flow_monitor_reply", more: false, updates: [{ event }] });
}

function titleOf(bytes: Uint8Array): string {
  try {
    return messageTitle(identifyMessage(bytes));
  } catch {
    return "invalid";
  }
}

/** One request out of its parts.  Only these kinds may come in several. */
function mergeParts(first: Message, rest: readonly Message[]): Message {
  const all = [first, ...rest];
  if (first.type === "flow_monitor_request") {
    return { ...first, monitors: all.flatMap((part) => (part.type === first.type ? part.monitors : [])) };
  }
  if (first.type === "table_features_request") {
    const bodies = all.map((part) => (part.type === first.type ? part.body : new Uint8Array(0)));
    return { ...first, body: Buffer.concat(bodies) };
  }
  throw new OpenFlowError("OFPBRC_BAD_STAT", `a request for ${first.type} comes in one message`);
}
