import type { FlowChange, FlowRecord } from "../ofproto/index.js";
import { matchIsWithin, monitorCommand, monitorFlag, OpenFlowError, outputsTo, usesGroup } from "../openflow/index.js";
import type { FlowMonitor, FlowUpdate } from "../openflow/message.js";

/** The flow monitors of one connection: which changes of flows it wants to be told, and what was withheld while it could
 *  not keep up.  Pure: the flows and what became of the updates are the caller's. */

/** Bytes of updates that may be on their way to the peer; above that the monitors pause until it has taken all. */
export const monitorUnsentMax = 128 * 1024;

const flagOf = { added: monitorFlag.add, removed: monitorFlag.removed, modified: monitorFlag.modify } as const;

export class FlowMonitors {
  readonly #byId = new Map<number, FlowMonitor>();
  /** Version of the tables up to which the peer knows everything; undefined while nothing is withheld. */
  #pausedAt: bigint | undefined;
  /** Version of the latest change that was seen. */
  #seen = 0n;
  #updates: FlowUpdate[] = [];
  #abbreviated = false;

  get size(): number {
    return this.#byId.size;
  }
  get isPaused(): boolean {
    return this.#pausedAt !== undefined;
  }

  /** Takes a request; returns the monitors that it made.  Throws OpenFlowError, and then those are gone. */
  change(wanted: readonly FlowMonitor[], tableCount: number): readonly FlowMonitor[] {
    const made: FlowMonitor[] = [];
    try {
      for (const monitor of wanted) {
        if (monitor.tableId !== 255 && monitor.tableId >= tableCount && monitor.command !== monitorCommand.delete)
          throw new OpenFlowError("OFPBRC_BAD_TABLE_ID", `there is no table ${monitor.tableId}`);
        if (monitor.command !== monitorCommand.add) this.cancel(monitor.id);
        if (monitor.command === monitorCommand.delete) continue;
        if (this.#byId.has(monitor.id))
          throw new OpenFlowError("OFPMOFC_MONITOR_EXISTS", `there is a flow monitor ${monitor.id} already`);
        this.#byId.set(monitor.id, monitor);
        made.push(monitor);
      }
    } catch (error) {
      for (const monitor of made) this.#byId.delete(monitor.id);
      throw error;
    }
    return made;
  }

  cancel(id: number): void {
    if (!this.#byId.delete(id)) throw new OpenFlowError("OFPMOFC_UNKNOWN_MONITOR", `there is no flow monitor ${id}`);
  }

  /** Notes a change of a flow.  `isOwn`: this connection's message `xid` made it. */
  note(change: FlowChange, isOwn: boolean): void {
    if (change.flow.version > this.#seen) this.#seen = change.flow.version;
    const pausedAt = this.#pausedAt;
    // The peer knows only what was there before the pause; what came later it learns when it resumes.
    if (pausedAt !== undefined && (change.kind !== "removed" || change.flow.addedVersion > pausedAt)) return;
    const flags = this.#flagsFor(change.flow, flagOf[change.kind], change.oldActions);
    if (flags === 0) return;
    if (!isOwn || (flags & monitorFlag.onlyOwn) !== 0 || pausedAt !== undefined) {
      const reason = change.kind === "removed" ? change.flow.reason : 0;
      this.#updates.push(fullUpdate(change.kind, change.flow, reason, flags));
    } else if (!this.#abbreviated) {
      this.#abbreviated = true;
      this.#updates.push({ event: "abbreviated", xid: change.xid });
    }
  }

  /** Takes what was noted since the last call. */
  takeUpdates(): readonly FlowUpdate[] {
    const updates = this.#updates;
    this.#updates = [];
    this.#abbreviated = false;
    return updates;
  }

  pause(): void {
    this.#pausedAt = this.#seen;
  }

  /** The flows that `made` shows at once. */
  *initial(made: readonly FlowMonitor[], flows: Iterable<FlowRecord>): Generator<FlowUpdate> {
    const wanted = made.filter((monitor) => (monitor.flags & monitorFlag.initial) !== 0);
    if (wanted.length === 0) return;
    for (const flow of flows) {
      const flags = wanted.filter((one) => concerns(one, flow)).reduce((all, one) => all | one.flags, 0);
      if (flags !== 0) yield fullUpdate("initial", flow, 0, flags);
    }
  }

  /** What changed while the monitors were paused, which ends. */
  *resume(flows: Iterable<FlowRecord>): Generator<FlowUpdate> {
    const since = this.#pausedAt;
    if (since === undefined) return;
    this.#pausedAt = undefined;
    for (const flow of flows) {
      if (flow.version <= since) continue;
      const isNew = flow.addedVersion > since;
      const flags = this.#flagsFor(flow, isNew ? monitorFlag.add | monitorFlag.modify : monitorFlag.modify, undefined);
      if (flags !== 0)
        yield fullUpdate(isNew && (flags & monitorFlag.add) !== 0 ? "added" : "modified", flow, 0, flags);
    }
  }

  /** The flags of all monitors that want a change of that kind told. */
  #flagsFor(flow: FlowRecord, kinds: number, oldActions: Uint8Array | undefined): number {
    let flags = 0;
    for (const monitor of this.#byId.values()) {
      if ((monitor.flags & kinds) !== 0 && concerns(monitor, flow, oldActions)) flags |= monitor.flags;
    }
    return flags;
  }
}

function concerns(monitor: FlowMonitor, flow: FlowRecord, oldActions?: Uint8Array): boolean {
  return (
    (monitor.tableId === 255 || monitor.tableId === flow.table) &&
    (outputsTo(flow.actionsBytes, monitor.outPort) ||
      (oldActions !== undefined && outputsTo(oldActions, monitor.outPort))) &&
    usesGroup(flow.actionsBytes, monitor.outGroup) &&
    matchIsWithin(flow.matchBytes, monitor.match)
  );
}

function fullUpdate(
  event: "initial" | "added" | "removed" | "modified",
  flow: FlowRecord,
  reason: number,
  flags: number,
): FlowUpdate {
  return {
    event,
    tableId: flow.table,
    reason,
    priority: flow.priority,
    cookie: flow.cookie,
    idleTimeout: flow.idleTimeoutS,
    hardTimeout: flow.hardTimeoutS,
    match: flow.matchBytes.slice(),
    actions: (flags & monitorFlag.instructions) !== 0 ? flow.actionsBytes.slice() : new Uint8Array(0),
  };
}
