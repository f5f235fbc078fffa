/** The commands of `sluice ofctl` about the switch, its ports and single packets. */
import { randomBytes } from "node:crypto";
import {
  applyField,
  ByteWriter,
  capabilityNames,
  formatActions10,
  formatErrorMessage,
  formatEth,
  formatPortDesc,
  formatPortStats,
  formatTables,
  fragModeName,
  heading,
  KeyMatch,
  type Message,
  type MessageBody,
  ofpp,
  type PortDesc,
  type PortStats,
  parseActions,
  parsePort,
  planOf,
  portConfigNames,
  portSpeeds,
  portStateNames,
} from "../openflow/index.js";
import { fieldByName } from "../openflow/tables/fields.js";
import { Failure } from "./failure.js";
import { acceptedNames } from "./ofctl-flows.js";
import { failOn, onConnection, portsOf } from "./ofctl-names.js";
import type { OfctlCall } from "./ofctl-rows.js";

const switchOf = (call: OfctlCall): string => call.args[0] ?? "";

function print(text: string): void {
  process.stdout.write(text);
}
const printJson = (value: unknown): void => print(`${JSON.stringify(value)}\n`);

/** Sends one request and hands every part of its reply on; an error is printed where the reply would be. */
export async function dump(call: OfctlCall, request: MessageBody, part: (reply: Message) => void): Promise<number> {
  return onConnection(call, switchOf(call), async (connection) => {
    for await (const reply of connection.askAll(request)) {
      if (reply.type === "error") print(formatErrorMessage(reply));
      else part(reply);
    }
    return 0;
  });
}

const portForMachines = (port: PortDesc, version: number): Readonly<Record<string, unknown>> => {
  const [now, max] = portSpeeds(port, version);
  return {
    port: port.port,
    name: port.name,
    addr: formatEth(port.hwAddr),
    config: portConfigNames(port),
    state: portStateNames(port),
    speed_mbps: now,
    max_speed_mbps: max,
  };
};

export async function show(call: OfctlCall): Promise<number> {
  const { json } = call.options;
  const about: Record<string, unknown> = {};
  await onConnection(call, switchOf(call), async (connection) => {
    const { version } = connection;
    const reply = failOn(await connection.ask({ type: "features_request" }));
    if (reply.type !== "features_reply") throw new Failure(`${switchOf(call)}: the switch did not say its features`);
    const { datapathId, nTables, nBuffers, capabilities, auxiliaryId } = reply;
    const dpid = datapathId.toString(16).padStart(16, "0");
    const can = capabilityNames(capabilities, version);
    const ports = [...reply.ports];
    let text = `${heading("OFPT_FEATURES_REPLY", reply)} dpid:${dpid}\nn_tables:${nTables}, n_buffers:${nBuffers}`;
    text += `${auxiliaryId === 0 ? "" : `, auxiliary_id:${auxiliaryId}`}\ncapabilities: ${can.join(" ")}\n`;
    if (version === 1) text += `actions: ${formatActions10(reply.actions)}\n`;
    text += ports.map((port) => formatPortDesc(port, version)).join("");
    if (version >= 4) {
      for await (const part of connection.askAll({ type: "port_desc_request", port: ofpp.ANY })) {
        failOn(part);
        if (part.type !== "port_desc_reply") continue;
        text += `${heading("OFPST_PORT_DESC reply", part)}\n`;
        text += part.ports.map((port) => formatPortDesc(port, version)).join("");
        ports.push(...part.ports);
      }
    }
    if (!json) print(text);
    const machinePorts = ports.map((port) => portForMachines(port, version));
    const said = { datapath_id: dpid, n_tables: nTables, n_buffers: nBuffers, capabilities: can, ports: machinePorts };
    Object.assign(about, said);
  });
  await dump(call, { type: "get_config_request" }, (reply) => {
    if (reply.type !== "get_config_reply") return;
    const frags = fragModeName(reply.fragMode);
    Object.assign(about, { frags, miss_send_len: reply.missSendLen });
    const ttl = reply.invalidTtlToController === true ? " invalid_ttl_to_controller" : "";
    const title = heading("OFPT_GET_CONFIG_REPLY", reply);
    if (!json) print(`${title} frags=${frags}${ttl} miss_send_len=${reply.missSendLen}\n`);
  });
  if (json) printJson(about);
  return 0;
}

