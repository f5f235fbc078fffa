/** Names of a switch's ports and tables, asked of the switch. */
import { type Message, type MessageBody, ofpp, type PortDesc, type PortNames } from "../openflow/index.js";
import { Failure } from "./failure.js";
import { OfctlConnection, type OfctlRun } from "./ofctl-connection.js";

export class SwitchPorts implements PortNames {
  readonly #byNumber: ReadonlyMap<number, PortDesc>;
  readonly #byName: ReadonlyMap<string, PortDesc>;

  constructor(ports: readonly PortDesc[]) {
    this.#byNumber = new Map(ports.map((port) => [port.port, port]));
    this.#byName = new Map(ports.map((port) => [port.name, port]));
  }

  numberOf(name: string): number | undefined {
    return this.#byName.get(name)?.port;
  }

  nameOf(port: number): string | undefined {
    return this.#byNumber.get(port)?.name;
  }

  /** The port with that name, or with that number in digits. */
  find(text: string): PortDesc | undefined {
    return /^\d+$/.test(text) ? this.#byNumber.get(Number(text)) : this.#byName.get(text);
  }
}

export function failOn(message: Message): Message {
  if (message.type === "error") throw new Failure(`the switch answered ${message.error ?? "an unknown error"}`);
  return message;
}

/** Runs `body` on a connection of its own. */
export async function onConnection<T>(
  run: OfctlRun,
  name: string,
  body: (connection: OfctlConnection) => Promise<T>,
): Promise<T> {
  const connection = await OfctlConnection.open(run, name);
  try {
    return await body(connection);
  } finally {
    connection.close();
  }
}

export function portsOf(run: OfctlRun, name: string): Promise<SwitchPorts> {
  return onConnection(run, name, async (connection) => {
    const ports: PortDesc[] = [];
    const request: MessageBody =
      connection.version < 4 ? { type: "features_request" } : { type: "port_desc_request", port: ofpp.ANY };
    for await (const reply of connection.askAll(request)) {
      failOn(reply);
      if (reply.type === "features_reply" || reply.type === "port_desc_reply") ports.push(...reply.ports);
    }
    return new SwitchPorts(ports);
  });
}

/** Bytes of one table's features before its name: length, number, command and features. */
const tableFeaturesNameAt = 8;
const tableNameSize = 32;

function namesInFeatures(body: Uint8Array, into: Map<string, number>): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = 0; at + tableFeaturesNameAt + tableNameSize <= body.length; ) {
    const size = view.getUint16(at);
    const name = body.subarray(at + tableFeaturesNameAt, at + tableFeaturesNameAt + tableNameSize);
    const text = new TextDecoder().decode(name).replace(/\0.*$/s, "");
    if (text !== "") into.set(text, body[at + 2]!);
    if (size === 0) return;
    at += (size + 7) & ~7;
  }
}

/** Numbers of the tables that have a name. */
export function tablesOf(run: OfctlRun, name: string): Promise<ReadonlyMap<string, number>> {
  return onConnection(run, name, async (connection) => {
    const tables = new Map<string, number>();
    const request: MessageBody =
      connection.version < 4
        ? { type: "table_stats_request" }
        : { type: "table_features_request", body: new Uint8Array(0) };
    for await (const reply of connection.askAll(request)) {
      if (reply.type === "table_features_reply") namesInFeatures(reply.body, tables);
      else if (reply.type === "table_stats_reply")
        for (const table of reply.tables) if (table.name !== "") tables.set(table.name, table.tableId);
    }
    return tables;
  });
}
