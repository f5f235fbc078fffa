import { ByteReader, ByteWriter } from "./bytes.js";
import { readBundleAdd, readBundleControl, writeBundleAdd, writeBundleControl } from "./codec-bundle.js";
import { readCtFlush, readCtFlushZone, writeCtFlush, writeCtFlushZone } from "./codec-conntrack.js";
import { anyFlowModContext, type FlowModContext, readFlowMod, writeFlowMod } from "./codec-flow-mod.js";
import { FlowStatsEncoder } from "./codec-flow-stats.js";
import { readGroupMod, writeGroupMod } from "./codec-group.js";
import { readMeterMod, writeMeterMod } from "./codec-meter.js";
import {
  readMultipartReply,
  readMultipartRequest,
  writeMultipartReply,
  writeMultipartRequest,
} from "./codec-multipart.js";
import {
  readFlowRemoved,
  readNxtPacketIn,
  readNxtPacketIn2,
  readPacketIn,
  readPacketOut,
  writeFlowRemoved,
  writePacketIn,
  writePacketOut,
} from "./codec-packet.js";
import { readPort, readPortDesc, readPortMod, writePort, writePortDesc, writePortMod } from "./codec-port.js";
import { readQueueGetConfigReply, writeQueueGetConfigReply } from "./codec-queue.js";
import {
  isAsync2,
  readAsync,
  readError,
  readFeaturesReply,
  readHello,
  readRole,
  readRoleStatus,
  readSwitchConfig,
  writeAsync,
  writeError,
  writeFeaturesReply,
  writeHello,
  writeRole,
  writeRoleStatus,
  writeSwitchConfig,
} from "./codec-switch.js";
import { readTableMod, readTableStatus, writeTableMod, writeTableStatus } from "./codec-table.js";
import { readTlvTableMod, readTlvTableReply, writeTlvTableMod, writeTlvTableReply } from "./codec-tlv.js";
import { OpenFlowError } from "./error.js";
import type { Message, MessageBody, Version } from "./message.js";
import { niciraVendor, onfVendor } from "./tables/errors.js";
import { type MessageRow, messageByNumber, messageNumber } from "./tables/messages.js";

/** Messages between bytes and objects.  Decoding reads nothing beyond the message, ends in time linear in its length
 *  (at most 65,535 bytes), and throws OpenFlowError with what Open vSwitch 3.1 answers. */

const standardNumber = { experimenter: 4 };
/** Multipart type of experimenters. */
const vendorStat = 0xffff;

export interface DecodeContext extends FlowModContext {}

const endOf = (name: string, reader: ByteReader): void => {
  if (reader.left !== 0)
    throw new OpenFlowError("OFPBRC_BAD_LEN", `the ${name} message is ${reader.left} bytes too long`);
};

/** Which message some bytes are. */
export interface MessageIdentity {
  readonly row: MessageRow;
  /** Where the body begins, behind all headers. */
  readonly bodyAt: number;
}

/** Nicira's second form of packet-ins has a name of its own. */
const packetIn2 = 30;

/** The message's name as logs and other programs know it: `OFPT_FLOW_MOD`, `OFPST_FLOW request`. */
export function messageTitle({ row }: MessageIdentity): string {
  const titles = {
    standard: "OFPT",
    nicira: "NXT",
    onf: "ONFT",
    multipart_request: "OFPST",
    multipart_reply: "OFPST",
    nicira_request: "NXST",
    nicira_reply: "NXST",
    onf_request: "ONFST",
    onf_reply: "ONFST",
  } as const;
  const { name, space } = row;
  const kind = /_(request|reply)$/.exec(space)?.[1];
  if (space === "nicira" && row.number === packetIn2) return "NXT_PACKET_IN2";
  if (kind === undefined) return `${titles[space]}_${name.replace(/^nxt_/, "").toUpperCase()}`;
  const body = name.replace(/_(request|reply)$/, "").replace(/_stats$/, "");
  return `${titles[space]}_${body.toUpperCase()} ${kind}`;
}

const cutShort = (): OpenFlowError => new OpenFlowError("OFPBRC_BAD_LEN", "the message is shorter than its headers");

