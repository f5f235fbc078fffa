/** What OpenFlow controllers and people put into a bridge, and how it is taken out of one and put into another: tunnel
 *  options, meters, groups and flows. */
import {
  type FlowMod,
  type FlowStats,
  formatErrorMessage,
  type GroupDesc,
  type GroupMod,
  groupCommand,
  groupNumber,
  type Message,
  type MessageBody,
  type MeterConfig,
  meterCommand,
  meterNumbers,
  swapTlvMap,
  type TlvMapping,
  tlvCommand,
  withTlvMap,
} from "../openflow/index.js";
import { Failure } from "./failure.js";
import { type EncodedBundle, encodeBundle, mapOf, type OfctlConnection, type OfctlRun } from "./ofctl-connection.js";
import { prepare } from "./ofctl-flows.js";
import { failOn, onConnection } from "./ofctl-names.js";

export interface SavedBridge {
  readonly name: string;
  /** On the wire: 1 is OpenFlow 1.0, 6 is 1.5. */
  readonly version: number;
  readonly options: readonly TlvMapping[];
  readonly meters: readonly MeterConfig[];
  readonly groups: readonly GroupDesc[];
  readonly flows: readonly FlowMod[];
}

const firstWithMeters = 4;
const firstWithBundles = 4;
const anyNumber = 0xffffffff;
const allTables = 255;

export function addedFlow(flow: Pick<FlowStats, keyof FlowStats & keyof FlowMod> & { cookie: bigint }): FlowMod {
  return {
    ...{ type: "flow_mod", standard: true, command: 0, bufferId: anyNumber, outPort: anyNumber, outGroup: anyNumber },
    ...{ cookie: 0n, cookieMask: 0n, newCookie: flow.cookie, modifyCookie: true },
    tableId: flow.tableId,
    priority: flow.priority,
    idleTimeout: flow.idleTimeout,
    hardTimeout: flow.hardTimeout,
    importance: flow.importance,
    flags: flow.flags,
    match: flow.match,
    actions: flow.actions,
  };
}

async function onBridge<T>(run: OfctlRun, name: string, body: (connection: OfctlConnection) => Promise<T>): Promise<T> {
  const before = swapTlvMap(undefined);
  try {
    return await onConnection(run, name, body);
  } finally {
    swapTlvMap(before);
  }
}

/** Asked in the highest version that both may speak. */
export function readBridge(run: OfctlRun, name: string): Promise<SavedBridge> {
  return onBridge(run, name, async (connection) => {
    const options = await askOptions(connection);
    swapTlvMap(mapOf(options));
    const groups: GroupDesc[] = [];
    const meters: MeterConfig[] = [];
    const flows: FlowMod[] = [];
    for await (const reply of connection.askAll({ type: "group_desc_request", id: groupNumber.all })) {
      failOn(reply);
      if (reply.type === "group_desc_reply") groups.push(...reply.groups);
    }
    if (connection.version >= firstWithMeters) {
      for await (const reply of connection.askAll({ type: "meter_config_request", id: meterNumbers.all })) {
        failOn(reply);
        if (reply.type === "meter_config_reply") meters.push(...reply.meters);
      }
    }
    const standard = connection.version > 1;
    if (!standard) await connection.order({ type: "nxt_set_flow_format", value: 2 });
    const everything = { tableId: allTables, outPort: anyNumber, outGroup: anyNumber, cookie: 0n, cookieMask: 0n };
    const request: MessageBody = { type: "flow_stats_request", standard, ...everything, match: new Uint8Array(0) };
    for await (const reply of connection.askAll(request)) {
      failOn(reply);
      if (reply.type === "flow_stats_reply") for (const flow of reply.flows) flows.push(addedFlow(flow));
    }
    return { name, version: connection.version, options, meters: meters.filter(isOwn), groups, flows };
  });
}

/** Meters of controllers and of the slow path are no meters of flows, yet what was set of them comes back too. */
const isOwn = (meter: MeterConfig): boolean => meter.meterId <= meterNumbers.controller;

/** Takes what a bridge had, and what it is given of flows and groups in place of what it has: `bundle` as messages, where
 *  the version has bundles. */
export interface PreparedBridge {
  readonly saved: SavedBridge;
  readonly bundle: EncodedBundle | undefined;
}

const noFlow = {
  ...{ priority: 0, idleTimeout: 0, hardTimeout: 0, importance: 0, flags: 0, tableId: allTables, cookie: 0n },
  ...{ match: new Uint8Array(0), actions: new Uint8Array(0) },
};

/** All of a bridge's flows go. */
const deletedFlows: FlowMod = { ...addedFlow(noFlow), modifyCookie: false, command: 3 };

