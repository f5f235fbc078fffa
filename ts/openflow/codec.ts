import { ByteReader, ByteWriter } from "./bytes.js";
import { anyFlowModContext, type FlowModContext, readFlowMod, writeFlowMod } from "./codec-flow-mod.js";
import { FlowStatsEncoder } from "./codec-flow-stats.js";
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
import {
  readAsync,
  readError,
  readFeaturesReply,
  readHello,
  readQueueGetConfigReply,
  readRole,
  readRoleStatus,
  readSwitchConfig,
  readTableMod,
  writeAsync,
  writeError,
  writeFeaturesReply,
  writeHello,
  writeQueueGetConfigReply,
  writeRole,
  writeRoleStatus,
  writeSwitchConfig,
  writeTableMod,
} from "./codec-switch.js";
import { OpenFlowError } from "./error.js";
import type { Message, MessageBody, Version } from "./message.js";
import { niciraVendor, onfVendor } from "./tables/errors.js";
import { messageByNumber, messageNumber } from "./tables/messages.js";

/** Messages between bytes and objects.  Decoding reads nothing beyond the message, ends in time linear in its length
 *  (at most 65,535 bytes), and throws OpenFlowError with what Open vSwitch 3.1 answers. */

const standardNumber = { experimenter: 4 };

export interface DecodeContext extends FlowModContext {}

const endOf = (name: string, reader: ByteReader): void => {
  if (reader.left !== 0)
    throw new OpenFlowError("OFPBRC_BAD_LEN", `the ${name} message is ${reader.left} bytes too long`);
};

