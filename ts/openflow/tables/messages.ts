/** OpenFlow messages.  Each row is one kind: its number in each version, or its number among an experimenter's, and
 *  what it is.  `body` names the reader and writer in the codec. */
export interface MessageRow {
  /** Name of the message's type in `message.ts`. */
  readonly name: string;
  readonly space:
    | "standard"
    | "nicira"
    | "onf"
    | "multipart_request"
    | "multipart_reply"
    | "nicira_request"
    | "nicira_reply";
  /** Wire versions, 1 for OpenFlow 1.0 to 6 for 1.5. */
  readonly from: number;
  readonly to: number;
  readonly number: number;
  readonly doc: string;
}

type Row = readonly [name: string, numbers: string, doc: string];

function expand(space: MessageRow["space"], rows: readonly Row[]): MessageRow[] {
  const wire = (version: string): number => Number(version.slice(2)) + 1;
  return rows.flatMap(([name, numbers, doc]) =>
    numbers.split(" ").map((one) => {
      const [versions = "", number = ""] = one.split("=");
      const [from = "", to] = versions.replace("+", "").split("-");
      return {
        name,
        space,
        from: wire(from),
        to: versions.endsWith("+") ? 6 : wire(to ?? from),
        number: Number(number),
        doc,
      };
    }),
  );
}

