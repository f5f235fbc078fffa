import type { ByteReader, ByteWriter } from "./bytes.js";
import { eachProperty, readPortDesc, writePortDesc } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import type {
  AsyncChange,
  AsyncMessage,
  ErrorMessage,
  FeaturesReply,
  Hello,
  PortDesc,
  RoleRequest,
  RoleStatus,
  SwitchConfig,
} from "./message.js";
import { errorByWire } from "./tables/errors.js";

/** What is said about the switch and the connection rather than about flows. */

export function readHello(reader: ByteReader, version: number): Hello {
  // Without a bitmap, the sender speaks every version up to the one in the header.
  let versions = 2 ** (Math.min(version, 30) + 1) - 2;
  while (reader.left >= 4) {
    const start = reader.position;
    const type = reader.u16();
    const length = reader.u16();
    if (length < 4 || start + length > reader.end) break;
    if (type === 1 && length >= 8) versions = reader.u32();
    reader.position = Math.min(reader.end, start + ((length + 7) & ~7));
  }
  return { type: "hello", versions: versions >>> 0 };
}

export function writeHello(out: ByteWriter, body: Hello): void {
  const highest = 31 - Math.clz32(body.versions);
  if (body.versions === 2 ** (highest + 1) - 2) return;
  out.u16(1);
  out.u16(8);
  out.u32(body.versions);
}

export function readError(reader: ByteReader, version: number): ErrorMessage {
  let errorType = reader.u16();
  let errorCode = reader.u16();
  let vendor = 0;
  if (version < 3 && errorType === 0xb0c2 && reader.left >= 8) {
    vendor = reader.u32();
    errorType = reader.u16();
    errorCode = reader.u16();
  } else if (version >= 3 && errorType === 0xffff && reader.left >= 4) {
    errorType = errorCode;
    errorCode = 0;
    vendor = reader.u32();
  }
  const row = errorByWire(version, vendor, errorType, errorCode);
  return { type: "error", error: row?.name, vendor, errorType, errorCode, data: reader.rest() };
}

export function writeError(out: ByteWriter, body: ErrorMessage, version: number): void {
  if (body.vendor === 0) {
    out.u16(body.errorType);
    out.u16(body.errorCode);
  } else if (version < 3) {
    out.u16(0xb0c2);
    out.u16(0);
    out.u32(body.vendor);
    out.u16(body.errorType);
    out.u16(body.errorCode);
  } else {
    out.u16(0xffff);
    out.u16(body.errorType);
    out.u32(body.vendor);
  }
  out.put(body.data);
}

/** A message has at most 65535 bytes; an error's header takes 12, and a vendor error's 20. */
const errorDataMax = 0xffff - 20;

/** The error message that answers `request` because of `error`: with the whole request, as
 *  Open vSwitch sends it, as far as one message holds it. */
export function errorReply(error: OpenFlowError, version: number, request: Uint8Array): ErrorMessage {
  const { vendor, type, code } = error.wire(version);
  return {
    type: "error",
    error: error.code,
    vendor,
    errorType: type,
    errorCode: code,
    data: error.code === "OFPHFC_INCOMPATIBLE" ? request.subarray(0, 0) : request.subarray(0, errorDataMax),
  };
}

export function readFeaturesReply(reader: ByteReader, version: number): FeaturesReply {
  const datapathId = reader.u64();
  const nBuffers = reader.u32();
  const nTables = reader.u8();
  const auxiliaryId = reader.u8();
  reader.skip(2);
  const capabilities = reader.u32();
  const actions = reader.u32();
  const ports: PortDesc[] = [];
  while (version < 4 && reader.left > 0) ports.push(readPortDesc(reader, version));
  return { type: "features_reply", datapathId, nBuffers, nTables, auxiliaryId, capabilities, actions, ports };
}

export function writeFeaturesReply(out: ByteWriter, body: FeaturesReply, version: number): void {
  out.u64(body.datapathId);
  out.u32(body.nBuffers);
  out.u8(body.nTables);
  out.u8(version >= 4 ? body.auxiliaryId : 0);
  out.zeros(2);
  out.u32(body.capabilities);
  out.u32(version === 1 ? body.actions : 0);
  if (version < 4) for (const port of body.ports) writePortDesc(out, port, version);
}

export function readSwitchConfig(reader: ByteReader, version: number, type: SwitchConfig["type"]): SwitchConfig {
  const flags = reader.u16();
  const missSendLen = reader.u16();
  const hasTtl = version < 4;
  if (type === "set_config" && (flags & ~(hasTtl ? 7 : 3)) !== 0) {
    throw new OpenFlowError("OFPSCFC_BAD_FLAGS", `configuration flags ${flags} are not all known`, { flags });
  }
  return { type, fragMode: flags & 3, invalidTtlToController: hasTtl ? (flags & 4) !== 0 : undefined, missSendLen };
}

