/** What the database wants: its rows, checked and put in order, before anything is touched.  Pure. */
import type {
  AutoAttachRow,
  BridgeRow,
  ControllerRow,
  Idl,
  InterfaceRow,
  MirrorRow,
  PortRow,
  VswitchTables,
} from "../ovsdb/index.js";

export interface WantedPort {
  /** Undefined for a local port that no row asks for and a bridge with controllers must have. */
  readonly row: PortRow | undefined;
  readonly name: string;
  readonly interfaces: readonly WantedInterface[];
  /** How its interfaces' sending is to be shaped. */
  readonly qos?: WantedQos | undefined;
}

/** A row of QoS with the rows of Queue that it names. */
export interface WantedQos {
  readonly type: string;
  readonly details: ReadonlyMap<string, string>;
  readonly queues: ReadonlyMap<number, WantedQueue>;
}

export interface WantedQueue {
  readonly details: ReadonlyMap<string, string>;
  readonly dscp: number | undefined;
}

export interface WantedInterface {
  readonly row: InterfaceRow | undefined;
  readonly name: string;
  /** As the database says, but `internal` for the local port and `system` when it says nothing. */
  readonly type: string;
}

export interface WantedBridge {
  readonly row: BridgeRow;
  readonly name: string;
  /** `system`, `netdev` or `dummy`. */
  readonly datapathType: string;
  readonly ports: ReadonlyMap<string, WantedPort>;
  readonly controllers: readonly ControllerRow[];
  readonly mirrors: readonly MirrorRow[];
  readonly autoAttach: AutoAttachRow | undefined;
}

export interface Wanted {
  readonly bridges: ReadonlyMap<string, WantedBridge>;
  /** Sentences for the log, in order. */
  readonly warnings: readonly string[];
  /** Further ones, of what Open vSwitch ignores without a word: no warnings for whoever takes these for failures. */
  readonly notices: readonly string[];
}

/** The name of a datapath type as the database may spell it. */
export function datapathTypeOf(row: BridgeRow): string {
  return row.datapath_type === "" ? "system" : row.datapath_type;
}

export function collectWanted(idl: Idl<VswitchTables>): Wanted {
  const warnings: string[] = [];
  const notices: string[] = [];
  const bridges = new Map<string, WantedBridge>();
  const root = idl.table("Open_vSwitch").first();
  for (const uuid of root?.bridges ?? []) {
    const row = idl.table("Bridge").get(uuid);
    if (row === undefined) continue;
    if (/[/\\]/.test(row.name)) {
      warnings.push(`ignoring bridge with invalid name "${row.name}"`);
    } else if (bridges.has(row.name)) {
      warnings.push(`bridge ${row.name} specified twice`);
    } else {
      bridges.set(row.name, wantedBridge(idl, row, warnings, notices));
    }
  }
  return { bridges, warnings, notices };
}

function wantedBridge(idl: Idl<VswitchTables>, row: BridgeRow, warnings: string[], notices: string[]): WantedBridge {
  const owners = new Map<string, string>();
  const ports = new Map<string, WantedPort>();
  for (const uuid of row.ports) {
    const port = idl.table("Port").get(uuid);
    if (port === undefined) continue;
    if (ports.has(port.name)) {
      warnings.push(`bridge ${row.name}: ${port.name} specified twice as bridge port`);
      continue;
    }
    const interfaces = wantedInterfaces(idl, row, port, owners, notices);
    if (interfaces.length === 0) notices.push(`bridge ${row.name}: port ${port.name} has no interfaces, dropping`);
    else ports.set(port.name, { row: port, name: port.name, interfaces, qos: wantedQos(idl, port) });
  }
  const controllers = row.controller
    .map((uuid) => idl.table("Controller").get(uuid))
    .filter((controller) => controller !== undefined);
  if (controllers.length > 0 && !ports.has(row.name)) {
    warnings.push(`bridge ${row.name}: no port named ${row.name}, synthesizing one`);
    ports.set(row.name, {
      row: undefined,
      name: row.name,
      interfaces: [{ row: undefined, name: row.name, type: "internal" }],
    });
  }
  const mirrors = row.mirrors.map((uuid) => idl.table("Mirror").get(uuid)).filter((mirror) => mirror !== undefined);
  const autoAttach = row.auto_attach === undefined ? undefined : idl.table("AutoAttach").get(row.auto_attach);
  return { row, name: row.name, datapathType: datapathTypeOf(row), ports, controllers, mirrors, autoAttach };
}

function wantedQos(idl: Idl<VswitchTables>, port: PortRow): WantedQos | undefined {
  const row = port.qos === undefined ? undefined : idl.table("QoS").get(port.qos);
  if (row === undefined || row.type === "") return undefined;
  const queues = new Map<number, WantedQueue>();
  for (const [number, id] of row.queues) {
    const queue = idl.table("Queue").get(id);
    if (queue !== undefined) queues.set(number, { details: queue.other_config, dscp: queue.dscp });
  }
  return { type: row.type, details: row.other_config, queues };
}

function wantedInterfaces(
  idl: Idl<VswitchTables>,
  bridge: BridgeRow,
  port: PortRow,
  owners: Map<string, string>,
  notices: string[],
): WantedInterface[] {
  const out: WantedInterface[] = [];
  for (const uuid of port.interfaces) {
    const row = idl.table("Interface").get(uuid);
    if (row === undefined) continue;
    const owner = owners.get(row.name);
    if (owner !== undefined) {
      notices.push(
        `bridge ${bridge.name}: interface ${row.name} is already in port ${owner}, ignoring it in port ${port.name}`,
      );
      continue;
    }
    owners.set(row.name, port.name);
    out.push({
      row,
      name: row.name,
      type: row.name === bridge.name ? "internal" : row.type === "" ? "system" : row.type,
    });
  }
  return out;
}
