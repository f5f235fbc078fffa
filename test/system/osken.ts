/** An os-ken application for one version of OpenFlow, in the manner of os-ken's example switches (which Debian does not
 *  package): it learns where addresses are, floods through a group of all ports, meters what it forwards, and reads back
 *  what it asked for with the functions that os-ken's REST interface stands on. */
export const application = `
import importlib
import json
import os
import sys
import traceback

from os_ken.base import app_manager
from os_ken.controller import dpset, ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.lib.packet import ethernet, packet

VERSION = os.environ["OPENFLOW"]
protocol = importlib.import_module("os_ken.ofproto.ofproto_" + VERSION)
ofctl = importlib.import_module("os_ken.lib.ofctl_" + VERSION)
is_latest = VERSION == "v1_5"
FLOOD_GROUP, METER = 7, 3


def tell(what, value):
    print("%s %s" % (what, json.dumps(value, default=str, sort_keys=True)), flush=True)


class Learning(app_manager.OSKenApp):
    OFP_VERSIONS = [protocol.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.where = {}
        self.waiters = {}
        self.ports = set()
        # While the group and the meter are there that it would use.
        self.is_at_work = False

    def install(self, datapath, priority, match, actions, metered=False):
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        instructions = []
        if metered and is_latest:
            actions = [parser.OFPActionMeter(METER)] + actions
        elif metered:
            instructions.append(parser.OFPInstructionMeter(METER))
        instructions.append(parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions))
        datapath.send_msg(parser.OFPFlowMod(datapath=datapath, priority=priority, match=match, instructions=instructions))

    def flood(self, datapath, command):
        buckets = []
        for number in sorted(self.ports):
            bucket = {"actions": [{"type": "OUTPUT", "port": number}]}
            if is_latest:
                bucket["bucket_id"] = number
            buckets.append(bucket)
        group = {"group_id": FLOOD_GROUP, "type": "ALL", "buckets": buckets}
        if is_latest:
            group["command_bucket_id"] = datapath.ofproto.OFPG_BUCKET_ALL
        ofctl.mod_group_entry(datapath, group, command)

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def joined(self, event):
        datapath = event.msg.datapath
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        self.install(datapath, 0, parser.OFPMatch(), [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)])
        meter = {"meter_id": METER, "flags": ["KBPS", "STATS"], "bands": [{"type": "DROP", "rate": 1000000}]}
        ofctl.mod_meter_entry(datapath, meter, ofp.OFPMC_ADD)

    @set_ev_cls(ofp_event.EventOFPStateChange, MAIN_DISPATCHER)
    def ready(self, event):
        hub.spawn(self.begin, event.datapath)

    def begin(self, datapath):
        described = ofctl.get_port_desc(datapath, self.waiters)
        for port in list(described.values())[0]:
            if isinstance(port["port_no"], int):
                self.ports.add(port["port_no"])
        self.flood(datapath, datapath.ofproto.OFPGC_ADD)
        self.is_at_work = True
        tell("READY", sorted(self.ports))

    def answered(self, event):
        message = event.msg
        datapath = message.datapath
        waiting = self.waiters.get(datapath.id, {})
        if message.xid not in waiting:
            return
        lock, messages = waiting[message.xid]
        messages.append(message)
        more = getattr(datapath.ofproto, "OFPMPF_REPLY_MORE", 1)
        if getattr(message, "flags", 0) & more:
            return
        del waiting[message.xid]
        lock.set()

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, event):
        if not self.is_at_work:
            return
        message = event.msg
        datapath, in_port = message.datapath, message.match["in_port"]
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        frame = packet.Packet(message.data).get_protocols(ethernet.ethernet)[0]
        known = self.where.setdefault(datapath.id, {})
        known[frame.src] = in_port
        out = known.get(frame.dst)
        actions = [parser.OFPActionGroup(FLOOD_GROUP) if out is None else parser.OFPActionOutput(out)]
        if out is not None:
            match = parser.OFPMatch(in_port=in_port, eth_dst=frame.dst, eth_src=frame.src)
            self.install(datapath, 1, match, actions, metered=True)
        where = {"match": parser.OFPMatch(in_port=in_port)} if is_latest else {"in_port": in_port}
        datapath.send_msg(parser.OFPPacketOut(datapath=datapath, buffer_id=ofp.OFP_NO_BUFFER, actions=actions, data=message.data, **where))

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def failed(self, event):
        tell("ERROR", [event.msg.type, event.msg.code])

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_status(self, event):
        datapath, port = event.msg.datapath, event.msg.desc
        ofp = datapath.ofproto
        reasons = {ofp.OFPPR_ADD: "add", ofp.OFPPR_DELETE: "delete", ofp.OFPPR_MODIFY: "modify"}
        reason = reasons[event.msg.reason]
        down = "down" if port.state & ofp.OFPPS_LINK_DOWN else "up"
        print("PORT %s %s %s" % (reason, port.name.decode(), down), flush=True)
        if reason == "delete":
            hub.spawn(self.try_to_read, datapath)

    def try_to_read(self, datapath):
        try:
            self.read(datapath)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            tell("DONE", None)

    def read(self, datapath):
        of, waiters = datapath, self.waiters
        tell("desc", ofctl.get_desc_stats(of, waiters))
        tell("flows", ofctl.get_flow_desc_stats(of, waiters) if is_latest else ofctl.get_flow_stats(of, waiters))
        tell("aggregate", ofctl.get_aggregate_flow_stats(of, waiters))
        tell("tables", ofctl.get_table_stats(of, waiters))
        # A second's work for a switch, and half a minute's for os-ken: once is enough.
        if VERSION == "v1_3":
            tell("table_features", [len(all) for all in ofctl.get_table_features(of, waiters).values()])
        tell("ports", ofctl.get_port_stats(of, waiters))
        tell("port_desc", ofctl.get_port_desc(of, waiters))
        # os-ken never comes to the end of a group of OpenFlow 1.5 with several buckets: it takes the next bucket for
        # properties of the one before.
        if not is_latest:
            tell("groups", ofctl.get_group_desc(of, waiters))
        tell("group_stats", ofctl.get_group_stats(of, waiters))
        tell("group_features", ofctl.get_group_features(of, waiters))
        meters = ofctl.get_meter_config if VERSION != "v1_5" else ofctl.get_meter_desc
        tell("meters", meters(of, waiters))
        tell("meter_stats", ofctl.get_meter_stats(of, waiters))
        # Open vSwitch tells them in the form of 1.3, without the flags that OpenFlow 1.5 adds and os-ken asks for.
        if not is_latest:
            tell("meter_features", ofctl.get_meter_features(of, waiters))
        tell("queues", ofctl.get_queue_stats(of, waiters))
        tell("role", ofctl.get_role(of, waiters))
        self.is_at_work = False
        self.ports.clear()
        self.flood(datapath, datapath.ofproto.OFPGC_DELETE)
        ofctl.mod_meter_entry(datapath, {"meter_id": METER}, datapath.ofproto.OFPMC_DELETE)
        tell("groups_left", ofctl.get_group_desc(of, waiters))
        tell("meters_left", meters(of, waiters))
        tell("DONE", None)


replies = [
    name
    for name in dir(ofp_event)
    if name.startswith("EventOFP") and (name.endswith("StatsReply") or name.endswith("DescReply") or name.endswith("FeaturesReply") or name in ("EventOFPRoleReply", "EventOFPMeterConfigStatsReply", "EventOFPDescStatsReply"))
]
set_ev_cls([getattr(ofp_event, name) for name in replies], MAIN_DISPATCHER)(Learning.answered)
`;
