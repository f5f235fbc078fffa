/** The `sluice` command: one row a subcommand. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { packageRoot, preloadSwitch, startLiveSwitch, vswitchd } from "../daemon/index.js";

/** A subcommand reads its arguments itself, because each follows the program that it stands in for, and its modules are
 *  loaded when it is run. */
interface Row {
  readonly name: string;
  readonly about: string;
  readonly run: (args: readonly string[]) => Promise<number>;
}

const rows: readonly Row[] = [
  {
    name: "vswitchd",
    about: "run the switch; takes the options of ovs-vswitchd(8)",
    run: (args) =>
      vswitchd({
        args,
        respawn: {
          command: process.execPath,
          args: [...process.execArgv, process.argv[1] ?? "", "vswitchd", ...args],
        },
        startSwitch: startLiveSwitch,
        preload: preloadSwitch,
      }),
  },
  {
    name: "ctl",
    about: "start, stop and restart the switch without losing its flows, as ovs-ctl(8) does",
    run: async (args) => (await import("./ctl.js")).runCtl(args),
  },
  {
    name: "demo",
    about: "show a switch with three hosts and a flow table; Ctrl-C removes it",
    run: async () => (await import("./demo.js")).runDemo(),
  },
  {
    name: "appctl",
    about: "ask or tell a running daemon, as ovs-appctl(8) does",
    run: async (args) => (await import("./appctl.js")).runAppctl(args),
  },
  {
    name: "ofctl",
    about: "look at and change the flows, as ovs-ofctl(8) does",
    run: async (args) => (await import("./ofctl.js")).runOfctl(args),
  },
  {
    name: "vsctl",
    about: "configure the switch, as ovs-vsctl(8) does",
    run: async (args) => (await import("./vsctl.js")).runVsctl(args),
  },
];

const examples = `
Examples:
  sluice demo                                       a switch with three hosts, to look at
  sluice vswitchd --pidfile --detach --log-file     start the switch, with its own database
  sluice ctl restart                                a new process, the same flows
  sluice vswitchd --help                            its options
  sluice vsctl add-br br0 -- add-port br0 eth1      a bridge with a port
  sluice ofctl dump-flows br0                       its flows
  sluice appctl list-commands                       what the running switch understands
`;

/** Resolves to the exit status. */
export async function runSluice(args: readonly string[]): Promise<number> {
  const own = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string };
  let status = 0;
  const program = new Command("sluice")
    .description("An Open vSwitch-compatible virtual switch for Node.")
    .version(own.version, "-V, --version")
    .enablePositionalOptions()
    .addHelpText("after", examples)
    .showHelpAfterError("(run `sluice --help` for what there is)");
  for (const row of rows) {
    program
      .command(row.name)
      .description(row.about)
      .argument("[args...]")
      .passThroughOptions()
      .allowUnknownOption()
      .helpOption(false)
      .action(async (words: readonly string[]) => {
        status = await row.run(words);
      });
  }
  await program.parseAsync([...args], { from: "user" });
  return status;
}
