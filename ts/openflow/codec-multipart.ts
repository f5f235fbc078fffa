import { type ByteReader, ByteWriter } from "./bytes.js";
import { readFlowMonitor, readFlowUpdate, writeFlowMonitor, writeFlowUpdate } from "./codec-flow-monitor.js";
import { readFlowStats, readFlowStatsRequest, writeFlowStats, writeFlowStatsRequest } from "./codec-flow-stats.js";
import {
  groupNumber,
  readGroupDescReply,
  readGroupFeaturesReply,
  readGroupStatsReply,
  writeGroupDescReply,
  writeGroupFeaturesReply,
  writeGroupStatsReply,
} from "./codec-group.js";
import { readIpfixReply, writeIpfixReply } from "./codec-ipfix.js";
import {
  readMeterConfigReply,
  readMeterFeaturesReply,
  readMeterStatsReply,
  writeMeterConfigReply,
  writeMeterFeaturesReply,
  writeMeterStatsReply,
} from "./codec-meter.js";
import { readOxs, writeOxs } from "./codec-packet.js";
import { readPort, readPortDesc, readPortStats, writePort, writePortDesc, writePortStats } from "./codec-port.js";
import { readQueueDesc, readQueueStats, writeQueueDesc, writeQueueStats } from "./codec-queue.js";
import { readTableDescReply, writeTableDescReply } from "./codec-table.js";
import { OpenFlowError } from "./error.js";
import type { FlowMonitor, MessageBody, TableStats } from "./message.js";
import { tableActionBits } from "./table-actions.js";
import { ofpp } from "./tables/ports.js";

/** Bodies of multipart messages (statistics, before OpenFlow 1.3). */

const end = (reader: ByteReader): void => {
  if (reader.left !== 0) throw new OpenFlowError("OFPBRC_BAD_LEN", `the message is ${reader.left} bytes too long`);
};

export function readMultipartRequest(
  name: string,
  reader: ByteReader,
  version: number,
  standard: boolean,
): MessageBody {
  switch (name) {
    case "desc_request":
    case "table_stats_request":
    case "group_features_request":
    case "meter_features_request":
    case "table_desc_request":
    case "ipfix_bridge_request":
    case "ipfix_flow_request":
      end(reader);
      return { type: name };
    case "port_desc_request":
      if (version >= 6) {
        const port = readPort(reader, version);
        reader.skip(4);
        end(reader);
        return { type: name, port };
      }
      end(reader);
      return { type: name, port: ofpp.ANY };
    case "group_desc_request":
      if (version === 1 || version >= 6) {
        const id = reader.u32();
        reader.skip(4);
        end(reader);
        return { type: name, id };
      }
      end(reader);
      return { type: name, id: groupNumber.all };
    case "flow_stats_request":
    case "aggregate_request": {
      const body = readFlowStatsRequest(reader, version, standard, name);
      end(reader);
      return body;
    }
    case "port_stats_request": {
      const port = readPort(reader, version);
      reader.skip(version === 1 ? 6 : 4);
      end(reader);
      return { type: name, port };
    }
    case "queue_stats_request": {
      const port = readPort(reader, version);
      if (version === 1) reader.skip(2);
      const queue = reader.u32();
      end(reader);
      // OpenFlow 1.0 says "all ports" with OFPP_ALL.
      return { type: name, port: version === 1 && port === ofpp.ALL ? ofpp.ANY : port, queue };
    }
    case "group_stats_request":
    case "meter_stats_request":
    case "meter_config_request": {
      const id = reader.u32();
      reader.skip(4);
      end(reader);
      return { type: name, id };
    }
    case "flow_monitor_request": {
      const monitors: FlowMonitor[] = [];
      while (reader.left > 0) monitors.push(readFlowMonitor(reader, version));
      return { type: name, monitors };
    }
    case "queue_desc_request": {
      const body = { type: name, port: readPort(reader, version), queue: reader.u32() } as const;
      end(reader);
      return body;
    }
    case "table_features_request":
      return { type: name, body: reader.rest() };
    default:
      throw new OpenFlowError("OFPBRC_BAD_STAT", `statistics ${name} are unknown`);
  }
}

