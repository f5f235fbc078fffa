import {
  aggregateReplySize,
  command,
  dumpReplySize,
  error,
  flowChange,
  flowCommand,
  flowInfoOffsets,
  flowInfoSize,
  flowModOffsets,
  flowModSize,
  flowQueryOffsets,
  flowReportOffsets,
  flowReportSize,
  portInfoSize,
  portQueryOffsets,
  query,
  recordOffsets,
  resultSize,
  tableInfoOffsets,
  tableInfoSize,
} from "../../ts/datapath/generated/records.js";
import type { FlowDatapath } from "../../ts/ofproto/index.js";

/** A datapath that stores rules and forwards nothing: enough of the ABI for tests of what stands above it.  Deletes and
 *  modifies match only the empty match or the very same one. */

interface Rule {
  readonly key: string;
  readonly table: number;
  readonly priority: number;
  readonly flags: number;
  readonly cookie: bigint;
  readonly match: Uint8Array;
  readonly actions: Uint8Array;
}

const hidden = 64;

export class FakeDatapath implements FlowDatapath {
  /** By bridge. */
  readonly rules = new Map<number, Map<string, Rule>>();
  /** Types of the commands that came, for tests that ask which. */
  readonly commands: number[] = [];
  /** ABI error that the next commands of that type get. */
  readonly failures = new Map<number, number>();
  submits = 0;
  #removed: Uint8Array[] = [];

  submit(batch: Uint8Array, results: Uint8Array): number {
    this.submits++;
    const view = new DataView(batch.buffer, batch.byteOffset, batch.length);
    const out = new DataView(results.buffer, results.byteOffset, results.length);
    const count = view.getUint32(8, true);
    let at = 16;
    for (let index = 0; index < count; index++) {
      const type = view.getUint16(at + recordOffsets.type, true);
      const size = view.getUint32(at + recordOffsets.size, true);
      if (size % 8 !== 0 || at + size > batch.length) return 22;
      this.commands.push(type);
      const failure = this.failures.get(type) ?? this.#apply(type, view, at, batch.subarray(at, at + size));
      out.setUint32(index * resultSize, failure, true);
      out.setUint32(index * resultSize + 4, 0, true);
      out.setBigUint64(index * resultSize + 8, 0n, true);
      at += size;
    }
    return at === batch.length ? 0 : 22;
  }

  query(asked: Uint8Array, reply: Uint8Array): number {
    const view = new DataView(asked.buffer, asked.byteOffset, asked.length);
    const out = new DataView(reply.buffer, reply.byteOffset, reply.length);
    switch (view.getUint16(recordOffsets.type, true)) {
      case query.flowDump:
        return this.#dump(view, reply, out);
      case query.flowAggregate:
        out.setBigUint64(0, 0n, true);
        out.setBigUint64(8, 0n, true);
        out.setBigUint64(16, BigInt(this.#matching(view).length), true);
        return aggregateReplySize;
      case query.tableStats:
        return this.#tables(view, out);
      case query.portStats:
        reply.fill(0, 0, portInfoSize);
        out.setUint32(portQueryOffsets.dpPort, view.getUint32(portQueryOffsets.dpPort, true), true);
        return portInfoSize;
      case query.flowChanges:
        return this.#takeRemoved(reply, out);
      default:
        return -95;
    }
  }

  #apply(type: number, view: DataView, at: number, record: Uint8Array): number {
    const bridge = view.getUint32(at + 8, true);
    if (type === command.bridgeAdd) this.rules.set(bridge, new Map());
    else if (type === command.bridgeDel) this.rules.delete(bridge);
    else if (type === command.flowFlush) this.rules.get(bridge)?.clear();
    else if (type === command.flowMod) return this.#flowMod(bridge, record);
    return 0;
  }

  #flowMod(bridge: number, record: Uint8Array): number {
    const rules = this.rules.get(bridge);
    if (rules === undefined) return error.noSuchBridge;
    const view = new DataView(record.buffer, record.byteOffset, record.length);
    const matchSize = view.getUint32(flowModOffsets.matchSize, true);
    const match = record.slice(flowModSize, flowModSize + matchSize);
    const table = view.getUint8(flowModOffsets.table);
    const priority = view.getUint32(flowModOffsets.priority, true);
    const key = `${table} ${priority} ${Buffer.from(match).toString("hex")}`;
    const kind = view.getUint8(flowModOffsets.command);
    if (kind === flowCommand.add) {
      rules.set(key, {
        key,
        table,
        priority,
        match,
        flags: view.getUint16(flowModOffsets.flowFlags, true),
        cookie: view.getBigUint64(flowModOffsets.newCookie, true),
        actions: record.slice(
          flowModSize + matchSize,
          flowModSize + matchSize + view.getUint32(flowModOffsets.actionsSize, true),
        ),
      });
    } else if (kind === flowCommand.deleteStrict) this.#remove(bridge, rules.get(key));
    else if (kind === flowCommand.delete) {
      for (const rule of [...rules.values()]) {
        if ((rule.flags & hidden) === 0 && (table === 255 || rule.table === table)) this.#remove(bridge, rule);
      }
    }
    return 0;
  }

