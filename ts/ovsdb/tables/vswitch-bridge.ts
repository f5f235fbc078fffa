/** The tables of the Open_vSwitch database that describe what packets pass through: bridges, ports, interfaces, mirrors. */
import type { TableSpec } from "./column.js";
import {
  boolean,
  column,
  ephemeral,
  fixed,
  integer,
  mapOf,
  oneOf,
  optional,
  range,
  ref,
  setOf,
  string,
  strings,
  weak,
} from "./column.js";

const externalIds = column(strings, "Keys of other programs, carried and never interpreted.");
const versions = oneOf("OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15");
const vlanModes = oneOf("trunk", "access", "native-tagged", "native-untagged", "dot1q-tunnel");
const vlan = range(0, 4095);
const upOrDown = oneOf("up", "down");

const bridge: TableSpec = {
  about: "An OpenFlow switch.",
  indexes: [["name"]],
  columns: {
    name: fixed(string, "Name of the bridge, and of its local port."),
    datapath_type: column(string, "Which datapath it uses; empty for the default."),
    datapath_version: column(string, "Version of that datapath."),
    datapath_id: ephemeral(optional(string), "OpenFlow datapath id in 16 hexadecimal digits."),
    stp_enable: column(boolean, "Whether the spanning tree protocol runs."),
    rstp_enable: column(boolean, "Whether the rapid spanning tree protocol runs."),
    mcast_snooping_enable: column(boolean, "Whether IGMP and MLD decide where multicast goes."),
    ports: column(setOf(ref("Port")), "Ports of the bridge."),
    mirrors: column(setOf(ref("Mirror")), "Mirrors of the bridge."),
    netflow: column(optional(ref("NetFlow")), "NetFlow exporter."),
    sflow: column(optional(ref("sFlow")), "sFlow agent."),
    ipfix: column(optional(ref("IPFIX")), "IPFIX exporter."),
    controller: column(setOf(ref("Controller")), "Its controllers; with none, it forwards by itself."),
    protocols: column(setOf(versions), "OpenFlow versions that are spoken; empty for the default."),
    fail_mode: column(optional(oneOf("standalone", "secure")), "What to do when no controller can be reached."),
    status: ephemeral(strings, "Status of protocols that concern the whole bridge."),
    rstp_status: ephemeral(strings, "Status of the rapid spanning tree protocol."),
    other_config: column(strings, "Settings of the bridge by name, such as `hwaddr`."),
    external_ids: externalIds,
    flood_vlans: column(setOf(vlan, 4096), "VLANs whose packets are flooded without learning."),
    flow_tables: column(mapOf(range(0, 254), ref("Flow_Table")), "Settings of OpenFlow tables by number."),
    auto_attach: column(optional(ref("AutoAttach")), "Auto-attach settings."),
  },
};

const port: TableSpec = {
  about: "A port of a bridge: one interface, or several as a bond.",
  indexes: [["name"]],
  columns: {
    name: fixed(string, "Name of the port."),
    interfaces: column(setOf(ref("Interface"), "unlimited", 1), "Its interface, or the members of the bond."),
    trunks: column(setOf(vlan, 4096), "VLANs that a trunk carries; empty for all."),
    cvlans: column(setOf(vlan, 4096), "Customer VLANs that a dot1q-tunnel port carries; empty for all."),
    tag: column(optional(vlan), "VLAN of an access port, or native VLAN."),
    vlan_mode: column(optional(vlanModes), "How VLAN tags are treated; empty to derive it from `tag`."),
    qos: column(optional(ref("QoS")), "Queueing discipline of its interface."),
    mac: column(optional(string), "Ethernet address, for the port of a bridge or an internal port."),
    bond_mode: column(optional(oneOf("balance-tcp", "balance-slb", "active-backup")), "How a bond spreads traffic."),
    lacp: column(optional(oneOf("active", "passive", "off")), "Whether LACP is spoken, and who begins."),
    bond_updelay: column(integer, "Milliseconds for which a link must be up before it is used."),
    bond_downdelay: column(integer, "Milliseconds for which a link must be down before it is dropped."),
    bond_active_slave: column(optional(string), "Ethernet address of the active member, kept over restarts."),
    bond_fake_iface: column(boolean, "Whether to make a system interface in the name of the bond."),
    fake_bridge: column(boolean, "Whether the port stands for a bridge of its VLAN."),
    status: ephemeral(strings, "Status of the port, such as its spanning tree role."),
    rstp_status: ephemeral(strings, "Status of the rapid spanning tree protocol."),
    rstp_statistics: ephemeral(mapOf(string, integer), "Counters of the rapid spanning tree protocol."),
    statistics: ephemeral(mapOf(string, integer), "Counters of the spanning tree protocol."),
    protected: column(boolean, "Whether it never forwards to another protected port."),
    other_config: column(strings, "Settings of the port by name, such as `lacp-time`."),
    external_ids: externalIds,
  },
};