export function dumpDesc(call: OfctlCall): Promise<number> {
  return dump(call, { type: "desc_request" }, (reply) => {
    if (reply.type !== "desc_reply") return;
    const { manufacturer, hardware, software, serial, datapath } = reply;
    if (call.options.json) return printJson({ manufacturer, hardware, software, serial, datapath });
    const lines = `Manufacturer: ${manufacturer}\nHardware: ${hardware}\nSoftware: ${software}\n`;
    print(`${heading("OFPST_DESC reply", reply)}\n${lines}Serial Num: ${serial}\nDP Description: ${datapath}\n`);
  });
}

export function dumpTables(call: OfctlCall): Promise<number> {
  return dump(call, { type: "table_stats_request" }, (reply) => {
    if (reply.type === "table_stats_reply")
      print(`${heading("OFPST_TABLE reply", reply)}\n${formatTables(reply.tables, reply.version)}`);
  });
}

/** The port that a command names, looked up in the switch when it is not a number. */
async function portNumber(call: OfctlCall, text: string): Promise<number> {
  const number = parsePort(text) ?? (await portsOf(call, switchOf(call))).numberOf(text);
  if (number === undefined) throw new Failure(`${switchOf(call)}: unknown port \`${text}'`);
  return number;
}

const countsForMachines = (stats: PortStats): Readonly<Record<string, unknown>> => {
  const known = (value: bigint): number | null => (value === 0xffffffffffffffffn ? null : Number(value));
  return {
    port: stats.port,
    rx_packets: known(stats.rxPackets),
    rx_bytes: known(stats.rxBytes),
    rx_dropped: known(stats.rxDropped),
    rx_errors: known(stats.rxErrors),
    rx_frame_err: known(stats.rxFrameErr),
    rx_over_err: known(stats.rxOverErr),
    rx_crc_err: known(stats.rxCrcErr),
    tx_packets: known(stats.txPackets),
    tx_bytes: known(stats.txBytes),
    tx_dropped: known(stats.txDropped),
    tx_errors: known(stats.txErrors),
    collisions: known(stats.collisions),
  };
};

export async function dumpPorts(call: OfctlCall): Promise<number> {
  const wanted = call.args[1];
  const port = wanted === undefined ? ofpp.ANY : await portNumber(call, wanted);
  const replies: (Message & { readonly type: "port_stats_reply" })[] = [];
  await dump(call, { type: "port_stats_request", port }, (reply) => {
    if (reply.type === "port_stats_reply") replies.push(reply);
  });
  if (call.options.json) printJson(replies.flatMap((reply) => reply.ports.map(countsForMachines)));
  if (call.options.json) return 0;
  const shown = call.options.names ?? process.stdout.isTTY === true;
  const names = shown ? await portsOf(call, switchOf(call)) : undefined;
  for (const reply of replies) {
    const texts = reply.ports.map((stats) => formatPortStats(stats, reply.version, names));
    print(`${heading("OFPST_PORT reply", reply)} ${reply.ports.length} ports\n${texts.join("")}`);
  }
  return 0;
}

export async function dumpPortsDesc(call: OfctlCall): Promise<number> {
  // Before OpenFlow 1.5 the request names no port, and the switch tells them all.
  const port = call.args[1] === undefined ? ofpp.ANY : await portNumber(call, call.args[1]);
  return dump(call, { type: "port_desc_request", port }, (reply) => {
    if (reply.type !== "port_desc_reply") return;
    if (call.options.json) return printJson(reply.ports.map((port) => portForMachines(port, reply.version)));
    const texts = reply.ports.map((port) => formatPortDesc(port, reply.version));
    print(`${heading("OFPST_PORT_DESC reply", reply)}\n${texts.join("")}`);
  });
}

/** What mod-port can change: bits of OFPPC, set or cleared. */
const portChanges: Readonly<Record<string, readonly [bit: number, set: boolean]>> = {
  up: [1, false],
  down: [1, true],
  stp: [2, false],
  "no-stp": [2, true],
  receive: [4, false],
  "no-receive": [4, true],
  "receive-stp": [8, false],
  "no-receive-stp": [8, true],
  flood: [16, false],
  "no-flood": [16, true],
  forward: [32, false],
  "no-forward": [32, true],
  "packet-in": [64, false],
  "no-packet-in": [64, true],
};

export async function modPort(call: OfctlCall): Promise<number> {
  const [name = "", portText = "", change = ""] = call.args;
  const port = (await portsOf(call, name)).find(portText);
  if (port === undefined) throw new Failure(`${name}: couldn't find port \`${portText}'`);
  const row = portChanges[change];
  if (row === undefined) throw new Failure(`unknown mod-port command '${change}'`);
  const [mask, set] = row;
  const body = { port: port.port, hwAddr: port.hwAddr, config: set ? mask : 0, mask, advertise: 0 };
  return orders(call, [{ type: "port_mod", ...body }]);
}

