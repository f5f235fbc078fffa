/** Frames go in by the test ports of a switch, and one waits until its datapath is through with them. */
import { type Switch, sleep } from "../system/switch.js";
import type { Unixctl } from "./unixctl.js";

export class Intake {
  readonly #under: Switch;
  readonly #control: Unixctl;
  #received: number;

  private constructor(under: Switch, control: Unixctl, received: number) {
    this.#under = under;
    this.#control = control;
    this.#received = received;
  }

  static async open(under: Switch, control: Unixctl): Promise<Intake> {
    return new Intake(under, control, received(await portsOf(control)));
  }

  /** Queues frames at a port, whose queue holds a hundred.  Ports are polled in turns: what comes to several of them
   *  before the next `drained` comes in no order between them. */
  async receive(port: number, ...frames: readonly string[]): Promise<void> {
    const reply = await this.#control.call("netdev-dummy/receive", `p${port}`, ...frames);
    if (reply !== "") throw new Error(`${this.#under.kind}: netdev-dummy/receive p${port} ${frames}: ${reply}`);
    this.#received += frames.length;
  }

  /** Waits until the ports have received all, and nothing more happens in the datapath. */
  async drained(): Promise<void> {
    const end = Date.now() + 20_000;
    for (let last = "", now = await portsOf(this.#control); received(now) !== this.#received || now !== last; ) {
      if (Date.now() > end) throw new Error(`${this.#under.kind} has not received ${this.#received} packets in 20 s`);
      await sleep(1);
      last = now;
      now = await portsOf(this.#control);
    }
  }
}

const portsOf = (control: Unixctl): Promise<string> => control.call("dpctl/show", "-s");

const received = (ports: string): number =>
  [...ports.matchAll(/: p\d [^\n]*\n\s*RX packets:(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
