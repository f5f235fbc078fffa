/** `sluice vsctl`: what people use most of ovs-vsctl, for machines that do not have it. */
import { directories } from "../daemon/index.js";
import { DatabaseSession } from "./database-session.js";
import { Failure } from "./failure.js";
import { type VsctlRow, vsctlRows } from "./vsctl-commands.js";

function help(): string {
  const commands = vsctlRows.map((row) => `  ${row.name.padEnd(12)} ${row.usage}`.trimEnd()).join("\n");
  return `sluice vsctl, for configuring the running switch
usage: sluice vsctl [OPTIONS] COMMAND [ARG...] [-- [OPTIONS] COMMAND [ARG...]]...

Commands:
${commands}

Options:
  --db=DATABASE     where the database is (default: unix:${directories(process.env).run}/db.sock)
  --no-wait         do not wait for the switch to take the change
  -t, --timeout=S   give up after S seconds
  --may-exist       (add-br, add-port) nothing to do is no error
  --if-exists       (del-br, del-port, get) nothing to do is no error
  --columns=A,B     (list) only these columns
  --json            (list) for machines

Examples:
  sluice vsctl add-br br0 -- add-port br0 eth1
  sluice vsctl set port eth1 tag=10
  sluice vsctl --columns=name,ofport list interface
`;
}

interface Globals {
  db: string;
  wait: boolean;
  timeout: number;
  json: boolean;
}

interface Invocation {
  readonly row: VsctlRow;
  readonly args: readonly string[];
  readonly options: ReadonlyMap<string, string | undefined>;
}

/** Commands are separated by `--`; options stand before the word of theirs. */
function split(args: readonly string[], globals: Globals): Invocation[] | "help" {
  const groups: string[][] = [[]];
  for (const arg of args) {
    if (arg === "--") groups.push([]);
    else groups[groups.length - 1]!.push(arg);
  }
  const invocations: Invocation[] = [];
  for (const [index, group] of groups.entries()) {
    const options = new Map<string, string | undefined>();
    let at = 0;
    for (; at < group.length && group[at]!.startsWith("-"); at++) {
      const [, name = "", value] = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(group[at]!) ?? [];
      if (name === "help" || name === "h") return "help";
      if (index === 0 && takeGlobal(globals, name, value, group[at + 1])) {
        if (value === undefined && (name === "t" || name === "timeout" || name === "db")) at++;
      } else options.set(name, value);
    }
    const word = group[at];
    if (word === undefined) {
      if (index === 0 && groups.length > 1) continue;
      throw new Failure("missing command name (use --help for help)");
    }
    invocations.push(checked(word, group.slice(at + 1), options));
  }
  return invocations;
}

function takeGlobal(globals: Globals, name: string, value: string | undefined, next: string | undefined): boolean {
  if (name === "db") globals.db = value ?? next ?? "";
  else if (name === "no-wait") globals.wait = false;
  else if (name === "t" || name === "timeout") globals.timeout = Number(value ?? next);
  else if (name === "json") globals.json = true;
  else return false;
  return true;
}

function checked(word: string, args: readonly string[], options: Invocation["options"]): Invocation {
  const row = vsctlRows.find((candidate) => candidate.name === word);
  if (row === undefined) throw new Failure(`unknown command '${word}'; use --help for help`);
  for (const name of options.keys()) {
    if (!vsctlRows.some((candidate) => candidate.options.includes(name)))
      throw new Failure(`unrecognized option '--${name}'`);
    if (!row.options.includes(name)) throw new Failure(`'${word}' command has no '--${name}' option`);
  }
  if (args.length < row.minArgs) throw new Failure(`'${word}' command requires at least ${row.minArgs} arguments`);
  if (args.length > row.maxArgs) throw new Failure(`'${word}' command takes at most ${row.maxArgs} arguments`);
  return { row, args, options };
}

/** What the switch could not set up of what this command made. */
function complaints(database: DatabaseSession, made: readonly string[]): string {
  let text = "";
  for (const name of made) {
    const iface = database.table("Interface").find((row) => database.get(row, "name").keys[0] === name);
    if (iface === undefined) continue;
    const ofport = database.get(iface, "ofport").keys[0];
    if (ofport !== undefined && ofport !== -1) continue;
    const error = database.get(iface, "error").keys[0];
    const why = error === undefined ? "" : `: ${error}`;
    text += `sluice vsctl: Error detected while setting up '${name}'${why}.  See ovs-vswitchd log for details.\n`;
  }
  return text;
}

/** Resolves to the exit status. */
export async function runVsctl(args: readonly string[]): Promise<number> {
  const globals: Globals = { db: `unix:${directories(process.env).run}/db.sock`, wait: true, timeout: 0, json: false };
  let database: DatabaseSession | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const invocations = split(args, globals);
    if (invocations === "help") {
      process.stdout.write(help());
      return 0;
    }
    if (globals.timeout > 0) timer = setTimeout(() => process.exit(142), globals.timeout * 1000);
    database = await DatabaseSession.open(globals.db);
    let output = "";
    let status = 0;
    for (const { row, args: words, options } of invocations) {
      const result = row.run({ database, args: words, options, json: globals.json });
      if (typeof result === "number") status = result;
      else output += result;
    }
    const made = database
      .table("Interface")
      .filter((row) => row.isNew)
      .map((row) => String(row.columns.get("name")?.keys[0]));
    const nextCfg = await database.commit(`sluice vsctl ${args.join(" ")}`);
    process.stdout.write(output);
    if (nextCfg !== undefined && globals.wait) {
      await database.settle(nextCfg);
      process.stderr.write(complaints(database, made));
    }
    return status;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    process.stderr.write(`sluice vsctl: ${error.message}\n`);
    return error.status;
  } finally {
    clearTimeout(timer);
    database?.close();
  }
}
