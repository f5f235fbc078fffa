/** OpenFlow messages.  Each row is one kind: its number in each version, or its number among an experimenter's, how long
 *  its body may be, and what it is.  `1.4+=16:24+8` reads: from OpenFlow 1.4 on number 16, with a body of 24 bytes and any
 *  number of eights. */
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
    | "nicira_reply"
    | "onf_request"
    | "onf_reply";
  /** Wire versions, 1 for OpenFlow 1.0 to 6 for 1.5. */
  readonly from: number;
  readonly to: number;
  readonly number: number;
  /** Least bytes behind all headers. */
  readonly bodyMin: number;
  /** What the body may be longer by any multiple of; 0: nothing. */
  readonly bodyStep: number;
  readonly doc: string;
}

type Row = readonly [name: string, numbers: string, doc: string];

function expand(space: MessageRow["space"], rows: readonly Row[]): MessageRow[] {
  const wire = (version: string): number => Number(version.slice(2)) + 1;
  return rows.flatMap(([name, numbers, doc]) =>
    numbers.split(" ").map((one) => {
      const [versions = "", numberAndBody = ""] = one.split("=");
      const [number = "", body = "0+1"] = numberAndBody.split(":");
      const [bodyMin = "0", bodyStep = "0"] = body.split("+");
      const [from = "", to] = versions.replace("+", "").split("-");
      return {
        name,
        space,
        from: wire(from),
        to: versions.endsWith("+") ? 6 : wire(to ?? from),
        number: Number(number),
        bodyMin: Number(bodyMin),
        bodyStep: Number(bodyStep),
        doc,
      };
    }),
  );
}