/** Which message it is, by its headers alone.  Throws OpenFlowError when there is none such. */
export function identifyMessage(bytes: Uint8Array): MessageIdentity {
  if (bytes.length < 8) throw cutShort();
  const version = bytes[0] as number;
  if (version < 1 || version > 6)
    throw new OpenFlowError("OFPBRC_BAD_VERSION", `OpenFlow version ${version} is unknown`, { version });
  const type = bytes[1] as number;
  if (type === standardNumber.experimenter) return identifyExperimenter(bytes, version);
  const row = messageByNumber("standard", version, type);
  if (row === undefined)
    throw new OpenFlowError("OFPBRC_BAD_TYPE", `OpenFlow message type ${type} is unknown`, { type });
  if (row.name === "multipart_request" || row.name === "multipart_reply")
    return identifyMultipart(bytes, version, row.name);
  return { row, bodyAt: 8 };
}

function identifyExperimenter(bytes: Uint8Array, version: number): MessageIdentity {
  if (bytes.length < 16) throw cutShort();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const vendor = view.getUint32(8);
  const subtype = view.getUint32(12);
  if (vendor !== niciraVendor && vendor !== onfVendor)
    throw new OpenFlowError("OFPBRC_BAD_VENDOR", `experimenter ${vendor} is unknown`, { vendor });
  const row = messageByNumber(vendor === niciraVendor ? "nicira" : "onf", version, subtype);
  if (row === undefined)
    throw new OpenFlowError("OFPBRC_BAD_SUBTYPE", `experimenter message ${subtype} is unknown`, { vendor, subtype });
  return { row, bodyAt: 16 };
}

function identifyMultipart(
  bytes: Uint8Array,
  version: number,
  kind: "multipart_request" | "multipart_reply",
): MessageIdentity {
  const vendorAt = version === 1 ? 12 : 16;
  if (bytes.length < vendorAt) throw cutShort();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const number = view.getUint16(8);
  if (number !== vendorStat) {
    const row = messageByNumber(kind, version, number);
    if (row === undefined)
      throw new OpenFlowError("OFPBRC_BAD_STAT", `statistics type ${number} are unknown`, { type: number });
    return { row, bodyAt: vendorAt };
  }
  if (bytes.length < (version === 1 ? 16 : 24)) throw cutShort();
  const vendor = view.getUint32(vendorAt);
  if (vendor !== niciraVendor && (version === 1 || vendor !== onfVendor))
    throw new OpenFlowError("OFPBRC_BAD_VENDOR", `experimenter ${vendor} is unknown`, { vendor });
  if (bytes.length < 24) throw cutShort();
  const subtype = view.getUint32(vendorAt + 4);
  const owner = vendor === niciraVendor ? "nicira" : "onf";
  const row = messageByNumber(kind === "multipart_request" ? `${owner}_request` : `${owner}_reply`, version, subtype);
  if (row === undefined)
    throw new OpenFlowError("OFPBRC_BAD_SUBTYPE", `experimenter statistics ${subtype} are unknown`, { subtype });
  return { row, bodyAt: 24 };
}

/** Throws OpenFlowError when a message of that kind cannot be so long. */
export function checkMessageLength(bytes: Uint8Array, { row, bodyAt }: MessageIdentity): void {
  const over = bytes.length - bodyAt - row.bodyMin;
  if (over < 0 || (row.bodyStep === 0 ? over !== 0 : over % row.bodyStep !== 0))
    throw new OpenFlowError("OFPBRC_BAD_LEN", `a ${row.name} message cannot have ${bytes.length} bytes`);
}

/** Reads one whole message.  `context` says how the connection's flow_mods are to be read. */
export function decodeMessage(bytes: Uint8Array, context: DecodeContext = anyFlowModContext): Message {
  if (bytes.length < 8) throw cutShort();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[0] as number;
  const xid = view.getUint32(4);
  if (view.getUint16(2) !== bytes.length)
    throw new OpenFlowError("OFPBRC_BAD_LEN", "the message's length is not that in its header");
  if ((version === 0 || version > 6) && bytes[1] === 0)
    return { version: Math.min(version, 6) as Version, xid, ...readHello(new ByteReader(bytes, 8), version) };
  const identity = identifyMessage(bytes);
  checkMessageLength(bytes, identity);
  return { version: version as Version, xid, ...readIdentified(bytes, identity, version, context) };
}

