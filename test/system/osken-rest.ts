/** A REST interface to switches in any version of OpenFlow, on the library that os-ken's own stands on (whose application
 *  Debian does not package): `POST /DPID/FUNCTION` with the arguments as a JSON list calls that function of os_ken.lib.ofctl_*
 *  and answers with its result and the errors that the switch sent; `wait` with what else it told since the wait before. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, until } from "./switch.js";

const application = `
import importlib
import json
import os
import struct
import traceback

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub, ofctl_utils

VERSIONS = ["v1_0", "v1_2", "v1_3", "v1_4", "v1_5"]
protocols = {}
for name in VERSIONS:
    number = importlib.import_module("os_ken.ofproto.ofproto_" + name).OFP_VERSION
    protocols[number] = importlib.import_module("os_ken.lib.ofctl_" + name)
# os-ken looks for this kind of error in each version, and ends the connection where it is not defined.
importlib.import_module("os_ken.ofproto.ofproto_v1_0").OFPET_EXPERIMENTER = 0xFFFF


def cut(kind):
    """os-ken takes what follows one of these for properties of it: then it sees no more than its length, which is first."""
    parse = kind.parser.__func__
    kind.parser = classmethod(lambda cls, buf, at: parse(cls, buf[at : at + struct.unpack_from("!H", buf, at)[0]], 0))


latest = importlib.import_module("os_ken.ofproto.ofproto_v1_5_parser")
cut(latest.OFPBucket)
cut(latest.OFPGroupDescStats)


class Rest(app_manager.OSKenApp):
    OFP_VERSIONS = list(protocols)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.datapaths, self.waiters, self.errors, self.told = {}, {}, {}, {}
        hub.spawn(hub.WSGIServer(("127.0.0.1", int(os.environ["REST_PORT"])), self.serve).serve_forever)

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def changed(self, event):
        if event.state == MAIN_DISPATCHER:
            self.datapaths[event.datapath.id] = event.datapath
        else:
            self.datapaths.pop(event.datapath.id, None)

    def serve(self, environ, start_response):
        words = environ["PATH_INFO"].strip("/").split("/")
        try:
            if words == ["switches"]:
                answer = sorted(self.datapaths)
            else:
                size = int(environ.get("CONTENT_LENGTH") or 0)
                answer = self.call(self.datapaths[int(words[0])], words[1], json.loads(environ["wsgi.input"].read(size) or "[]"))
        except Exception as failure:
            answer = {"failed": "%s: %s" % (type(failure).__name__, failure)}
            traceback.print_exc()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer, default=str, sort_keys=True).encode()]

    def call(self, datapath, name, args):
        self.errors[datapath.id] = []
        args = [getattr(datapath.ofproto, word) if isinstance(word, str) and word.startswith("OFP") else word for word in args]
        library = protocols[datapath.ofproto.OFP_VERSION]
        if name.startswith("get_"):
            result = list(getattr(library, name)(datapath, self.waiters, *args).values())[0]
        elif name == "wait":
            result = hub.sleep(args[0])
        else:
            result = getattr(self if hasattr(self, name) else library, name)(datapath, *args)
        self.barrier(datapath)
        answer = {"result": result, "errors": self.errors[datapath.id]}
        return {**answer, "told": self.told.pop(datapath.id, [])} if name == "wait" else answer

    def barrier(self, datapath):
        ofctl_utils.send_stats_request(datapath, datapath.ofproto_parser.OFPBarrierRequest(datapath), self.waiters, [])

    def packet_out(self, datapath, port, actions, frame):
        parser, ofp, library = datapath.ofproto_parser, datapath.ofproto, protocols[datapath.ofproto.OFP_VERSION]
        if ofp.OFP_VERSION == 1:
            actions = library.to_actions(datapath, actions)
        else:
            actions = [library.to_action(datapath, action) for action in actions]
        where = {"match": parser.OFPMatch(in_port=port)} if ofp.OFP_VERSION == 6 else {"in_port": port}
        none = getattr(ofp, "OFP_NO_BUFFER", 0xFFFFFFFF)
        datapath.send_msg(parser.OFPPacketOut(datapath=datapath, buffer_id=none, actions=actions, data=bytes.fromhex(frame), **where))

    def tell(self, event, what, **more):
        self.told.setdefault(event.msg.datapath.id, []).append([what, more])

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, event):
        message = event.msg
        match = message.match.to_jsondict() if hasattr(message, "match") else message.in_port
        more = {name: getattr(message, name) for name in ("table_id", "cookie", "total_len") if hasattr(message, name)}
        self.tell(event, "packet-in", reason=message.reason, match=match, data=message.data.hex(), **more)

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_removed(self, event):
        message = event.msg
        self.tell(event, "flow-removed", reason=message.reason, priority=message.priority, cookie=message.cookie, match=message.match.to_jsondict())

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_status(self, event):
        self.tell(event, "port-status", reason=event.msg.reason, port=event.msg.desc.to_jsondict())

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def failed(self, event):
        message = event.msg
        self.errors.setdefault(message.datapath.id, []).append([message.type, message.code])
        self.finish(message)

    def answered(self, event):
        waiting = self.waiters.get(event.msg.datapath.id, {})
        if event.msg.xid in waiting:
            waiting[event.msg.xid][1].append(event.msg)
            if not getattr(event.msg, "flags", 0) & 1:
                self.finish(event.msg)

    def finish(self, message):
        lock, _ = self.waiters.get(message.datapath.id, {}).pop(message.xid, (None, None))
        if lock is not None:
            lock.set()


several = ("StatsReply", "DescReply", "FeaturesReply", "ConfigReply", "RoleReply", "BarrierReply")
replies = [name for name in dir(ofp_event) if name.startswith("EventOFP") and name.endswith(several)]
set_ev_cls([getattr(ofp_event, name) for name in replies], MAIN_DISPATCHER)(Rest.answered)
`;

export interface Answer {
  readonly result?: unknown;
  /** Type and code of each error, in order. */
  readonly errors?: readonly (readonly [number, number])[];
  /** Packet-ins, removed flows and port statuses. */
  readonly told?: readonly unknown[];
  /** Why os-ken could not do it. */
  readonly failed?: string;
}

