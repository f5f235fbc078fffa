/** The Open_vSwitch database.  Schema JSON, TypeScript types and docs/reference/database.md are derived from these rows.
 *
 *  Controller and tools address these tables and columns by name, so the names, types and constraints are those of
 *  version 8.3.1 of the schema that ships with Open vSwitch 3.1; a test compares them with an installed copy. */
import type { DatabaseSpec } from "./column.js";
import {
  boolean,
  column,
  ephemeral,
  integer,
  mapOf,
  oneOf,
  optional,
  range,
  ref,
  setOf,
  string,
  strings,
} from "./column.js";
import { bridgeTables } from "./vswitch-bridge.js";

const timeouts = [
  "tcp_syn_sent",
  "tcp_syn_recv",
  "tcp_established",
  "tcp_fin_wait",
  "tcp_close_wait",
  "tcp_last_ack",
  "tcp_time_wait",
  "tcp_close",
  "tcp_syn_sent2",
  "tcp_retransmit",
  "tcp_unack",
  "udp_first",
  "udp_single",
  "udp_multiple",
  "icmp_first",
  "icmp_reply",
] as const;

const externalIds = column(strings, "Keys of other programs, carried and never interpreted.");
const otherConfig = column(strings, "Less common settings by name.");

export const vswitch: DatabaseSpec = {
  name: "Open_vSwitch",
  version: "8.3.1",
  cksum: "3012963480 26720",
  about: "Configuration and status of a switch.",
  tables: {
    Open_vSwitch: {
      about: "The one row at the root: everything else is reached from here.",
      isRoot: true,
      maxRows: 1,
      columns: {
        datapaths: column(mapOf(string, ref("Datapath")), "Datapaths by type, for conntrack zones and capabilities."),
        bridges: column(setOf(ref("Bridge")), "The bridges that shall exist."),
        manager_options: column(setOf(ref("Manager")), "Where this database is offered or announced."),
        ssl: column(optional(ref("SSL")), "Keys and certificates for TLS connections."),
        other_config: column(strings, "Settings of the whole switch by name."),
        external_ids: column(strings, "Keys of other programs, such as `system-id` and OVN's."),
        next_cfg: column(integer, "Counted up by a client that wants to know when its change is in effect."),
        cur_cfg: column(integer, "Set to `next_cfg` by the switch once that configuration is in effect."),
        statistics: ephemeral(strings, "System statistics, when `other_config:enable-statistics` is true."),
        ovs_version: column(optional(string), "Version of the switch program."),
        db_version: column(optional(string), "Version of the schema in use."),
        system_type: column(optional(string), "Name of the operating system or distribution."),
        system_version: column(optional(string), "Version of the operating system."),
        datapath_types: column(setOf(string), "Values that the switch accepts in `Bridge.datapath_type`."),
        iface_types: column(setOf(string), "Values that the switch accepts in `Interface.type`."),
        dpdk_initialized: column(boolean, "Whether DPDK has been started in this process."),
        dpdk_version: column(optional(string), "Version of the DPDK library."),
      },
    },
    ...bridgeTables,
    Flow_Table: {
      about: "Settings of one OpenFlow table of a bridge.",
      columns: {
        name: column(optional(string), "Name that OpenFlow clients may use in place of the number."),
        flow_limit: column(optional(range(0)), "Most flows that the table holds."),
        overflow_policy: column(optional(oneOf("refuse", "evict")), "What a flow beyond the limit causes."),
        groups: column(setOf(string), "Fields by which flows are grouped for fair eviction."),
        prefixes: column(setOf(string, 3), "Fields for which lookup keeps a prefix tree."),
        external_ids: externalIds,
      },
    },
    QoS: {
      about: "A queueing discipline, used by ports.",
      isRoot: true,
      columns: {
        type: column(string, "Kind of discipline, such as `linux-htb`."),
        queues: column(mapOf(range(0, 4294967295), ref("Queue")), "Queues by number."),
        other_config: column(strings, "Settings of the discipline, such as `max-rate`."),
        external_ids: externalIds,
      },
    },
    Queue: {
      about: "One queue of a discipline.",
      isRoot: true,
      columns: {
        dscp: column(optional(range(0, 63)), "DSCP that packets leaving this queue are marked with."),
        other_config: column(strings, "Settings of the queue, such as `min-rate`."),
        external_ids: externalIds,
      },
    },
    NetFlow: {
      about: "A NetFlow exporter.",
      columns: {
        targets: column(setOf(string, "unlimited", 1), "Collectors as `IP:PORT`."),
        engine_type: column(optional(range(0, 255)), "Engine type in the exported records."),
        engine_id: column(optional(range(0, 255)), "Engine id in the exported records."),
        add_id_to_interface: column(boolean, "Whether the engine id takes part of the interface numbers."),
        active_timeout: column(range(-1), "Seconds between records of a live flow: 0 for the default, -1 for never."),
        external_ids: externalIds,
      },
    },
    sFlow: {
      about: "An sFlow agent.",
      columns: {
        targets: column(setOf(string, "unlimited", 1), "Collectors as `IP:PORT`."),
        sampling: column(optional(integer), "One packet in this many is sampled."),
        polling: column(optional(integer), "Seconds between counter samples."),
        header: column(optional(integer), "Bytes of a sampled packet that are sent."),
        agent: column(optional(string), "Device or address by which the agent is known."),
        external_ids: externalIds,
      },
    },
    IPFIX: {
      about: "An IPFIX exporter.",
      columns: {
        targets: column(setOf(string), "Collectors as `IP:PORT`."),
        sampling: column(optional(range(1, 4294967295)), "One packet in this many is sampled, on the whole bridge."),
        obs_domain_id: column(optional(range(0, 4294967295)), "Observation domain of bridge sampling."),
        obs_point_id: column(optional(range(0, 4294967295)), "Observation point of bridge sampling."),
        cache_active_timeout: column(optional(range(0, 4200)), "Seconds that a flow record may stay in the cache."),
        cache_max_flows: column(optional(range(0, 4294967295)), "Flow records that the cache holds; 0 turns it off."),
        other_config: otherConfig,
        external_ids: externalIds,
      },
    },
    Flow_Sample_Collector_Set: {
      about: "What the `sample` action of one bridge means by a collector set.",
      isRoot: true,
      indexes: [["id", "bridge"]],
      columns: {
        id: column(range(0, 4294967295), "Number that the action names."),
        bridge: column(ref("Bridge"), "Bridge to which it applies."),
        ipfix: column(optional(ref("IPFIX")), "Exporter that receives the samples."),
        external_ids: externalIds,
      },
    },
    Controller: {
      about: "An OpenFlow controller, or a place to listen for one.",
      columns: {
        type: column(optional(oneOf("primary", "service")), "Whether the bridge depends on it or merely serves it."),
        target: column(string, "Connection method, such as `tcp:IP:PORT` or `ptcp:PORT`."),
        max_backoff: column(optional(range(1000)), "Longest wait between attempts to connect, in milliseconds."),
        inactivity_probe: column(optional(integer), "Silence before a probe is sent, in milliseconds; 0 for never."),
        connection_mode: column(optional(oneOf("in-band", "out-of-band")), "Whether control traffic uses the bridge."),
        local_ip: column(optional(string), "Address for the local port, used in-band."),
        local_netmask: column(optional(string), "Network mask for the local port, used in-band."),
        local_gateway: column(optional(string), "Gateway for the local port, used in-band."),
        enable_async_messages: column(optional(boolean), "Whether it is sent what it did not ask for."),
        controller_queue_size: column(optional(range(1, 512)), "Packet-ins that wait while the rate limit holds them."),
        controller_rate_limit: column(optional(range(100)), "Packet-ins a second."),
        controller_burst_limit: column(optional(range(25)), "Packet-ins that may exceed the rate at once."),
        other_config: otherConfig,
        external_ids: externalIds,
        is_connected: ephemeral(boolean, "Whether the connection is up."),
        role: ephemeral(optional(oneOf("other", "master", "slave")), "OpenFlow role, while connected."),
        status: ephemeral(strings, "State of the connection, its age and its last error."),
      },
    },
    Manager: {
      about: "A connection over which this database is offered.",
      indexes: [["target"]],
      columns: {
        target: column(string, "Connection method, such as `ptcp:6640`."),
        max_backoff: column(optional(range(1000)), "Longest wait between attempts to connect, in milliseconds."),
        inactivity_probe: column(optional(integer), "Silence before a probe is sent, in milliseconds; 0 for never."),
        connection_mode: column(optional(oneOf("in-band", "out-of-band")), "Whether traffic uses the bridges."),
        other_config: otherConfig,
        external_ids: externalIds,
        is_connected: ephemeral(boolean, "Whether a connection is up."),
        status: ephemeral(strings, "State of the connection, its age and its last error."),
      },
    },
    Datapath: {
      about: "What is common to all bridges of one datapath type.",
      columns: {
        datapath_version: column(string, "Version of the datapath."),
        ct_zones: column(mapOf(range(0, 65535), ref("CT_Zone")), "Settings of connection tracking zones."),
        capabilities: column(strings, "What the datapath can do."),
        external_ids: externalIds,
      },
    },
    CT_Zone: {
      about: "Settings of one connection tracking zone.",
      columns: {
        timeout_policy: column(optional(ref("CT_Timeout_Policy")), "Timeouts of connections of this zone."),
        external_ids: externalIds,
      },
    },
    CT_Timeout_Policy: {
      about: "Connection tracking timeouts.",
      columns: {
        timeouts: column(mapOf(oneOf(...timeouts), range(0, 4294967295)), "Seconds by protocol and state."),
        external_ids: externalIds,
      },
    },
    SSL: {
      about: "Keys and certificates.",
      maxRows: 1,
      columns: {
        private_key: column(string, "File with the private key, in PEM."),
        certificate: column(string, "File with the certificate for that key, in PEM."),
        ca_cert: column(string, "File with the certificates of those who are trusted, in PEM."),
        bootstrap_ca_cert: column(boolean, "Whether to take the first peer's certificate when the file is missing."),
        external_ids: externalIds,
      },
    },
    AutoAttach: {
      about: "Auto-attach to a fabric over LLDP.",
      columns: {
        system_name: column(string, "System name that is announced."),
        system_description: column(string, "System description that is announced."),
        mappings: column(mapOf(range(0, 16777215), range(0, 4095)), "VLANs by service identifier."),
      },
    },
  },
};