/** Reads one whole message.  `context` says how the connection's flow_mods are to be read. */
export function decodeMessage(bytes: Uint8Array, context: DecodeContext = anyFlowModContext): Message {
  if (bytes.length < 8) throw new OpenFlowError("OFPBRC_BAD_LEN", "the message is shorter than its header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[0] as number;
  const number = bytes[1] as number;
  const xid = view.getUint32(4);
  if (view.getUint16(2) !== bytes.length)
    throw new OpenFlowError("OFPBRC_BAD_LEN", "the message's length is not that in its header");
  if (version === 0 || version > 6) {
    if (number !== 0)
      throw new OpenFlowError("OFPBRC_BAD_VERSION", `OpenFlow version ${version} is unknown`, { version });
    return { version: Math.min(version, 6) as Version, xid, ...readHello(new ByteReader(bytes, 8), version) };
  }
  const reader = new ByteReader(bytes, 8);
  const body =
    number === standardNumber.experimenter
      ? readExperimenter(reader, version, bytes, context)
      : readStandard(number, reader, version, bytes, context);
  return { version: version as Version, xid, ...body };
}

function readStandard(
  number: number,
  reader: ByteReader,
  version: number,
  bytes: Uint8Array,
  context: DecodeContext,
): MessageBody {
  const row = messageByNumber("standard", version, number);
  if (row === undefined)
    throw new OpenFlowError("OFPBRC_BAD_TYPE", `OpenFlow message type ${number} is unknown`, { type: number });
  if (row.name === "multipart_request" || row.name === "multipart_reply")
    return readMultipart(row.name, reader, version);
  return readBody(row.name, reader, version, true, bytes, context);
}

function readMultipart(
  kind: "multipart_request" | "multipart_reply",
  reader: ByteReader,
  version: number,
): MessageBody {
  const number = reader.u16();
  const more = (reader.u16() & 1) !== 0;
  if (version > 1) reader.skip(4);
  const request = kind === "multipart_request";
  if (number !== 0xffff) {
    const row = messageByNumber(kind, version, number);
    if (row === undefined)
      throw new OpenFlowError("OFPBRC_BAD_STAT", `statistics type ${number} is unknown`, { type: number });
    return request
      ? readMultipartRequest(row.name, reader, version, true)
      : readMultipartReply(row.name, reader, version, true, more);
  }
  const vendor = reader.u32();
  if (vendor !== niciraVendor)
    throw new OpenFlowError("OFPBRC_BAD_VENDOR", `experimenter ${vendor} is unknown`, { vendor });
  const subtype = reader.u32();
  if (version === 1) reader.skip(4);
  const row = messageByNumber(request ? "nicira_request" : "nicira_reply", version, subtype);
  if (row === undefined)
    throw new OpenFlowError("OFPBRC_BAD_SUBTYPE", `Nicira statistics ${subtype} are unknown`, { subtype });
  return request
    ? readMultipartRequest(row.name, reader, version, false)
    : readMultipartReply(row.name, reader, version, false, more);
}

function readExperimenter(reader: ByteReader, version: number, bytes: Uint8Array, context: DecodeContext): MessageBody {
  const vendor = reader.u32();
  if (vendor !== niciraVendor && vendor !== onfVendor)
    throw new OpenFlowError("OFPBRC_BAD_VENDOR", `experimenter ${vendor} is unknown`, { vendor });
  const subtype = reader.u32();
  const row = messageByNumber(vendor === niciraVendor ? "nicira" : "onf", version, subtype);
  if (row === undefined)
    throw new OpenFlowError("OFPBRC_BAD_SUBTYPE", `experimenter message ${subtype} is unknown`, { vendor, subtype });
  if (row.name === "packet_in") return subtype === 30 ? readNxtPacketIn2(reader) : readNxtPacketIn(reader);
  return readBody(row.name, reader, version, vendor === onfVendor, bytes, context);
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
      return exact({ type: name });
    case "nxt_flow_age":
      return { type: name };
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
    case "group_mod":
    case "meter_mod":
    case "bundle_control":
    case "bundle_add_message":
    case "nxt_resume":
    case "nxt_tlv_table_mod":
    case "nxt_tlv_table_request":
    case "nxt_ct_flush_zone":
    case "nxt_flow_monitor_cancel":
      return { type: name, body: reader.rest() };
    default:
      throw new OpenFlowError("OFPBRC_BAD_TYPE", `message ${name} is unknown`);
  }
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

function beginNiciraMultipart(
  out: ByteWriter,
  version: number,
  xid: number,
  reply: boolean,
  subtype: number,
  more: boolean,
): void {
  beginMultipart(out, version, xid, reply, 0xffff, more);
  out.u32(niciraVendor);
  out.u32(subtype);
  if (version === 1) out.zeros(4);
}

/** Whether the body is of the Nicira form of a message that has two. */
function isNicira(body: MessageBody, version: number): boolean {
  if ("standard" in body) return !body.standard;
  if (body.type === "packet_in") return body.format !== "standard";
  if (body.type === "flow_monitor_request") return version < 5;
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
  const name = body.type === "table_descriptions_reply" ? "table_desc_reply" : body.type;
  if (nicira) {
    const request = messageNumber("nicira_request", version, name);
    const reply = messageNumber("nicira_reply", version, name);
    if (request !== undefined) {
      beginNiciraMultipart(out, version, xid, false, request, false);
      writeMultipartRequest(out, body, version);
    } else if (reply !== undefined) {
      beginNiciraMultipart(out, version, xid, true, reply, "more" in body && body.more);
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
    default:
      if ("body" in body) out.put(body.body);
  }
}

/** Turns ABI flow_info records into the replies of one flow statistics request. */
export function encodeFlowStats(version: number, xid: number, standard: boolean): FlowStatsEncoder {
  const begin = (out: ByteWriter): void => {
    if (standard) beginMultipart(out, version, xid, true, 1, false);
    else beginNiciraMultipart(out, version, xid, true, 0, false);
  };
  return new FlowStatsEncoder(version, standard, begin, (out, more) => {
    endMessage(out, 0);
    out.view.setUint16(10, more ? 1 : 0);
    return out.finish();
  });
}