export const messages: readonly MessageRow[] = [
  ...expand("standard", [
    ["hello", "1.0+=0", "Opens a connection and names the versions that the sender speaks."],
    ["error", "1.0+=1", "Tells that a message failed, and why."],
    ["echo_request", "1.0+=2", "Asks whether the peer is there."],
    ["echo_reply", "1.0+=3", "Answers an echo request with its data."],
    ["features_request", "1.0+=5", "Asks what the switch is."],
    ["features_reply", "1.0+=6", "Tells the datapath id, tables and capabilities."],
    ["get_config_request", "1.0+=7", "Asks for the switch's configuration."],
    ["get_config_reply", "1.0+=8", "Tells the switch's configuration."],
    ["set_config", "1.0+=9", "Changes fragment handling and how much of a packet is sent."],
    ["packet_in", "1.0+=10", "Brings a packet to the controller."],
    ["flow_removed", "1.0+=11", "Tells that a flow is gone."],
    ["port_status", "1.0+=12", "Tells that a port came, went or changed."],
    ["packet_out", "1.0+=13", "Runs actions on a packet."],
    ["flow_mod", "1.0+=14", "Adds, changes or deletes flows."],
    ["group_mod", "1.1+=15", "Adds, changes or deletes groups."],
    ["port_mod", "1.0=15 1.1+=16", "Changes a port's configuration."],
    ["table_mod", "1.1+=17", "Changes a table's configuration."],
    ["multipart_request", "1.0=16 1.1+=18", "Asks for statistics or descriptions."],
    ["multipart_reply", "1.0=17 1.1+=19", "Answers a multipart request, in one or several parts."],
    ["barrier_request", "1.0=18 1.1+=20", "Asks for everything before it to be done."],
    ["barrier_reply", "1.0=19 1.1+=21", "Tells that everything before the request is done."],
    ["queue_get_config_request", "1.0=20 1.1-1.3=22", "Asks for a port's queues."],
    ["queue_get_config_reply", "1.0=21 1.1-1.3=23", "Tells a port's queues."],
    ["role_request", "1.2+=24", "Asks for or changes the controller's role."],
    ["role_reply", "1.2+=25", "Tells the controller's role."],
    ["get_async_request", "1.3+=26", "Asks which asynchronous messages are sent."],
    ["get_async_reply", "1.3+=27", "Tells which asynchronous messages are sent."],
    ["set_async", "1.3+=28", "Chooses which asynchronous messages are sent."],
    ["meter_mod", "1.3+=29", "Adds, changes or deletes meters."],
    ["role_status", "1.4+=30", "Tells that the controller's role changed."],
    ["bundle_control", "1.4+=33", "Opens, closes, commits or discards a bundle."],
    ["bundle_add_message", "1.4+=34", "Adds a message to a bundle."],
  ]),
  ...expand("nicira", [
    ["role_request", "1.0+=10", "Asks for or changes the controller's role."],
    ["role_reply", "1.0+=11", "Tells the controller's role."],
    ["nxt_set_flow_format", "1.0+=12", "Chooses the form of flows in replies."],
    ["flow_mod", "1.0+=13", "Adds, changes or deletes flows, with an extensible match."],
    ["flow_removed", "1.0+=14", "Tells that a flow is gone, with an extensible match."],
    ["nxt_flow_mod_table_id", "1.0+=15", "Chooses whether a flow_mod's command carries a table."],
    ["nxt_set_packet_in_format", "1.0+=16", "Chooses the form of packet-ins."],
    ["packet_in", "1.0+=17", "Brings a packet to the controller, with an extensible match."],
    ["nxt_flow_age", "1.0+=18", "Asks for ages in flow statistics; without effect."],
    ["set_async", "1.0+=19", "Chooses which asynchronous messages are sent."],
    ["nxt_set_controller_id", "1.0+=20", "Names the connection for controller actions."],
    ["nxt_flow_monitor_cancel", "1.0+=21", "Ends a flow monitor."],
    ["nxt_tlv_table_mod", "1.0+=24", "Changes the map of Geneve options."],
    ["nxt_tlv_table_request", "1.0+=25", "Asks for the map of Geneve options."],
    ["nxt_resume", "1.0+=28", "Goes on with a packet that was paused."],
    ["nxt_ct_flush_zone", "1.0+=29", "Forgets the connections of a zone."],
    ["packet_in", "1.0+=30", "Brings a packet to the controller, as properties."],
  ]),
  ...expand("onf", [
    ["bundle_control", "1.3=2300", "Opens, closes, commits or discards a bundle."],
    ["bundle_add_message", "1.3=2301", "Adds a message to a bundle."],
    ["role_status", "1.3=1911", "Tells that the controller's role changed."],
  ]),
  ...expand("multipart_request", [
    ["desc_request", "1.0+=0", "Asks what the switch is made by."],
    ["flow_stats_request", "1.0+=1", "Asks for flows and their counters."],
    ["aggregate_request", "1.0+=2", "Asks for the sum of flows' counters."],
    ["table_stats_request", "1.0+=3", "Asks for tables' counters."],
    ["port_stats_request", "1.0+=4", "Asks for ports' counters."],
    ["queue_stats_request", "1.0+=5", "Asks for queues' counters."],
    ["group_stats_request", "1.1+=6", "Asks for groups' counters."],
    ["group_desc_request", "1.1+=7", "Asks for groups."],
    ["group_features_request", "1.2+=8", "Asks what groups can do."],
    ["meter_stats_request", "1.3+=9", "Asks for meters' counters."],
    ["meter_config_request", "1.3+=10", "Asks for meters."],
    ["meter_features_request", "1.3+=11", "Asks what meters can do."],
    ["table_features_request", "1.3+=12", "Asks what tables can do, or changes it."],
    ["port_desc_request", "1.0+=13", "Asks for ports."],
    ["table_desc_request", "1.4+=14", "Asks for tables' configuration."],
    ["queue_desc_request", "1.4+=15", "Asks for queues."],
    ["flow_monitor_request", "1.4+=16", "Asks to be told about changes of flows."],
    ["bundle_features_request", "1.5+=19", "Asks what bundles can do."],
  ]),
  ...expand("multipart_reply", [
    ["desc_reply", "1.0+=0", "Tells what the switch is made by."],
    ["flow_stats_reply", "1.0+=1", "Tells flows and their counters."],
    ["aggregate_reply", "1.0+=2", "Tells the sum of flows' counters."],
    ["table_stats_reply", "1.0+=3", "Tells tables' counters."],
    ["port_stats_reply", "1.0+=4", "Tells ports' counters."],
    ["queue_stats_reply", "1.0+=5", "Tells queues' counters."],
    ["group_stats_reply", "1.1+=6", "Tells groups' counters."],
    ["group_desc_reply", "1.1+=7", "Tells groups."],
    ["group_features_reply", "1.2+=8", "Tells what groups can do."],
    ["meter_stats_reply", "1.3+=9", "Tells meters' counters."],
    ["meter_config_reply", "1.3+=10", "Tells meters."],
    ["meter_features_reply", "1.3+=11", "Tells what meters can do."],
    ["table_features_reply", "1.3+=12", "Tells what tables can do."],
    ["port_desc_reply", "1.0+=13", "Tells ports."],
    ["table_desc_reply", "1.4+=14", "Tells tables' configuration."],
    ["queue_desc_reply", "1.4+=15", "Tells queues."],
    ["flow_monitor_reply", "1.4+=16", "Tells changes of flows."],
  ]),
  ...expand("nicira_request", [
    ["flow_stats_request", "1.0+=0", "Asks for flows and their counters, with an extensible match."],
    ["aggregate_request", "1.0+=1", "Asks for the sum of flows' counters, with an extensible match."],
    ["flow_monitor_request", "1.0+=2", "Asks to be told about changes of flows."],
    ["ipfix_bridge_request", "1.0+=3", "Asks for a bridge's IPFIX counters."],
    ["ipfix_flow_request", "1.0+=4", "Asks for flow-based IPFIX counters."],
  ]),
  ...expand("nicira_reply", [
    ["flow_stats_reply", "1.0+=0", "Tells flows and their counters, with an extensible match."],
    ["aggregate_reply", "1.0+=1", "Tells the sum of flows' counters."],
    ["flow_monitor_reply", "1.0+=2", "Tells changes of flows."],
  ]),
];

const byNumber = new Map<string, MessageRow>();
const byName = new Map<string, MessageRow>();
for (const row of messages) {
  for (let version = row.from; version <= row.to; version++) {
    byNumber.set(`${row.space} ${version} ${row.number}`, row);
    const key = `${row.space} ${version} ${row.name}`;
    if (!byName.has(key)) byName.set(key, row);
  }
}

export function messageByNumber(space: MessageRow["space"], version: number, number: number): MessageRow | undefined {
  return byNumber.get(`${space} ${version} ${number}`);
}

/** Number of the message in that space, or undefined when the version has none. */
export function messageNumber(space: MessageRow["space"], version: number, name: string): number | undefined {
  return byName.get(`${space} ${version} ${name}`)?.number;
}