export function writeMultipartRequest(out: ByteWriter, body: MessageBody, version: number): void {
  switch (body.type) {
    case "flow_stats_request":
    case "aggregate_request":
      writeFlowStatsRequest(out, body, version);
      return;
    case "port_desc_request":
      if (version < 6) return;
      out.u32(body.port);
      out.zeros(4);
      return;
    case "port_stats_request":
      writePort(out, body.port, version);
      out.zeros(version === 1 ? 6 : 4);
      return;
    case "queue_desc_request":
    case "queue_stats_request":
      writePort(out, version === 1 && body.port === ofpp.ANY ? ofpp.ALL : body.port, version);
      if (version === 1) out.zeros(2);
      out.u32(body.queue);
      return;
    case "group_stats_request":
    case "meter_stats_request":
    case "meter_config_request":
    case "group_desc_request":
      if (body.type === "group_desc_request" && version > 1 && version < 6) return;
      out.u32(body.id);
      out.zeros(4);
      return;
    case "flow_monitor_request":
      for (const monitor of body.monitors) writeFlowMonitor(out, monitor, version);
      return;
    default:
      if ("body" in body) out.put(body.body);
  }
}

/** What every table can do, as table statistics of OpenFlow 1.1 and 1.2 tell it: bitmaps of OFPFMF11 or of OXM fields to
 *  match and to wildcard, of OFPAT, and in 1.2 of fields to set, and of metadata bits. */
const fields11 = 0xfbff;
const actions11 = 0x1ffe7ff;
const matches12 = 0x101f_fffffffdn;
const settable12 = 0xf_fffffbddn;
const metadataBits = 0xffffffff_ffffffffn;
const instructions11 = { all: 0x3e, gotoTable: 0x02 } as const;
const lastTable = 253;

const abilitiesSize = (version: number): number => (version === 2 ? 20 : 60);

function writeAbilities(out: ByteWriter, table: number, version: number): void {
  const instructions = instructions11.all & ~(table === lastTable ? instructions11.gotoTable : 0);
  if (version === 2) {
    for (const bits of [fields11, fields11, instructions, actions11, actions11]) out.u32(bits);
    return;
  }
  for (const bits of [matches12, matches12]) out.u64(bits);
  for (const bits of [tableActionBits, tableActionBits]) out.u32(bits);
  for (const bits of [settable12, settable12, metadataBits, metadataBits]) out.u64(bits);
  out.u32(instructions);
}

function readTableStats(reader: ByteReader, version: number): TableStats {
  const tableId = reader.u8();
  reader.skip(version === 2 || version === 3 ? 7 : 3);
  if (version >= 4) {
    return {
      tableId,
      name: "",
      config: 0,
      activeCount: reader.u32(),
      lookupCount: reader.u64(),
      matchedCount: reader.u64(),
      maxEntries: 0,
    };
  }
  const name = reader.text(32);
  reader.skip(version === 1 ? 4 : abilitiesSize(version));
  const config = version === 1 ? 0 : reader.u32();
  const maxEntries = reader.u32();
  return {
    tableId,
    name,
    config,
    maxEntries,
    activeCount: reader.u32(),
    lookupCount: reader.u64(),
    matchedCount: reader.u64(),
  };
}

