/** DPDK in this process: started when the database asks for it, once, as `other_config` says. */
import type { Logger } from "../log/index.js";
import { isTrue, type VhostSettings } from "./dpdk-devices.js";
import { errno, errnoWords } from "./errno.js";

/** What the addon does of it: native/addon/dpdk.h. */
export interface DpdkCalls {
  dpdkStart(args: readonly string[]): number;
  dpdkVersion(): string;
  dpdkLog(): string;
  dpdkAsk(words: readonly string[]): DpdkAnswer;
}

/** Of a question that native/include/sluice/dpdk.h lists: an errno value or 0, and a text. */
export interface DpdkAnswer {
  readonly error: number;
  readonly text: string;
}

export type DpdkConfig = ReadonlyMap<string, string>;

/** Keys of Open_vSwitch.other_config, and the option of DPDK that each is. */
const flatOptions: readonly (readonly [key: string, option: string])[] = [
  ["dpdk-lcore-mask", "-c"],
  ["dpdk-hugepage-dir", "--huge-dir"],
  ["dpdk-socket-limit", "--socket-limit"],
];
/** Of these, one at most takes effect. */
const memoryOptions: readonly (readonly [key: string, option: string])[] = [
  ["dpdk-alloc-mem", "-m"],
  ["dpdk-socket-mem", "--socket-mem"],
];

export interface DpdkArguments {
  readonly args: readonly string[];
  readonly complaints: readonly { readonly level: "warn" | "err"; readonly text: string }[];
}

/** DPDK's command line.  `cpu`: where its main thread goes when nothing says where. */
export function dpdkArguments(config: DpdkConfig, cpu: number): DpdkArguments {
  const args = (config.get("dpdk-extra") ?? "").split(/\s+/).filter((word) => word !== "");
  const complaints: { level: "warn" | "err"; text: string }[] = [];
  const add = (name: string, option: string, value: string): void => {
    if (args.includes(option)) {
      complaints.push({ level: "warn", text: `Ignoring database defined option '${name}' due to dpdk-extra config` });
    } else args.push(option, value);
  };
  for (const [key, option] of flatOptions) {
    const value = config.get(key);
    if (value !== undefined) add(key, option, value);
  }
  const memory = memoryOptions.filter(([key]) => (config.get(key) ?? "") !== "");
  if (memory.length > 1) {
    const text =
      "Multiple defined options for memory type. Please check your database settings and reconfigure if necessary.";
    complaints.push({ level: "err", text });
  }
  const chosen = memory.at(-1);
  if (chosen !== undefined) add(chosen[1], chosen[1], config.get(chosen[0]) ?? "");
  if (!args.includes("-c") && !args.includes("-l") && !args.includes("--lcores")) args.push("-l", String(cpu));
  return { args: ["ovs-vswitchd", ...args], complaints };
}

export interface DpdkOptions {
  readonly calls: DpdkCalls;
  readonly log: Logger;
  /** Where the sockets of vhost devices are unless the database names a directory below it. */
  readonly runDirectory: string;
  readonly isDirectory: (path: string) => boolean;
  /** The lowest CPU that the process may run on. */
  readonly cpu: () => number;
}

export class Dpdk {
  readonly #options: DpdkOptions;
  #state: "off" | "told" | "started" | "failed" = "off";
  #vhost: VhostSettings | undefined;
  #toldOldVhost = false;

  constructor(options: DpdkOptions) {
    this.#options = options;
  }

  get isStarted(): boolean {
    return this.#state === "started";
  }

  /** What vhost devices are opened with. */
  get vhost(): VhostSettings {
    return this.#vhost ?? { socketDirectory: this.#options.runDirectory, iommu: false, postcopy: false };
  }

  ask(...words: readonly string[]): DpdkAnswer {
    return this.#options.calls.dpdkAsk(words);
  }

  /** The lines `key=value` of an answer. */
  askPairs(...words: readonly string[]): [string, string][] {
    const lines = this.ask(...words).text.split("\n");
    return lines.flatMap((line) => {
      const at = line.indexOf("=");
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as [string, string]];
    });
  }

  /** Open_vSwitch.dpdk_version. */
  get version(): string {
    return this.#options.calls.dpdkVersion() || "none";
  }

  /** Takes Open_vSwitch.other_config.  What has been started is not stopped, nor changed. */
  follow(config: DpdkConfig): void {
    const wish = (config.get("dpdk-init") ?? "false").toLowerCase();
    const { log } = this.#options;
    if (wish !== "true" && wish !== "try") {
      if (this.#state === "off") log.info("DPDK Disabled - Use other_config:dpdk-init to enable");
      if (this.#state === "off") this.#state = "told";
      return;
    }
    if (this.#state === "off" || this.#state === "told") this.#start(config);
  }

  #start(config: DpdkConfig): void {
    const { calls, log, cpu } = this.#options;
    const { args, complaints } = dpdkArguments(config, cpu());
    log.info("DPDK Enabled - initializing...");
    for (const { level, text } of complaints) log[level](text);
    log.info(`EAL ARGS: ${args.join(" ")}`);
    const error = -calls.dpdkStart(args);
    this.#drainLog();
    this.#state = error === 0 ? "started" : "failed";
    if (error === 0) this.#vhost = this.#vhostSettings(config);
    if (error === 0) log.info(`DPDK Enabled - initialized (${this.version})`);
    else if (error === errno.noEntry) {
      log.err("DPDK not supported in this copy of Sluice: it was built without libdpdk; install it and build again");
    } else log.err(`DPDK could not be initialized (${errnoWords(error)}); there are no ports of its types`);
  }

  #vhostSettings(config: DpdkConfig): VhostSettings {
    const { log, runDirectory, isDirectory } = this.#options;
    const below = config.get("vhost-sock-dir") ?? "";
    const iommu = isTrue(config, "vhost-iommu-support");
    const postcopy = isTrue(config, "vhost-postcopy-support");
    let socketDirectory = runDirectory;
    if (below.includes("..")) {
      log.err(
        `vhost-user sock directory request '${runDirectory}/${below}' has invalid characters '..' - using ${runDirectory} instead.`,
      );
    } else if (below !== "") {
      socketDirectory = `${runDirectory}/${below}`;
      if (!isDirectory(socketDirectory)) log.err(`vhost-user sock directory '${socketDirectory}' does not exist.`);
    }
    log.info(`IOMMU support for vhost-user-client ${iommu ? "enabled" : "disabled"}.`);
    log.info(`POSTCOPY support for vhost-user-client ${postcopy ? "enabled" : "disabled"}.`);
    return { socketDirectory, iommu, postcopy };
  }

  /** Says once that ports that make the socket themselves are of the past. */
  tellOldVhost(): void {
    if (!this.#toldOldVhost) {
      this.#options.log.warn(
        "dpdkvhostuser ports are considered deprecated;  please migrate to dpdkvhostuserclient ports.",
      );
    }
    this.#toldOldVhost = true;
  }

  /** Writes what DPDK has logged since into the log.  Its threads log at any time. */
  tellLog(): void {
    if (this.isStarted) this.#drainLog();
  }

  #drainLog(): void {
    for (const line of this.#options.calls.dpdkLog().split("\n")) if (line.trim() !== "") this.#options.log.info(line);
  }
}