function readIdentified(
  bytes: Uint8Array,
  { row, bodyAt }: MessageIdentity,
  version: number,
  context: DecodeContext,
): MessageBody {
  const reader = new ByteReader(bytes, bodyAt);
  const isVendor = row.space.startsWith("nicira");
  switch (row.space) {
    case "standard":
      return readBody(row.name, reader, version, true, bytes, context);
    case "onf":
      return readBody(row.name, reader, version, true, bytes, context);
    case "nicira":
      if (row.name === "packet_in")
        return row.number === 30 ? readNxtPacketIn2(reader, version, true) : readNxtPacketIn(reader);
      return readBody(row.name, reader, version, false, bytes, context);
    case "multipart_request":
    case "nicira_request":
    case "onf_request":
      return readMultipartRequest(row.name, reader, version, !isVendor);
    default: {
      const more = ((bytes[11] ?? 0) & 1) !== 0;
      return readMultipartReply(row.name, reader, version, !isVendor, more);
    }
  }
}

function readBody(
  name: string,
  reader: ByteReader,
  version: number,
  standard: boolean,
  bytes: Uint8Array,
  context: DecodeContext,
): MessageBody {
  const exact = <Body extends MessageBody>(body: Body): Body => {
    endOf(name, reader);
    return body;
  };
  switch (name) {
    case "hello":
      return readHello(reader, version);
    case "error":
      return readError(reader, version);
    case "echo_request":
    case "echo_reply":
      return { type: name, data: reader.rest() };
    case "features_request":
    case "get_config_request":
    case "barrier_request":
    case "barrier_reply":
    case "get_async_request":
    case "flow_monitor_paused":
    case "flow_monitor_resumed":
    case "nxt_tlv_table_request":
    case "nxt_flow_age":
      return exact({ type: name });
    case "features_reply":
      return readFeaturesReply(reader, version);
    case "get_config_reply":
    case "set_config":
      return exact(readSwitchConfig(reader, version, name));
    case "packet_in":
      return readPacketIn(reader, version);
    case "flow_removed":
      return exact(readFlowRemoved(reader, version, standard));
    case "port_status": {
      const reason = reader.u8();
      reader.skip(7);
      return exact({ type: name, reason, port: readPortDesc(reader, version) });
    }
    case "packet_out":
      return readPacketOut(reader, version, { executedOnly: context.executedOnly ?? true });
    case "flow_mod":
      return readFlowMod(bytes, context);
    case "port_mod":
      return exact(readPortMod(reader, version));
    case "table_mod":
      return exact(readTableMod(reader, version));
    case "queue_get_config_request": {
      const port = readPort(reader, version);
      reader.skip(version === 1 ? 2 : 4);
      return exact({ type: name, port });
    }
    case "queue_get_config_reply":
      return readQueueGetConfigReply(reader, version);
    case "role_request":
    case "role_reply":
      return exact(readRole(reader, standard, name));
    case "role_status":
      return exact(readRoleStatus(reader));
    case "get_async_reply":
    case "set_async":
      return exact(readAsync(reader, version, standard, name));
    case "set_async2":
      return exact(readAsync(reader, 5, true, "set_async"));
    case "nxt_set_flow_format":
    case "nxt_set_packet_in_format":
      return exact({ type: name, value: reader.u32() });
    case "nxt_flow_mod_table_id": {
      const value = reader.u8();
      reader.skip(7);
      return exact({ type: name, value });
    }
    case "nxt_set_controller_id": {
      reader.skip(6);
      return exact({ type: name, value: reader.u16() });
    }
    case "bundle_control":
      return readBundleControl(reader);
    case "bundle_add_message":
      return readBundleAdd(bytes);
    case "flow_monitor_cancel":
      return { type: name, id: reader.u32() };
    case "meter_mod":
      return readMeterMod(reader);
    case "nxt_tlv_table_mod":
      return readTlvTableMod(reader);
    case "nxt_tlv_table_reply":
      return readTlvTableReply(reader);
    case "requestforward":
      return readRequestForward(reader);
    case "nxt_resume":
      return { type: name, packetIn: readNxtPacketIn2(reader, version, false) };
    case "group_mod":
      return readGroupMod(reader, version, new ByteWriter(256));
    case "table_status":
      return exact(readTableStatus(reader));
    case "nxt_ct_flush_zone":
      return exact(readCtFlushZone(reader));
    case "nxt_ct_flush":
      return readCtFlush(reader);
    default:
      throw new OpenFlowError("OFPBRC_BAD_TYPE", `message ${name} is unknown`);
  }
}

