/** Does steps to a switch and gathers everything that can be seen of it. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addDummyBridge, type Switch, until } from "../system/switch.js";
import { ports } from "./generate.js";
import { Intake } from "./intake.js";
import { type Step, tlvMap } from "./steps.js";
import { openUnixctl, type Unixctl } from "./unixctl.js";

export const capture = (under: Switch, port: number): string => join(under.directory, `tx${port}.pcap`);

/** Frames of a classic pcap file, in hexadecimal. */
export function frames(path: string): string[] {
  if (!existsSync(path)) return [];
  const bytes = readFileSync(path);
  const out: string[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at + 8);
    out.push(bytes.subarray(at + 16, at + 16 + size).toString("hex"));
    at += 16 + size;
  }
  return out;
}

/** A bridge of the test's ports, with captures of what they send. */
export function addBridge(under: Switch): void {
  addDummyBridge(under, ports.length, { port: (number) => [`options:tx_pcap=${capture(under, number)}`] });
}

const messagesPath = (under: Switch): string => join(under.directory, "monitor.txt");
const pidfile = (under: Switch): string => join(under.directory, "monitor.pid");

/** What can be seen of a switch after a life, by what it is called.  Lines that have no order are sorted. */
export type Seen = Readonly<Record<string, readonly string[]>>;

export class Player {
  readonly #under: Switch;
  readonly #control: Unixctl;
  readonly #intake: Intake;
  /** The control socket of the controller, which is ovs-ofctl. */
  readonly #controller: Unixctl;
  readonly #messages: string;
  #framesBefore: readonly number[] = [];

  private constructor(under: Switch, control: Unixctl, intake: Intake, controller: Unixctl) {
    this.#under = under;
    this.#control = control;
    this.#intake = intake;
    this.#controller = controller;
    this.#messages = messagesPath(under);
  }

  /** Time stands still from here on, so that what meters let through is decided by their buckets alone. */
  static async start(under: Switch): Promise<Player> {
    addBridge(under);
    under.ok("ovs-ofctl", "-O", "OpenFlow13", "add-tlv-map", "br0", tlvMap);
    // Time that is made to pass would have the switch think a controller dead that it asks for a sign of life.
    const socket = join(under.directory, "br0.lives");
    under.ok("ovs-vsctl", "set-controller", "br0", `punix:${socket}`);
    under.ok("ovs-vsctl", "set", "controller", "br0", "inactivity_probe=0");
    await until(`${under.kind} listens to controllers`, 20, () => existsSync(socket));
    writeFileSync(messagesPath(under), "");
    const unixctl = join(under.directory, "monitor.ctl");
    const options = `--detach --no-chdir --pidfile=${pidfile(under)} --unixctl=${unixctl}`;
    const monitor = `ovs-ofctl -O OpenFlow13 monitor unix:${socket} 65534 resume -P nxt_packet_in2 ${options}`;
    under.ok("sh", "-c", `exec ${monitor} >/dev/null 2>>${messagesPath(under)}`);
    const control = await openUnixctl(join(under.directory, `ovs-vswitchd.${under.pid}.ctl`));
    const player = new Player(under, control, await Intake.open(under, control), await openUnixctl(unixctl));
    await control.call("time/stop");
    return player;
  }

  /** What the switch said last, as a daemon that dies does. */
  lastWords(): string {
    return this.#under.log().trimEnd().split("\n").slice(-2).join("\n");
  }