const iface: TableSpec = {
  about: "A network device or tunnel, attached to a port.",
  indexes: [["name"]],
  columns: {
    name: fixed(string, "Name of the interface, and of the device where it has one."),
    type: column(string, "Kind of interface; empty for a device of the system."),
    options: column(strings, "Settings that its type defines, such as `remote_ip` or `peer`."),
    ingress_policing_rate: column(range(0), "Received kilobits a second beyond which packets are dropped; 0 for all."),
    ingress_policing_burst: column(range(0), "Kilobits by which the rate may be exceeded at once."),
    ingress_policing_kpkts_rate: column(range(0), "Received thousands of packets a second; 0 for no limit."),
    ingress_policing_kpkts_burst: column(range(0), "Thousands of packets by which that may be exceeded at once."),
    mac_in_use: ephemeral(optional(string), "Ethernet address that the device has."),
    mac: column(optional(string), "Ethernet address to give to an internal interface."),
    ifindex: ephemeral(optional(range(0, 4294967295)), "Number of the device in the system."),
    external_ids: externalIds,
    ofport: column(optional(integer), "OpenFlow port number; -1 when the interface could not be added."),
    ofport_request: column(optional(range(1, 65279)), "OpenFlow port number that is wished for."),
    bfd: column(strings, "Settings of bidirectional forwarding detection."),
    bfd_status: ephemeral(strings, "Status of bidirectional forwarding detection."),
    cfm_mpid: column(optional(integer), "Own maintenance point id; having one turns CFM on."),
    cfm_remote_mpids: ephemeral(setOf(integer), "Maintenance points that were heard."),
    cfm_flap_count: column(optional(integer), "How often CFM changed between fault and no fault."),
    cfm_fault: ephemeral(optional(boolean), "Whether CFM sees a fault."),
    cfm_fault_status: ephemeral(setOf(string), "Reasons for that fault."),
    cfm_remote_opstate: ephemeral(optional(upOrDown), "Operational state that the remote end announces."),
    cfm_health: ephemeral(optional(range(0, 100)), "Share of expected CFM messages that came, in percent."),
    lacp_current: ephemeral(optional(boolean), "Whether LACP hears its partner."),
    lldp: column(strings, "LLDP settings; `enable` turns it on."),
    other_config: column(strings, "Settings of the interface by name."),
    statistics: ephemeral(mapOf(string, integer), "Packet, byte and error counters."),
    status: ephemeral(strings, "What the device says of itself, such as its driver."),
    admin_state: ephemeral(optional(upOrDown), "Whether the device is enabled."),
    link_state: ephemeral(optional(upOrDown), "Whether the device has a carrier."),
    link_resets: ephemeral(optional(integer), "How often the link went up or down."),
    link_speed: ephemeral(optional(integer), "Speed in bits a second."),
    duplex: ephemeral(optional(oneOf("half", "full")), "Duplex mode."),
    mtu: ephemeral(optional(integer), "Largest packet that the device takes, in bytes."),
    mtu_request: column(optional(range(1)), "MTU that is wished for."),
    error: column(optional(string), "Why the interface could not be configured; empty when it could."),
  },
};

const mirror: TableSpec = {
  about: "A copy of chosen packets, sent to a port or VLAN.",
  columns: {
    name: column(string, "Name of the mirror."),
    select_all: column(boolean, "Whether every packet is chosen."),
    select_src_port: column(setOf(weak("Port")), "Ports whose received packets are chosen."),
    select_dst_port: column(setOf(weak("Port")), "Ports whose sent packets are chosen."),
    select_vlan: column(setOf(vlan, 4096), "VLANs to which the choice is limited; empty for all."),
    output_port: column(optional(weak("Port")), "Port to which the copies go."),
    output_vlan: column(optional(range(1, 4095)), "VLAN to which the copies go."),
    snaplen: column(optional(range(14, 65535)), "Bytes after which a copy is cut off."),
    statistics: ephemeral(mapOf(string, integer), "Packets and bytes that were mirrored."),
    external_ids: externalIds,
  },
};

export const bridgeTables: Readonly<Record<string, TableSpec>> = {
  Bridge: bridge,
  Port: port,
  Interface: iface,
  Mirror: mirror,
};