function readRequestForward(reader: ByteReader): MessageBody {
  const inner = decodeMessage(reader.rest());
  if (inner.type !== "meter_mod" && inner.type !== "group_mod") {
    throw new OpenFlowError("OFPBFC_MSG_UNSUP", `a ${inner.type} message is not forwarded`);
  }
  const { version: _version, xid, ...request } = inner;
  return { type: "requestforward", requestXid: xid, request };
}

/** Writes the header of a message; `endMessage` fills in its length. */
function beginMessage(out: ByteWriter, version: number, type: number, xid: number): void {
  out.u8(version);
  out.u8(type);
  out.u16(0);
  out.u32(xid);
}

function endMessage(out: ByteWriter, start: number): void {
  const size = out.position - start;
  if (size > 0xffff) throw new Error(`an OpenFlow message of ${size} bytes cannot be sent`);
  out.view.setUint16(start + 2, size);
}

function beginMultipart(
  out: ByteWriter,
  version: number,
  xid: number,
  reply: boolean,
  number: number,
  more: boolean,
): void {
  beginMessage(
    out,
    version,
    messageNumber("standard", version, reply ? "multipart_reply" : "multipart_request") ?? 0,
    xid,
  );
  out.u16(number);
  out.u16(more ? 1 : 0);
  if (version > 1) out.zeros(4);
}

function beginVendorMultipart(
  out: ByteWriter,
  version: number,
  xid: number,
  reply: boolean,
  subtype: number,
  more: boolean,
  vendor: number = niciraVendor,
): void {
  beginMultipart(out, version, xid, reply, vendorStat, more);
  out.u32(vendor);
  out.u32(subtype);
  if (version === 1) out.zeros(4);
}

/** Whether the body is of the Nicira form of a message that has two. */
function isNicira(body: MessageBody, version: number): boolean {
  if (body.type === "set_async") return !body.standard || isAsync2(body, version);
  if ("standard" in body) return !body.standard;
  if (body.type === "packet_in") return body.format !== "standard";
  if (body.type.startsWith("flow_monitor_") || body.type === "requestforward") return version < 4;
  if (body.type.startsWith("group_features")) return version <= 2;
  if (body.type.startsWith("group_")) return version === 1;
  return body.type.startsWith("nxt_") || body.type.startsWith("ipfix_");
}

/** The bytes of one message.  Throws when the version cannot say it. */
export function encodeMessage(version: number, xid: number, body: MessageBody): Uint8Array {
  const out = new ByteWriter(128);
  appendMessage(out, version, xid, body);
  return out.finish();
}

/** Appends one message to what the writer holds. */
export function appendMessage(out: ByteWriter, version: number, xid: number, body: MessageBody): void {
  const start = out.position;
  const nicira = isNicira(body, version);
  const cannot = (): Error => new Error(`OpenFlow version ${version} has no message ${body.type}`);
  const name = body.type === "set_async" && isAsync2(body, version) ? "set_async2" : body.type;
  if (nicira) {
    const request = messageNumber("nicira_request", version, name);
    const reply = messageNumber("nicira_reply", version, name);
    if (request !== undefined) {
      beginVendorMultipart(out, version, xid, false, request, false);
      writeMultipartRequest(out, body, version);
    } else if (reply !== undefined) {
      beginVendorMultipart(out, version, xid, true, reply, "more" in body && body.more);
      writeMultipartReply(out, body, version);
    } else {
      const number =
        body.type === "packet_in" && body.format === "nxt_packet_in2" ? 30 : messageNumber("nicira", version, name);
      if (number === undefined) throw cannot();
      beginMessage(out, version, standardNumber.experimenter, xid);
      out.u32(niciraVendor);
      out.u32(number);
      writeBody(out, body, version);
    }
    endMessage(out, start);
    return;
  }
  const standard = messageNumber("standard", version, name);
  const onf = messageNumber("onf", version, name);
  const request = messageNumber("multipart_request", version, name);
  const reply = messageNumber("multipart_reply", version, name);
  const onfRequest = messageNumber("onf_request", version, name);
  const onfReply = messageNumber("onf_reply", version, name);
  if (standard !== undefined) {
    beginMessage(out, version, standard, xid);
    writeBody(out, body, version);
  } else if (onf !== undefined) {
    beginMessage(out, version, standardNumber.experimenter, xid);
    out.u32(onfVendor);
    out.u32(onf);
    writeBody(out, body, version);
  } else if (request !== undefined) {
    beginMultipart(out, version, xid, false, request, false);
    writeMultipartRequest(out, body, version);
  } else if (reply !== undefined) {
    beginMultipart(out, version, xid, true, reply, "more" in body && body.more);
    writeMultipartReply(out, body, version);
  } else if (onfRequest !== undefined) {
    beginVendorMultipart(out, version, xid, false, onfRequest, false, onfVendor);
    writeMultipartRequest(out, body, version);
  } else if (onfReply !== undefined) {
    beginVendorMultipart(out, version, xid, true, onfReply, "more" in body && body.more, onfVendor);
    writeMultipartReply(out, body, version);
  } else throw cannot();
  endMessage(out, start);
}