export interface Rest {
  /** Where switches connect. */
  readonly openflow: number;
  switches(): Promise<number[]>;
  call(dpid: number, name: string, ...args: unknown[]): Promise<Answer>;
  log(): string;
  stop(): void;
}

/** Starts os-ken with the application; it serves when this resolves. */
export async function startRest(): Promise<Rest> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-osken-"));
  const log = join(directory, "controller.log");
  const file = join(directory, "rest.py");
  writeFileSync(file, application);
  const [openflow, port] = [await freePort(), await freePort()];
  const shell = `exec osken-manager --ofp-listen-host 127.0.0.1 --ofp-tcp-listen-port ${openflow} --nouse-stderr ${file} > ${log} 2>&1`;
  const env = { ...process.env, REST_PORT: String(port) };
  const child: ChildProcess = spawn("sh", ["-c", shell], { stdio: "ignore", env });
  const ask = async (path: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/${path}`, { method: "POST", body: JSON.stringify(body) });
    return response.json();
  };
  const rest: Rest = {
    openflow,
    switches: async () => (await ask("switches", [])) as number[],
    call: async (dpid, name, ...args) => (await ask(`${dpid}/${name}`, args)) as Answer,
    log: () => readFileSync(log, "utf8"),
    stop() {
      child.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await until("os-ken serves", 20, async () => {
    if (child.exitCode !== null) throw new Error(`os-ken exited ${child.exitCode}: ${rest.log()}`);
    return rest.switches().then(
      () => true,
      () => false,
    );
  });
  return rest;
}
