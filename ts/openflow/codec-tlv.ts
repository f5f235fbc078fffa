import type { ByteReader, ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import type { TlvMapping, TlvTableMod, TlvTableReply } from "./message.js";
import { tlvCommand, tlvFields } from "./tlv-map.js";

/** Messages about the map of Geneve options. */

const longest = 124;

function readMappings(reader: ByteReader, fieldCount: number): TlvMapping[] {
  const mappings: TlvMapping[] = [];
  while (reader.left > 0) {
    const optionClass = reader.u16();
    const optionType = reader.u8();
    const length = reader.u8();
    const index = reader.u16();
    reader.skip(2);
    if (length % 4 !== 0 || length > longest)
      throw new OpenFlowError("NXTTMFC_BAD_OPT_LEN", `an option cannot have ${length} bytes`, { length });
    if (index >= fieldCount)
      throw new OpenFlowError("NXTTMFC_BAD_FIELD_IDX", `there is no field tun_metadata${index}`, { index });
    mappings.push({ optionClass, optionType, length, index });
  }
  return mappings;
}

function writeMappings(out: ByteWriter, mappings: readonly TlvMapping[]): void {
  for (const { optionClass, optionType, length, index } of mappings) {
    out.u16(optionClass);
    out.u8(optionType);
    out.u8(length);
    out.u16(index);
    out.zeros(2);
  }
}

export function readTlvTableMod(reader: ByteReader): TlvTableMod {
  const command = reader.u16();
  reader.skip(6);
  if (command > tlvCommand.clear)
    throw new OpenFlowError("NXTTMFC_BAD_COMMAND", `the map of options has no command ${command}`, { command });
  return { type: "nxt_tlv_table_mod", command, mappings: readMappings(reader, tlvFields) };
}

export function writeTlvTableMod(out: ByteWriter, body: TlvTableMod): void {
  out.u16(body.command);
  out.zeros(6);
  writeMappings(out, body.mappings);
}

export function readTlvTableReply(reader: ByteReader): TlvTableReply {
  const space = reader.u32();
  const fieldCount = reader.u16();
  reader.skip(10);
  return { type: "nxt_tlv_table_reply", space, fieldCount, mappings: readMappings(reader, fieldCount) };
}

export function writeTlvTableReply(out: ByteWriter, body: TlvTableReply): void {
  out.u32(body.space);
  out.u16(body.fieldCount);
  out.zeros(10);
  writeMappings(out, body.mappings);
}