  stop(): void {
    // The monitor goes, and its pidfile with it, when its switch dies.
    const path = pidfile(this.#under);
    if (existsSync(path)) process.kill(Number(readFileSync(path, "utf8")));
    this.#controller.close();
    this.#control.close();
  }

  async play(steps: readonly Step[]): Promise<Seen> {
    await this.#clear();
    await this.#control.call("time/warp", "100000", "100000");
    const said: string[] = [];
    for (const step of steps) {
      const text = await this.#do(step);
      if (text !== "") said.push(text);
      // Open vSwitch's cached flows follow a changed table, or a lesson, when its revalidators come round.
      await this.#control.call("revalidator/purge");
    }
    await this.#quiet();
    const [flows = [], groups = [], groupStatistics = [], meters = [], meterStatistics = []] = await Promise.all([
      this.#flows(),
      this.#dump("OpenFlow15", "dump-groups"),
      this.#dump("OpenFlow15", "dump-group-stats"),
      this.#dump("OpenFlow13", "dump-meters"),
      this.#dump("OpenFlow13", "meter-stats"),
    ]);
    return {
      "what the tools said": said,
      ...Object.fromEntries(
        ports.map((port, index) => [
          `frames from port ${port}`,
          frames(capture(this.#under, port)).slice(this.#framesBefore[index]).sort(),
        ]),
      ),
      "messages to the controller": this.#controllerMessages(),
      flows,
      groups,
      "group statistics": groupStatistics,
      meters,
      "meter statistics": meterStatistics,
    };
  }

  async #clear(): Promise<void> {
    const under = this.#under;
    await Promise.all([
      this.#read("OpenFlow15", "del-flows").then(() => this.#read("OpenFlow15", "del-groups")),
      this.#read("OpenFlow15", "del-meters"),
      this.#read("OpenFlow15", "set-frags", "normal"),
    ]);
    await this.#quiet();
    this.#framesBefore = ports.map((port) => frames(capture(under, port)).length);
    writeFileSync(this.#messages, "");
  }

  async #do(step: Step): Promise<string> {
    switch (step.kind) {
      case "ofctl": {
        return this.#ofctl("-O", step.version, ...(step.options ?? []), step.command, "br0", ...step.words);
      }
      case "flows": {
        const file = join(this.#under.directory, "flows.txt");
        writeFileSync(file, `${step.lines.join("\n")}\n`);
        const bundle = step.bundle ? ["--bundle"] : [];
        return this.#ofctl("-O", step.version, ...bundle, "add-flows", "br0", file);
      }
      case "frames": {
        for (const { port, frames } of step.arrivals) {
          for (const frame of step.inTurn === true ? frames : []) {
            await this.#intake.receive(port, frame);
            await this.#intake.drained();
          }
          if (step.inTurn !== true) await this.#intake.receive(port, ...frames);
        }
        await this.#intake.drained();
        if (step.settles === true) await this.#quiet();
        return "";
      }
      case "time": {
        await this.#control.call("time/warp", String(step.ms), "1000");
        // What expires does so in the next round of the main loop.
        await this.#control.call("revalidator/wait");
        return "";
      }
    }
  }

  /** What a command of ovs-ofctl that must succeed writes. */
  #read(version: string, command: string, ...words: string[]): Promise<string> {
    const args = ["-O", version, "--no-names", command, "br0", ...words];
    return new Promise((resolve, reject) => {
      execFile("ovs-ofctl", args, { env: this.#under.env, timeout: 60_000, maxBuffer: 1 << 26 }, (error, stdout) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${this.#under.kind}: ${error.message}`));
      });
    });
  }

  /** What ovs-ofctl complained of, without what differs between two runs of it.  Not waited for in place: the other
   *  switch is at work meanwhile. */
  #ofctl(...args: string[]): Promise<string> {
    return new Promise((resolve) => {
      execFile("ovs-ofctl", args, { env: this.#under.env, timeout: 60_000 }, (_error, _stdout, stderr) => {
        resolve(stderr.replaceAll(this.#under.directory, "").replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z/gm, "TIME"));
      });
    });
  }

  /** Captures and messages grow no more while the controller asks for barriers. */
  async #quiet(): Promise<void> {
    const quietMin = 2;
    const end = Date.now() + 20_000;
    const paths = ports.map((port) => capture(this.#under, port));
    for (let quiet = 0, last = -1; quiet < quietMin; ) {
      if (Date.now() > end) throw new Error(`${this.#under.kind} still sends after 20 s`);
      await this.#controller.call("ofctl/barrier");
      const sent = paths.reduce((sum, path) => sum + (existsSync(path) ? statSync(path).size : 0), 0);
      const size = sent + this.#said().length;
      quiet = size === last ? quiet + 1 : 0;
      last = size;
    }
  }

  /** Flows with their counters, without what time does to them. */
  async #flows(): Promise<string[]> {
    return (await this.#read("OpenFlow15", "dump-flows"))
      .split("\n")
      .map((line) =>
        line
          .trim()
          .replace(/duration=[^,]*, /, "")
          .replace(/\b(idle|hard)_age=\d+, /g, ""),
      )
      .filter((line) => line.startsWith("cookie="))
      .sort();
  }

  async #dump(version: string, command: string): Promise<string[]> {
    const text = (await this.#read(version, command))
      .replace(/duration[=:][0-9.]+s/g, "duration")
      .replace(/\(xid=0x[0-9a-f]+\)/g, "");
    return text
      .replace(/\n(?!meter[:=]|\s*group_id)/g, " ")
      .split("\n")
      .map((line) => line.trim())
      .sort();
  }

  /** What the controller was told in this life, without the replies to its barriers. */
  #said(): string {
    return readFileSync(this.#messages, "utf8").replace(/^OFPT_BARRIER_.*\n/gm, "");
  }

  /** Messages that the monitor showed, each in one line, in no order: ports are polled in turns. */
  #controllerMessages(): string[] {
    return this.#said()
      .replace(/\(xid=0x[0-9a-f]+\)/g, "")
      .replace(/continuation\.bridge=\S+/g, "")
      .replace(/duration[0-9.]+s/g, "")
      .split(/\n(?=NXT_|OFPT_)/)
      .map((line) => line.trim().replaceAll("\n", " "))
      .filter((line) => /^(NXT_PACKET_IN2|OFPT_PACKET_IN|OFPT_FLOW_REMOVED)/.test(line))
      .sort();
  }
}