function writeBody(out: ByteWriter, body: MessageBody, version: number): void {
  switch (body.type) {
    case "hello":
      writeHello(out, body);
      return;
    case "error":
      writeError(out, body, version);
      return;
    case "echo_request":
    case "echo_reply":
      out.put(body.data);
      return;
    case "features_reply":
      writeFeaturesReply(out, body, version);
      return;
    case "get_config_reply":
    case "set_config":
      writeSwitchConfig(out, body, version);
      return;
    case "packet_in":
      writePacketIn(out, body, version);
      return;
    case "nxt_resume":
      writePacketIn(out, body.packetIn, version);
      return;
    case "flow_removed":
      writeFlowRemoved(out, body, version);
      return;
    case "port_status":
      out.u8(body.reason);
      out.zeros(7);
      writePortDesc(out, body.port, version);
      return;
    case "packet_out":
      writePacketOut(out, body, version);
      return;
    case "flow_mod":
      writeFlowMod(out, body, version);
      return;
    case "port_mod":
      writePortMod(out, body, version);
      return;
    case "table_mod":
      writeTableMod(out, body, version);
      return;
    case "group_mod":
      writeGroupMod(out, body, version);
      return;
    case "meter_mod":
      writeMeterMod(out, body);
      return;
    case "nxt_tlv_table_mod":
      writeTlvTableMod(out, body);
      return;
    case "nxt_tlv_table_reply":
      writeTlvTableReply(out, body);
      return;
    case "requestforward":
      appendMessage(out, version, body.requestXid, body.request);
      return;
    case "queue_get_config_request":
      writePort(out, body.port, version);
      out.zeros(version === 1 ? 2 : 4);
      return;
    case "queue_get_config_reply":
      writeQueueGetConfigReply(out, body, version);
      return;
    case "role_request":
    case "role_reply":
      writeRole(out, body);
      return;
    case "role_status":
      writeRoleStatus(out, body);
      return;
    case "get_async_reply":
    case "set_async":
      writeAsync(out, body, version);
      return;
    case "nxt_set_flow_format":
    case "nxt_set_packet_in_format":
      out.u32(body.value);
      return;
    case "nxt_flow_mod_table_id":
      out.u8(body.value);
      out.zeros(7);
      return;
    case "nxt_set_controller_id":
      out.zeros(6);
      out.u16(body.value);
      return;
    case "bundle_control":
      writeBundleControl(out, body);
      return;
    case "bundle_add_message":
      writeBundleAdd(out, body);
      return;
    case "flow_monitor_cancel":
      out.u32(body.id);
      return;
    case "table_status":
      writeTableStatus(out, body);
      return;
    case "nxt_ct_flush":
      writeCtFlush(out, body);
      return;
    case "nxt_ct_flush_zone":
      writeCtFlushZone(out, body);
      return;
    default:
      if ("body" in body) out.put(body.body);
  }
}

/** Turns ABI flow_info records into the replies of one flow statistics request. */
export function encodeFlowStats(version: number, xid: number, standard: boolean): FlowStatsEncoder {
  const begin = (out: ByteWriter): void => {
    if (standard) beginMultipart(out, version, xid, true, 1, false);
    else beginVendorMultipart(out, version, xid, true, 0, false);
  };
  return new FlowStatsEncoder(version, standard, begin, (out, more) => {
    endMessage(out, 0);
    out.view.setUint16(10, more ? 1 : 0);
    return out.finish();
  });
}