  #remove(bridge: number, rule: Rule | undefined): void {
    if (rule === undefined || this.rules.get(bridge)?.delete(rule.key) !== true) return;
    if ((rule.flags & 1) !== 0) this.#removed.push(infoOf(bridge, rule, 2));
  }

  #matching(view: DataView): Rule[] {
    const table = view.getUint8(flowQueryOffsets.table);
    const all = view.getUint8(flowQueryOffsets.includeHidden) === 1;
    return [...(this.rules.get(view.getUint32(flowQueryOffsets.bridge, true))?.values() ?? [])].filter(
      (rule) => (table === 255 || rule.table === table) && (all || (rule.flags & hidden) === 0),
    );
  }

  #dump(view: DataView, reply: Uint8Array, out: DataView): number {
    const bridge = view.getUint32(flowQueryOffsets.bridge, true);
    const rules = this.#matching(view);
    let index = Number(view.getBigUint64(flowQueryOffsets.cursor, true));
    let at = dumpReplySize;
    let count = 0;
    for (; index < rules.length; index++) {
      const info = infoOf(bridge, rules[index]!, 0);
      if (at + info.length > reply.length) break;
      reply.set(info, at);
      at += info.length;
      count++;
    }
    out.setBigUint64(0, index < rules.length ? BigInt(index) : 0n, true);
    out.setUint32(8, count, true);
    return at;
  }

  #tables(view: DataView, out: DataView): number {
    const counts = new Map<number, number>();
    for (const rule of this.rules.get(view.getUint32(16, true))?.values() ?? []) {
      counts.set(rule.table, (counts.get(rule.table) ?? 0) + 1);
    }
    for (let table = 0; table < 255; table++) {
      const at = dumpReplySize + table * tableInfoSize;
      out.setUint32(at + recordOffsets.size, tableInfoSize, true);
      out.setUint32(at + tableInfoOffsets.table, table, true);
      out.setUint32(at + tableInfoOffsets.nFlows, counts.get(table) ?? 0, true);
      out.setBigUint64(at + tableInfoOffsets.maxFlows, 0xffffffffn, true);
    }
    out.setBigUint64(0, 0n, true);
    out.setUint32(8, 255, true);
    return dumpReplySize + 255 * tableInfoSize;
  }

  #takeRemoved(reply: Uint8Array, out: DataView): number {
    let at = dumpReplySize;
    let count = 0;
    while (this.#removed[0] !== undefined && at + flowReportSize + this.#removed[0].length <= reply.length) {
      const info = this.#removed.shift()!;
      reply.fill(0, at, at + flowReportSize);
      out.setUint32(at + flowReportOffsets.size, flowReportSize + info.length, true);
      out.setUint32(at + flowReportOffsets.change, flowChange.removed, true);
      reply.set(info, at + flowReportSize);
      at += flowReportSize + info.length;
      count++;
    }
    out.setBigUint64(0, this.#removed.length === 0 ? 0n : 1n, true);
    out.setUint32(8, count, true);
    return at;
  }
}

function infoOf(bridge: number, rule: Rule, reason: number): Uint8Array {
  const info = new Uint8Array(flowInfoSize + rule.match.length + rule.actions.length);
  const view = new DataView(info.buffer);
  view.setUint32(flowInfoOffsets.size, info.length, true);
  view.setUint32(flowInfoOffsets.bridge, bridge, true);
  view.setUint8(flowInfoOffsets.table, rule.table);
  view.setUint8(flowInfoOffsets.reason, reason);
  view.setUint16(flowInfoOffsets.flowFlags, rule.flags, true);
  view.setUint32(flowInfoOffsets.priority, rule.priority, true);
  view.setBigUint64(flowInfoOffsets.cookie, rule.cookie, true);
  view.setUint32(flowInfoOffsets.matchSize, rule.match.length, true);
  view.setUint32(flowInfoOffsets.actionsSize, rule.actions.length, true);
  info.set(rule.match, flowInfoSize);
  info.set(rule.actions, flowInfoSize + rule.match.length);
  return info;
}