export const messages: readonly MessageRow[] = [
  ...expand("standard", [
    ["hello", "1.0+=0:0+1", "Opens a connection and names the versions that the sender speaks."],
    ["error", "1.0+=1:4+1", "Tells that a message failed, and why."],
    ["echo_request", "1.0+=2:0+1", "Asks whether the peer is there."],
    ["echo_reply", "1.0+=3:0+1", "Answers an echo request with its data."],
    ["features_request", "1.0+=5:0", "Asks what the switch is."],
    ["features_reply", "1.0=6:24+48 1.1-1.2=6:24+64 1.3+=6:24", "Tells the datapath id, tables and capabilities."],
    ["get_config_request", "1.0+=7:0", "Asks for the switch's configuration."],
    ["get_config_reply", "1.0+=8:4", "Tells the switch's configuration."],
    ["set_config", "1.0+=9:4", "Changes fragment handling and how much of a packet is sent."],
    ["packet_in", "1.0=10:10+1 1.1=10:16+1 1.2=10:8+1 1.3+=10:16+1", "Brings a packet to the controller."],
    ["flow_removed", "1.0=11:80 1.1-1.4=11:40+8 1.5+=11:16+8", "Tells that a flow is gone."],
    ["port_status", "1.0=12:56 1.1-1.3=12:72 1.4+=12:48+8", "Tells that a port came, went or changed."],
    ["packet_out", "1.0=13:8+1 1.1-1.4=13:16+1 1.5+=13:8+1", "Runs actions on a packet."],
    ["flow_mod", "1.0=14:64+8 1.1+=14:40+8", "Adds, changes or deletes flows."],
    ["group_mod", "1.1-1.4=15:8+8 1.5+=15:16+8", "Adds, changes or deletes groups."],
    ["port_mod", "1.0=15:24 1.1-1.3=16:32 1.4+=16:24+8", "Changes a port's configuration."],
    ["table_mod", "1.1-1.3=17:8 1.4+=17:8+8", "Changes a table's configuration."],
    ["multipart_request", "1.0=16:4+1 1.1+=18:8+1", "Asks for statistics or descriptions."],
    ["multipart_reply", "1.0=17:4+1 1.1+=19:8+1", "Answers a multipart request, in one or several parts."],
    ["barrier_request", "1.0=18:0 1.1+=20:0", "Asks for everything before it to be done."],
    ["barrier_reply", "1.0=19:0 1.1+=21:0", "Tells that everything before the request is done."],
    ["queue_get_config_request", "1.0=20:4 1.1-1.3=22:8", "Asks for a port's queues."],
    ["queue_get_config_reply", "1.0=21:8+8 1.1-1.3=23:8+8", "Tells a port's queues."],
    ["role_request", "1.2+=24:16", "Asks for or changes the controller's role."],
    ["role_reply", "1.2+=25:16", "Tells the controller's role."],
    ["get_async_request", "1.3+=26:0", "Asks which asynchronous messages are sent."],
    ["get_async_reply", "1.3=27:24 1.4+=27:0+8", "Tells which asynchronous messages are sent."],
    ["set_async", "1.3=28:24 1.4+=28:0+8", "Chooses which asynchronous messages are sent."],
    ["meter_mod", "1.3+=29:8+8", "Adds, changes or deletes meters."],
    ["role_status", "1.4+=30:16+8", "Tells that the controller's role changed."],
    ["table_status", "1.4+=31:8+8", "Tells that a table's configuration or fill level changed."],
    ["requestforward", "1.4+=32:8+8", "Brings a request that another controller sent."],
    ["bundle_control", "1.4+=33:8+8", "Opens, closes, commits or discards a bundle."],
    ["bundle_add_message", "1.4+=34:8+1", "Adds a message to a bundle."],
  ]),
  ...expand("nicira", [
    ["role_request", "1.0+=10:4", "Asks for or changes the controller's role."],
    ["role_reply", "1.0+=11:4", "Tells the controller's role."],
    ["nxt_set_flow_format", "1.0=12:4", "Chooses the form of flows in replies."],
    ["flow_mod", "1.0+=13:32+8", "Adds, changes or deletes flows, with an extensible match."],
    ["flow_removed", "1.0+=14:40+8", "Tells that a flow is gone, with an extensible match."],
    ["nxt_flow_mod_table_id", "1.0+=15:8", "Chooses whether a flow_mod's command carries a table."],
    ["nxt_set_packet_in_format", "1.0+=16:4", "Chooses the form of packet-ins."],
    ["packet_in", "1.0+=17:24+1", "Brings a packet to the controller, with an extensible match."],
    ["nxt_flow_age", "1.0+=18:0", "Asks for ages in flow statistics; without effect."],
    ["set_async", "1.0+=19:24", "Chooses which asynchronous messages are sent."],
    ["nxt_set_controller_id", "1.0+=20:8", "Names the connection for controller actions."],
    ["flow_monitor_cancel", "1.0-1.2=21:4", "Ends a flow monitor."],
    ["flow_monitor_paused", "1.0-1.2=22:0", "Tells that flow updates stop until the connection has caught up."],
    ["flow_monitor_resumed", "1.0-1.2=23:0", "Tells that flow updates go on."],
    ["nxt_tlv_table_mod", "1.0+=24:8+8", "Changes the map of Geneve options."],
    ["nxt_tlv_table_request", "1.0+=25:0", "Asks for the map of Geneve options."],
    ["nxt_tlv_table_reply", "1.0+=26:16+8", "Tells the map of Geneve options."],
    ["set_async2", "1.0-1.3=27:0+8", "Chooses which asynchronous messages are sent, by properties."],
    ["nxt_resume", "1.0+=28:0+8", "Goes on with a packet that was paused."],
    ["nxt_ct_flush_zone", "1.0+=29:8", "Forgets the connections of a zone."],
    ["packet_in", "1.0+=30:0+8", "Brings a packet to the controller, as properties."],
    ["group_mod", "1.0=31:16+8", "Adds, changes or deletes groups."],
    ["nxt_ct_flush", "1.0+=32:8+8", "Forgets the connections that match."],
    ["requestforward", "1.0-1.2=132:8+8", "Brings a request that another controller sent."],
  ]),
  ...expand("onf", [
    ["flow_monitor_cancel", "1.3=1870:4", "Ends a flow monitor."],
    ["flow_monitor_paused", "1.3=1871:0", "Tells that flow updates stop until the connection has caught up."],
    ["flow_monitor_resumed", "1.3=1872:0", "Tells that flow updates go on."],
    ["role_status", "1.3=1911:16+8", "Tells that the controller's role changed."],
    ["bundle_control", "1.3=2300:8+8", "Opens, closes, commits or discards a bundle."],
    ["bundle_add_message", "1.3=2301:8+1", "Adds a message to a bundle."],
    ["requestforward", "1.3=2350:8+8", "Brings a request that another controller sent."],
  ]),
  ...expand("multipart_request", [
    ["desc_request", "1.0+=0:0", "Asks what the switch is made by."],
    ["flow_stats_request", "1.0=1:44 1.1+=1:32+8", "Asks for flows and their counters."],
    ["aggregate_request", "1.0=2:44 1.1+=2:32+8", "Asks for the sum of flows' counters."],
    ["table_stats_request", "1.0+=3:0", "Asks for tables' counters."],
    ["port_stats_request", "1.0+=4:8", "Asks for ports' counters."],
    ["queue_stats_request", "1.0+=5:8", "Asks for queues' counters."],
    ["group_stats_request", "1.1+=6:8", "Asks for groups' counters."],
    ["group_desc_request", "1.1-1.4=7:0 1.5+=7:8", "Asks for groups."],
    ["group_features_request", "1.2+=8:0", "Asks what groups can do."],
    ["meter_stats_request", "1.3+=9:8", "Asks for meters' counters."],
    ["meter_config_request", "1.3+=10:8", "Asks for meters."],
    ["meter_features_request", "1.3+=11:0", "Asks what meters can do."],
    ["table_features_request", "1.3+=12:0+8", "Asks what tables can do, or changes it."],
    ["port_desc_request", "1.0-1.4=13:0 1.5+=13:8", "Asks for ports."],
    ["table_desc_request", "1.4+=14:0", "Asks for tables' configuration."],
    ["queue_desc_request", "1.4+=15:8", "Asks for queues."],
    ["flow_monitor_request", "1.4+=16:0+8", "Asks to be told about changes of flows."],
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
    ["flow_stats_request", "1.0=0:8+8", "Asks for flows and their counters, with an extensible match."],
    ["aggregate_request", "1.0=1:8+8", "Asks for the sum of flows' counters, with an extensible match."],
    ["flow_monitor_request", "1.0-1.2=2:0+8", "Asks to be told about changes of flows."],
    ["ipfix_bridge_request", "1.0+=3:0", "Asks for a bridge's IPFIX counters."],
    ["ipfix_flow_request", "1.0+=4:0", "Asks for flow-based IPFIX counters."],
    ["group_stats_request", "1.0=7:8", "Asks for groups' counters."],
    ["group_desc_request", "1.0=8:8", "Asks for groups."],
    ["group_features_request", "1.0-1.1=9:0", "Asks what groups can do."],
  ]),
  ...expand("nicira_reply", [
    ["flow_stats_reply", "1.0=0:0+1", "Tells flows and their counters, with an extensible match."],
    ["aggregate_reply", "1.0=1:24", "Tells the sum of flows' counters."],
    ["flow_monitor_reply", "1.0-1.2=2:0+8", "Tells changes of flows."],
    ["ipfix_bridge_reply", "1.0+=3:0+8", "Tells a bridge's IPFIX counters."],
    ["ipfix_flow_reply", "1.0+=4:0+8", "Tells flow-based IPFIX counters."],
    ["group_stats_reply", "1.0=7:0+8", "Tells groups' counters."],
    ["group_desc_reply", "1.0=8:0+8", "Tells groups."],
    ["group_features_reply", "1.0-1.1=9:40", "Tells what groups can do."],
  ]),
  ...expand("onf_request", [["flow_monitor_request", "1.3=1870:0+8", "Asks to be told about changes of flows."]]),
  ...expand("onf_reply", [["flow_monitor_reply", "1.3=1870:0+8", "Tells changes of flows."]]),
];

/** Rows of one space and one version. */
interface Names {
  readonly byNumber: Map<number, MessageRow>;
  readonly byName: Map<string, MessageRow>;
}
/** By version.  Looked into for each message, so no key is put together of parts. */
const namesBySpace = new Map<MessageRow["space"], Names[]>();
for (const row of messages) {
  let versions = namesBySpace.get(row.space);
  if (versions === undefined) {
    versions = Array.from({ length: 7 }, () => ({ byNumber: new Map(), byName: new Map() }));
    namesBySpace.set(row.space, versions);
  }
  for (const { byNumber, byName } of versions.slice(row.from, row.to + 1)) {
    byNumber.set(row.number, row);
    if (!byName.has(row.name)) byName.set(row.name, row);
  }
}

export function messageByNumber(space: MessageRow["space"], version: number, number: number): MessageRow | undefined {
  return namesBySpace.get(space)?.[version]?.byNumber.get(number);
}

/** Number of the message in that space, or undefined when the version has none. */
export function messageNumber(space: MessageRow["space"], version: number, name: string): number | undefined {
  return namesBySpace.get(space)?.[version]?.byName.get(name)?.number;
}