export function writeSwitchConfig(out: ByteWriter, body: SwitchConfig, version: number): void {
  out.u16(body.fragMode | (version < 4 && body.invalidTtlToController === true ? 4 : 0));
  out.u16(body.missSendLen);
}

export function readRole(reader: ByteReader, standard: boolean, type: RoleRequest["type"]): RoleRequest {
  const role = reader.u32();
  if (!standard) {
    if (role > 2) throw new OpenFlowError("OFPRRFC_BAD_ROLE", `there is no role ${role}`, { role });
    return { type, standard, role: role + 1, generationId: undefined };
  }
  reader.skip(4);
  const generationId = reader.u64();
  if (role > 3) throw new OpenFlowError("OFPRRFC_BAD_ROLE", `there is no role ${role}`, { role });
  const carries = type === "role_request" ? role === 2 || role === 3 : generationId !== 0xffffffffffffffffn;
  return { type, standard, role, generationId: carries ? generationId : undefined };
}

export function writeRole(out: ByteWriter, body: RoleRequest): void {
  if (!body.standard) {
    out.u32(body.role - 1);
    return;
  }
  out.u32(body.role);
  out.zeros(4);
  out.u64(body.generationId ?? (body.type === "role_reply" ? 0xffffffffffffffffn : 0n));
}

export function readRoleStatus(reader: ByteReader): RoleStatus {
  const role = reader.u32();
  const reason = reader.u8();
  reader.skip(3);
  return { type: "role_status", role, reason, generationId: reader.u64() };
}

export function writeRoleStatus(out: ByteWriter, body: RoleStatus): void {
  out.u32(body.role);
  out.u8(body.reason);
  out.zeros(3);
  out.u64(body.generationId);
}

/** Members in the order of the properties of OpenFlow 1.4: each has one for secondaries, then one for the others. */
const asyncKinds = ["packetIn", "portStatus", "flowRemoved", "roleStatus", "tableStatus", "requestForward"] as const;

const asyncMasksSize = 3;

/** Whether the message tells single masks, as properties, rather than both masks of the first three kinds. */
const tellsProperties = (body: AsyncMessage): boolean =>
  asyncKinds.some((kind, index) => {
    const pair = body.config[kind];
    return pair !== undefined && (index >= asyncMasksSize || pair.includes(undefined));
  });

/** NXT_SET_ASYNC_CONFIG2 says before OpenFlow 1.4 what OFPT_SET_ASYNC says from there on. */
export const isAsync2 = (body: AsyncMessage, version: number): boolean =>
  body.type === "set_async" && body.standard && (version < 4 || (version === 4 && tellsProperties(body)));

export function readAsync(
  reader: ByteReader,
  version: number,
  standard: boolean,
  type: AsyncMessage["type"],
): AsyncMessage {
  const config: { -readonly [Kind in keyof AsyncChange]: AsyncChange[Kind] } = {};
  if (!standard || version < 5) {
    for (const kind of asyncKinds.slice(0, asyncMasksSize)) config[kind] = [reader.u32(), reader.u32()];
    return { type, standard, config };
  }
  eachProperty(reader, reader.end, (number, end) => {
    const kind = asyncKinds[number >> 1];
    if (kind === undefined)
      throw new OpenFlowError("OFPACFC_UNSUPPORTED", `asynchronous messages have no property ${number}`);
    if (end - reader.position !== 4)
      throw new OpenFlowError("OFPBPC_BAD_LEN", `property ${number} has the wrong length`);
    const mask = reader.u32();
    const [primary, secondary] = config[kind] ?? [undefined, undefined];
    config[kind] = number % 2 === 0 ? [primary, mask] : [mask, secondary];
  });
  return { type, standard, config };
}

export function writeAsync(out: ByteWriter, body: AsyncMessage, version: number): void {
  const byProperty = body.standard && (version >= 5 || isAsync2(body, version));
  asyncKinds.forEach((kind, index) => {
    const pair = body.config[kind];
    if (!byProperty) {
      if (index >= asyncMasksSize) return;
      out.u32(pair?.[0] ?? 0);
      out.u32(pair?.[1] ?? 0);
      return;
    }
    for (const secondary of [1, 0]) {
      const mask = pair?.[secondary];
      if (mask === undefined) continue;
      out.u16(2 * index + (secondary === 1 ? 0 : 1));
      out.u16(8);
      out.u32(mask);
    }
  });
}
