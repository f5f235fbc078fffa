import type { ByteReader, ByteWriter } from "./bytes.js";
import { eachProperty } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import type { TableDescReply, TableDescription, TableMod, TableStatus, TableVacancy } from "./message.js";

/** What is said about the configuration of tables. */

/** OFPTMPT. */
const tableModProperty = { eviction: 2, vacancy: 3 } as const;

function writeVacancy(out: ByteWriter, vacancy: TableVacancy): void {
  out.u16(tableModProperty.vacancy);
  out.u16(8);
  out.u8(vacancy.down);
  out.u8(vacancy.up);
  out.u8(vacancy.now);
  out.zeros(1);
}

export function readTableMod(reader: ByteReader, version: number): TableMod {
  const tableId = reader.u8();
  reader.skip(3);
  const config = reader.u32();
  const properties: { evictionFlags: number | undefined; vacancy: TableVacancy | undefined } = {
    evictionFlags: undefined,
    vacancy: undefined,
  };
  if (version >= 5) {
    eachProperty(reader, reader.end, (type, end) => {
      if (type !== tableModProperty.eviction && type !== tableModProperty.vacancy)
        throw new OpenFlowError("OFPBRC_BAD_TYPE", `a table_mod has no property ${type}`);
      if (end - reader.position !== 4) throw new OpenFlowError("OFPBPC_BAD_LEN", "a property has the wrong length");
      if (type === tableModProperty.eviction) properties.evictionFlags = reader.u32();
      else {
        const vacancy = { down: reader.u8(), up: reader.u8(), now: reader.u8() };
        reader.skip(1);
        if (vacancy.down > vacancy.up || vacancy.down > 100 || vacancy.up > 100)
          throw new OpenFlowError("OFPBPC_BAD_VALUE", "a vacancy is a percentage, and down is not above up");
        properties.vacancy = vacancy;
      }
    });
  }
  return { type: "table_mod", tableId, config, ...properties };
}

export function writeTableMod(out: ByteWriter, body: TableMod, version: number): void {
  out.u8(body.tableId);
  out.zeros(3);
  out.u32(body.config);
  if (version < 5) return;
  if (body.evictionFlags !== undefined) {
    out.u16(tableModProperty.eviction);
    out.u16(8);
    out.u32(body.evictionFlags);
  }
  if (body.vacancy !== undefined) writeVacancy(out, body.vacancy);
}

const cutShort = (): OpenFlowError => new OpenFlowError("OFPBRC_BAD_LEN", "a table's description is cut short");
const vacancyBit = 8;
/** OFPTMPEF OTHER, IMPORTANCE and LIFETIME: how every table chooses what to evict. */
const evictionFlags = 7;
const descriptionSize = 8;

function readTableDescription(reader: ByteReader): TableDescription {
  const start = reader.position;
  if (reader.left < descriptionSize) throw cutShort();
  const length = reader.u16();
  if (length < descriptionSize || length > reader.end - start) throw cutShort();
  const tableId = reader.u8();
  reader.skip(1);
  const config = reader.u32();
  let vacancy: TableVacancy | undefined;
  eachProperty(reader, start + length, (type, end) => {
    if (type !== tableModProperty.eviction && type !== tableModProperty.vacancy) return;
    if (end - reader.position !== 4) throw new OpenFlowError("OFPBPC_BAD_LEN", "a property has the wrong length");
    if (type === tableModProperty.vacancy) vacancy = { down: reader.u8(), up: reader.u8(), now: reader.u8() };
  });
  return { tableId, config, vacancy: (config & vacancyBit) === 0 ? undefined : vacancy };
}

function writeTableDescription(out: ByteWriter, table: TableDescription): void {
  out.u16(table.vacancy === undefined ? 16 : 24);
  out.u8(table.tableId);
  out.zeros(1);
  out.u32(table.config);
  out.u16(tableModProperty.eviction);
  out.u16(8);
  out.u32(evictionFlags);
  if (table.vacancy !== undefined) writeVacancy(out, table.vacancy);
}

export function readTableDescReply(reader: ByteReader, more: boolean): TableDescReply {
  const tables: TableDescription[] = [];
  while (reader.left > 0) tables.push(readTableDescription(reader));
  return { type: "table_desc_reply", more, tables };
}

export function writeTableDescReply(out: ByteWriter, body: TableDescReply): void {
  for (const table of body.tables) writeTableDescription(out, table);
}

/** OFPTR. */
const statusReason = { down: 3, up: 4 } as const;

export function readTableStatus(reader: ByteReader): TableStatus {
  const reason = reader.u8();
  reader.skip(7);
  if (reason !== statusReason.down && reason !== statusReason.up)
    throw new OpenFlowError("OFPBPC_BAD_VALUE", `tables have no status for reason ${reason}`, { reason });
  const table = readTableDescription(reader);
  return { type: "table_status", reason, table };
}

export function writeTableStatus(out: ByteWriter, body: TableStatus): void {
  out.u8(body.reason);
  out.zeros(7);
  writeTableDescription(out, body.table);
}
