import { header, type RecordRow } from "./record.js";

/** The records of the events that the datapath puts into the ring. */
export const eventRecords: readonly RecordRow[] = [
  {
    name: "event_packet_in",
    tail: "match (pipeline fields of the packet), userdata, continuation with its parts, packet",
    doc: "",
    fields: [
      ...header,
      ["bridge", "u32"],
      ["in_port", "u32"],
      ["table", "u8"],
      ["reason", "u8", "packet_in_reason"],
      ["controller_id", "u16"],
      ["max_len", "u32"],
      ["cookie", "u64"],
      ["total_size", "u32", "Of the frame; packet_size may be less."],
      ["packet_size", "u32"],
      ["userdata_size", "u32"],
      ["match_size", "u32"],
      ["meter_id", "u32"],
      ["continuation_size", "u32", "With its parts; 0 unless the packet waits to be resumed."],
      ["dp_port", "u32", "That the packet came in by."],
      ["pad", "u32"],
    ],
  },
  {
    name: "event_port_frame",
    tail: "packet",
    doc: "",
    fields: [...header, ["dp_port", "u32"], ["packet_size", "u32"]],
  },
  {
    name: "event_protocol_packet",
    tail: "packet",
    doc: "",
    fields: [...header, ["bridge", "u32"], ["ofp_port", "u32"], ["protocol", "u32"], ["packet_size", "u32"]],
  },
  {
    name: "event_miss",
    tail: "key (a match), packet",
    doc: "",
    fields: [...header, ["dp_port", "u32"], ["key_size", "u32"], ["packet_size", "u32"], ["pad", "u32"]],
  },
  {
    name: "event_port",
    doc: "For link_changed and port_changed.",
    fields: [
      ...header,
      ["dp_port", "u32", "0 when no port has the device"],
      ["ifindex", "u32"],
      ["system_error", "u32"],
      ["pad", "u32"],
    ],
  },
];
