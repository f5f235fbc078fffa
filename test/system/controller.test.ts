/** An os-ken learning switch as the controller of three hosts. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { missing, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vsctl", "ip", "ping", "python3", "osken-manager"] });
if (reason !== undefined) console.log(`skip: controller: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

/** What os-ken's example simple_switch_13 does, which Debian does not package: learn where addresses are, flood what is not
 *  known, install a flow for what is.  Port status changes go to the log. */
const application = `
from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_3


class Learning(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.where = {}

    def install(self, datapath, priority, match, actions):
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        apply = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)
        datapath.send_msg(parser.OFPFlowMod(datapath=datapath, priority=priority, match=match, instructions=[apply]))

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def joined(self, event):
        datapath = event.msg.datapath
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        self.install(datapath, 0, parser.OFPMatch(), [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)])

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, event):
        message = event.msg
        datapath, in_port = message.datapath, message.match["in_port"]
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        frame = packet.Packet(message.data).get_protocols(ethernet.ethernet)[0]
        known = self.where.setdefault(datapath.id, {})
        known[frame.src] = in_port
        out = known.get(frame.dst, ofp.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out)]
        if out != ofp.OFPP_FLOOD:
            self.install(datapath, 1, parser.OFPMatch(in_port=in_port, eth_dst=frame.dst, eth_src=frame.src), actions)
        datapath.send_msg(parser.OFPPacketOut(datapath=datapath, buffer_id=ofp.OFP_NO_BUFFER, in_port=in_port, actions=actions, data=message.data))

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_status(self, event):
        ofp = event.msg.datapath.ofproto
        reasons = {ofp.OFPPR_ADD: "add", ofp.OFPPR_DELETE: "delete", ofp.OFPPR_MODIFY: "modify"}
        port = event.msg.desc
        down = "down" if port.state & ofp.OFPPS_LINK_DOWN else "up"
        print("PORT %s %s %s" % (reasons[event.msg.reason], port.name.decode(), down), flush=True)
`;

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
      .once("error", reject)
      .listen(0, "127.0.0.1", () => {
        const address = server.address();
        server.close(() => {
          resolve(typeof address === "object" && address !== null ? address.port : 0);
        });
      });
  });
}

maybe("an os-ken learning switch connects every host, and sees links fall and ports come and go", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-osken-"));
  const log = join(directory, "controller.log");
  writeFileSync(join(directory, "learning.py"), application);
  const port = await freePort();
  const shell = `exec osken-manager --ofp-listen-host 127.0.0.1 --ofp-tcp-listen-port ${port} --nouse-stderr ${join(directory, "learning.py")} > ${log} 2>&1`;
  const controller: ChildProcess = spawn("sh", ["-c", shell], { stdio: "ignore" });
  const hosts = makeHosts("slc", 3);
  const under = await startSluice();
  const bridge = `slc${process.pid % 10000}`;
  const extra = `${bridge}x`;
  try {
    under.ok(
      "ovs-vsctl",
      "add-br",
      bridge,
      "--",
      "set-fail-mode",
      bridge,
      "secure",
      "--",
      "set",
      "bridge",
      bridge,
      "protocols=OpenFlow13",
      ...hosts.flatMap((host) => ["--", "add-port", bridge, host.port]),
    );
    under.ok("ovs-vsctl", "set-controller", bridge, `tcp:127.0.0.1:${port}`);
    await until(
      "the controller is connected",
      20,
      () => under.ok("ovs-vsctl", "get", "controller", bridge, "is_connected").trim() === "true",
    );
    await until("the table-miss flow is there", 10, () =>
      under.ok("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", bridge).includes("CONTROLLER"),
    );
    for (const from of hosts) {
      for (const to of hosts) {
        if (from === to) continue;
        assert.match(
          from.exec("ping", "-c", "2", "-W", "2", to.address).stdout,
          /[12] received/,
          `${from.name} to ${to.name}`,
        );
      }
    }
    const flows = under.ok("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", bridge);
    assert.ok((flows.match(/dl_dst=/g) ?? []).length >= 4, "the controller installed flows");
    const told = (line: string) => (): boolean => readFileSync(log, "utf8").includes(line);
    const first = hosts[0] as Host;
    spawnSync("ip", ["link", "set", first.port, "down"]);
    await until("the controller hears of the fallen link", 5, told(`PORT modify ${first.port} down`));
    under.ok("ovs-vsctl", "add-port", bridge, extra, "--", "set", "interface", extra, "type=internal");
    await until("the controller hears of the new port", 5, told(`PORT add ${extra}`));
    under.ok("ovs-vsctl", "del-port", bridge, extra);
    await until("the controller hears of the removed port", 5, told(`PORT delete ${extra}`));
    assert.is(under.ok("ovs-vsctl", "get", "controller", bridge, "role").trim(), "other");
  } catch (error) {
    console.log(readFileSync(log, "utf8").slice(-3000));
    throw error;
  } finally {
    controller.kill();
    await under.stop();
    removeHosts(hosts);
    rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
