/** Does steps to a switch and gathers everything that can be seen of it. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addDummyBridge, type Switch, until } from "../system/switch.js";
import { ports } from "./generate.js";
import { Intake } from "./intake.js";
import type { Step } from "./steps.js";
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

/** What can be seen of a switch after a life, by what it is called.  Lines that have no order are sorted. */
export type Seen = Readonly<Record<string, readonly string[]>>;

export class Player {
  readonly #under: Switch;
  readonly #control: Unixctl;
  readonly #intake: Intake;
  readonly #messages: string;
  #framesBefore: readonly number[] = [];
  #messagesBefore = 0;

  private constructor(under: Switch, control: Unixctl, intake: Intake) {
    this.#under = under;
    this.#control = control;
    this.#intake = intake;
    this.#messages = join(under.directory, "monitor.txt");
  }

  /** Time stands still from here on, so that what meters let through is decided by their buckets alone. */
  static async start(under: Switch): Promise<Player> {
    addBridge(under);
    const control = await openUnixctl(join(under.directory, `ovs-vswitchd.${under.pid}.ctl`));
    const player = new Player(under, control, await Intake.open(under, control));
    writeFileSync(player.#messages, "");
    under.ok(
      "sh",
      "-c",
      `exec ovs-ofctl -O OpenFlow13 monitor br0 65534 -P nxt_packet_in2 --detach --no-chdir --pidfile=${join(under.directory, "monitor.pid")} >/dev/null 2>>${player.#messages}`,
    );
    await control.call("time/stop");
    return player;
  }

  stop(): void {
    // The monitor goes, and its pidfile with it, when its switch dies.
    const pidfile = join(this.#under.directory, "monitor.pid");
    if (existsSync(pidfile)) process.kill(Number(readFileSync(pidfile, "utf8")));
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
      "packet-ins": this.#packetIns(),
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
    this.#framesBefore = ports.map((port) => frames(capture(under, port)).length);
    this.#messagesBefore = readFileSync(this.#messages, "utf8").length;
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
        for (const { port, frames } of step.arrivals) await this.#intake.receive(port, ...frames);
        await this.#intake.drained();
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

  /** Captures and messages grow no more. */
  async #quiet(): Promise<void> {
    const quietMin = 3;
    let quiet = 0;
    let last = -1;
    await until(`${this.#under.kind} has sent everything`, 20, () => {
      const paths = [...ports.map((port) => capture(this.#under, port)), this.#messages];
      const size = paths.reduce((sum, path) => sum + (existsSync(path) ? statSync(path).size : 0), 0);
      quiet = size === last ? quiet + 1 : 0;
      last = size;
      return quiet >= quietMin;
    });
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

  /** Messages that the monitor showed, each in one line, in no order: ports are polled in turns. */
  #packetIns(): string[] {
    return readFileSync(this.#messages, "utf8")
      .slice(this.#messagesBefore)
      .replace(/\(xid=0x[0-9a-f]+\)/g, "")
      .split(/\n(?=NXT_|OFPT_)/)
      .map((line) => line.trim().replaceAll("\n", " "))
      .filter((line) => line.startsWith("NXT_PACKET_IN2") || line.startsWith("OFPT_PACKET_IN"))
      .sort();
  }
}