export function readMultipartReply(
  name: string,
  reader: ByteReader,
  version: number,
  standard: boolean,
  more: boolean,
): MessageBody {
  const all = <Item>(read: () => Item): Item[] => {
    const items: Item[] = [];
    while (reader.left > 0) {
      const before = reader.position;
      items.push(read());
      if (reader.position <= before) throw new OpenFlowError("OFPBRC_BAD_LEN", "an item of a reply has no length");
    }
    return items;
  };
  switch (name) {
    case "desc_reply": {
      const body = {
        type: name,
        manufacturer: reader.text(256),
        hardware: reader.text(256),
        software: reader.text(256),
        serial: reader.text(32),
        datapath: reader.text(256),
      } as const;
      end(reader);
      return body;
    }
    case "flow_stats_reply":
      return { type: name, standard, more, flows: all(() => readFlowStats(reader, version, standard)) };
    case "aggregate_reply": {
      if (standard && version >= 6) {
        const { packetCount, byteCount, flowCount } = readOxs(reader);
        return { type: name, standard, packetCount, byteCount, flowCount };
      }
      const body = {
        type: name,
        standard,
        packetCount: reader.u64(),
        byteCount: reader.u64(),
        flowCount: reader.u32(),
      } as const;
      reader.skip(4);
      return body;
    }
    case "table_stats_reply":
      return { type: name, more, tables: all(() => readTableStats(reader, version)) };
    case "port_stats_reply":
      return { type: name, more, ports: all(() => readPortStats(reader, version)) };
    case "queue_stats_reply":
      return { type: name, more, queues: all(() => readQueueStats(reader, version)) };
    case "queue_desc_reply":
      return { type: name, more, queues: all(() => readQueueDesc(reader, version)) };
    case "port_desc_reply":
      return { type: name, more, ports: all(() => readPortDesc(reader, version)) };
    case "flow_monitor_reply":
      return { type: name, more, updates: all(() => readFlowUpdate(reader, version)) };
    case "meter_stats_reply":
      return readMeterStatsReply(reader, more);
    case "meter_config_reply":
      return readMeterConfigReply(reader, more);
    case "meter_features_reply":
      return readMeterFeaturesReply(reader, more);
    case "group_stats_reply":
      return readGroupStatsReply(reader, version, more);
    case "group_desc_reply":
      return readGroupDescReply(reader, version, more, new ByteWriter(256));
    case "group_features_reply":
      return readGroupFeaturesReply(reader, more);
    case "table_desc_reply":
      return readTableDescReply(reader, more);
    case "ipfix_bridge_reply":
    case "ipfix_flow_reply":
      return readIpfixReply(reader, name, more);
    case "table_features_reply":
      return { type: name, more, body: reader.rest() };
    default:
      throw new OpenFlowError("OFPBRC_BAD_STAT", `statistics ${name} are unknown`);
  }
}

export function writeMultipartReply(out: ByteWriter, body: MessageBody, version: number): void {
  switch (body.type) {
    case "desc_reply":
      for (const [text, size] of [
        [body.manufacturer, 256],
        [body.hardware, 256],
        [body.software, 256],
        [body.serial, 32],
        [body.datapath, 256],
      ] as const) {
        out.text(text, size);
      }
      return;
    case "flow_stats_reply":
      for (const flow of body.flows) writeFlowStats(out, flow, version, body.standard);
      return;
    case "aggregate_reply":
      if (body.standard && version >= 6) {
        writeOxs(out, { packetCount: body.packetCount, byteCount: body.byteCount, flowCount: body.flowCount });
        return;
      }
      out.u64(body.packetCount);
      out.u64(body.byteCount);
      out.u32(body.flowCount);
      out.zeros(4);
      return;
    case "table_stats_reply":
      for (const table of body.tables) {
        out.u8(table.tableId);
        out.zeros(version === 2 || version === 3 ? 7 : 3);
        if (version < 4) {
          out.text(table.name, 32);
          if (version === 1) out.u32(0x3fffff);
          else writeAbilities(out, table.tableId, version);
          if (version > 1) out.u32(table.config);
          out.u32(table.maxEntries);
        }
        out.u32(table.activeCount);
        out.u64(table.lookupCount);
        out.u64(table.matchedCount);
      }
      return;
    case "port_stats_reply":
      for (const stats of body.ports) writePortStats(out, stats, version);
      return;
    case "queue_stats_reply":
      for (const stats of body.queues) writeQueueStats(out, stats, version);
      return;
    case "queue_desc_reply":
      for (const queue of body.queues) writeQueueDesc(out, queue, version);
      return;
    case "port_desc_reply":
      for (const port of body.ports) writePortDesc(out, port, version);
      return;
    case "flow_monitor_reply":
      for (const update of body.updates) writeFlowUpdate(out, update, version);
      return;
    case "group_stats_reply":
      writeGroupStatsReply(out, body, version);
      return;
    case "group_desc_reply":
      writeGroupDescReply(out, body, version);
      return;
    case "group_features_reply":
      writeGroupFeaturesReply(out, body);
      return;
    case "meter_stats_reply":
      writeMeterStatsReply(out, body);
      return;
    case "meter_config_reply":
      writeMeterConfigReply(out, body);
      return;
    case "meter_features_reply":
      writeMeterFeaturesReply(out, body);
      return;
    case "table_desc_reply":
      writeTableDescReply(out, body);
      return;
    case "ipfix_bridge_reply":
    case "ipfix_flow_reply":
      writeIpfixReply(out, body);
      return;
    default:
      if ("body" in body) out.put(body.body);
  }
}