function* replacements(saved: SavedBridge, form: (flow: FlowMod) => FlowMod): Generator<MessageBody> {
  yield form(deletedFlows);
  yield groupMod({ groupId: groupNumber.all, groupType: 0, buckets: [], selection: undefined }, groupCommand.delete);
  for (const group of saved.groups) yield groupMod(group, groupCommand.add);
  for (const flow of saved.flows) yield form(flow);
}

/** Does beforehand what can be, so that a bridge waits no longer for its flows than it must. */
export function prepareBridge(saved: SavedBridge): PreparedBridge {
  if (saved.version < firstWithBundles) return { saved, bundle: undefined };
  const bundle = withTlvMap(mapOf(saved.options), () =>
    encodeBundle(
      saved.version,
      replacements(saved, (flow) => flow),
    ),
  );
  return { saved, bundle };
}

/** Puts it into a bridge, in place of what that has. */
export function writeBridge(run: OfctlRun, { saved, bundle }: PreparedBridge): Promise<void> {
  return onBridge(run, saved.name, async (connection) => {
    const options = await askOptions(connection);
    const [missing, surplus] = [without(saved.options, options), without(options, saved.options)];
    if (missing.some((one) => surplus.some((other) => excludes(one, other)))) {
      // Nothing may match an option whose mapping goes.
      refuse(saved.name, "flows", await connection.order(deletedFlows));
      await mapOptions(connection, saved.name, tlvCommand.delete, surplus.splice(0));
    }
    await mapOptions(connection, saved.name, tlvCommand.add, missing);
    swapTlvMap(mapOf([...saved.options, ...surplus]));
    const oldMeters = connection.version < firstWithMeters ? new Set<number>() : await meterIds(connection);
    const meters = saved.meters.map((meter): MessageBody => {
      const command = oldMeters.has(meter.meterId) ? meterCommand.modify : meterCommand.add;
      return { type: "meter_mod", command, meter };
    });
    refuse(saved.name, "meters", await connection.orderAll(meters));
    const error =
      bundle === undefined
        ? await connection.orderAll(replacements(saved, await prepare(connection, saved.flows)))
        : await connection.orderBundle(bundle);
    refuse(saved.name, "flows and groups", error);
    await mapOptions(connection, saved.name, tlvCommand.delete, surplus);
    const kept = new Set(saved.meters.map((meter) => meter.meterId));
    const gone = [...oldMeters].filter((id) => !kept.has(id));
    const deletions = gone.map((meterId): MessageBody => {
      return { type: "meter_mod", command: meterCommand.delete, meter: { meterId, flags: 0, bands: [] } };
    });
    refuse(saved.name, "meters", await connection.orderAll(deletions));
  });
}

const groupMod = (group: GroupDesc, command: number): GroupMod => ({
  type: "group_mod",
  command,
  commandBucket: anyNumber,
  ...group,
});

async function meterIds(connection: OfctlConnection): Promise<Set<number>> {
  const found = new Set<number>();
  for await (const reply of connection.askAll({ type: "meter_config_request", id: meterNumbers.all })) {
    failOn(reply);
    if (reply.type === "meter_config_reply") for (const { meterId } of reply.meters) found.add(meterId);
  }
  return found;
}

async function askOptions(connection: OfctlConnection): Promise<readonly TlvMapping[]> {
  const reply = failOn(await connection.ask({ type: "nxt_tlv_table_request" }));
  return reply.type === "nxt_tlv_table_reply" ? reply.mappings : [];
}

const optionText = (one: TlvMapping): string => `${one.optionClass}/${one.optionType}/${one.length}/${one.index}`;

/** Those that `others` do not have just so. */
function without(options: readonly TlvMapping[], others: readonly TlvMapping[]): TlvMapping[] {
  const there = new Set(others.map(optionText));
  return options.filter((one) => !there.has(optionText(one)));
}

/** A field is one option, and an option is one field. */
const excludes = (one: TlvMapping, other: TlvMapping): boolean =>
  one.index === other.index || (one.optionClass === other.optionClass && one.optionType === other.optionType);

async function mapOptions(
  connection: OfctlConnection,
  bridge: string,
  command: number,
  mappings: readonly TlvMapping[],
): Promise<void> {
  if (mappings.length > 0)
    refuse(bridge, "tunnel options", await connection.order({ type: "nxt_tlv_table_mod", command, mappings }));
}

function refuse(bridge: string, what: string, error: Message | undefined): void {
  if (error?.type !== "error") return;
  const words = formatErrorMessage(error).trim().split("\n")[0] ?? "";
  throw new Failure(`${bridge}: the switch refused the saved ${what}: ${words}`);
}