/** Sends requests one after the other until one fails, whose error is printed. */
export async function orders(call: OfctlCall, bodies: readonly MessageBody[]): Promise<number> {
  return onConnection(call, switchOf(call), async (connection) => {
    for (const body of bodies) {
      const error = await connection.order(body);
      if (error?.type !== "error") continue;
      process.stderr.write(formatErrorMessage(error));
      return 1;
    }
    return 0;
  });
}

function packetBytes(text: string, what: string): Uint8Array {
  const digits = text.replace(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Failure(`${what}Trailing garbage in packet data`);
  if (digits.length < 28) throw new Failure(`${what}Packet data too short for Ethernet`);
  return new Uint8Array(Buffer.from(digits, "hex"));
}

function packetOut(inPort: number, key: KeyMatch, actions: Uint8Array, packet: Uint8Array): MessageBody {
  key.setNumber(planOf("in_port_oxm"), inPort);
  const match = new ByteWriter(64);
  key.write(match);
  return { type: "packet_out", bufferId: 0xffffffff, inPort, match: match.finish(), actions, packet };
}

/** `in_port=1 packet=HEX actions=...`, or the older IN_PORT ACTIONS PACKET... */
export async function sendPacket(call: OfctlCall): Promise<number> {
  const [, text = "", oldActions, ...packets] = call.args;
  const { ports } = await acceptedNames(call, switchOf(call));
  if (oldActions !== undefined) {
    const inPort = parsePort(text, ports);
    if (inPort === undefined) throw new Failure(`${switchOf(call)}: unknown port \`${text}'`);
    const actions = parseActions(oldActions, ports);
    const bodies = packets.map((packet) => packetOut(inPort, new KeyMatch(), actions, packetBytes(packet, "")));
    return orders(call, bodies);
  }
  const marker = /(?:^|[,\s])actions?\s*=/.exec(text);
  const head = marker === null ? text : text.slice(0, marker.index);
  const actions = parseActions(marker === null ? "" : text.slice(marker.index + marker[0].length).trim(), ports);
  const key = new KeyMatch();
  let inPort: number = ofpp.CONTROLLER;
  let packet: Uint8Array | undefined;
  for (const item of head.split(/[,\s]+/).filter((word) => word !== "")) {
    const [, word = item, value = ""] = /^([^=:]+)[=:](.*)$/.exec(item) ?? [];
    if (value === "") throw new Failure(`field ${word} missing value`);
    if (word === "in_port") {
      const port = parsePort(value, ports);
      if (port === undefined && /^\d+$/.test(value)) {
        const range = "outside the supported range 0 through ffff or 0xffffff00 through 0xffffffff";
        call.remark("ofp_port", "WARN", `port ${value} is ${range}`);
      }
      if (port === undefined) throw new Failure(`${value} is not a valid OpenFlow port`);
      inPort = port;
    } else if (word === "packet") packet = packetBytes(value, "packet: ");
    else {
      const row = fieldByName(word);
      if (row === undefined) throw new Failure(`unknown keyword ${word}`);
      applyField(key, row, value, ports);
    }
  }
  if (packet === undefined) throw new Failure("must specify packet");
  return orders(call, [packetOut(inPort, key, actions, packet)]);
}

export function probe(call: OfctlCall): Promise<number> {
  return onConnection(call, switchOf(call), async (connection) => {
    const reply = await connection.ask({ type: "echo_request", data: new Uint8Array(0) });
    if (reply.type !== "echo_reply") throw new Failure("reply does not match request");
    return 0;
  });
}

const pings = 10;
const payloadMax = 65527;

export function ping(call: OfctlCall): Promise<number> {
  const name = switchOf(call);
  const size = call.args[1] === undefined ? 64 : Number.parseInt(call.args[1], 10) || 0;
  if (size < 0 || size > payloadMax) throw new Failure(`payload must be between 0 and ${payloadMax} bytes`);
  return onConnection(call, name, async (connection) => {
    for (let round = 0; round < pings; round++) {
      const data = new Uint8Array(randomBytes(size));
      const before = performance.now();
      const reply = await connection.ask({ type: "echo_request", data });
      const time = (performance.now() - before).toFixed(1);
      if (reply.type !== "echo_reply" || Buffer.compare(reply.data, data) !== 0)
        throw new Failure("reply does not match request");
      print(`${size} bytes from ${name}: xid=${reply.xid.toString(16).padStart(8, "0")} time=${time} ms\n`);
    }
    return 0;
  });
}
