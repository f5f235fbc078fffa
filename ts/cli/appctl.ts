/** `sluice appctl`: what ovs-appctl does, for machines that do not have it. */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { below, directories, getopt, JsonStream, openSocketPath, systemErrorText } from "../daemon/index.js";
import { Failure } from "./failure.js";

const help = `sluice appctl, for querying and controlling the running switch
usage: sluice appctl [-t TARGET] [--format=text|json] COMMAND [ARG...]

Options:
  -t, --target=TARGET    pidfile name, or path of a control socket (default: ovs-vswitchd)
  -f, --format=FORMAT    text, or json for machines
  -T, --timeout=SECS     wait at most SECS seconds for a response
  -h, --help             this text

Examples:
  sluice appctl list-commands
  sluice appctl fdb/show br0
  sluice appctl --format=json memory/show
`;

const options = [
  { name: "target", short: "t", argument: "required" },
  { name: "format", short: "f", argument: "required" },
  { name: "timeout", short: "T", argument: "required" },
  { name: "help", short: "h", argument: "none" },
] as const;

/** Finds the control socket: a path is one; another word names a pidfile in the run directory. */
function socketOf(target: string): string {
  if (target.startsWith("/")) return target;
  const { run } = directories(process.env);
  const pidfile = join(run, `${target}.pid`);
  try {
    const pid = Number.parseInt(readFileSync(pidfile, "utf8"), 10);
    return below(run, `${target}.${pid}.ctl`);
  } catch (error) {
    throw new Failure(`cannot read pidfile "${pidfile}" (${systemErrorText(error)})`, 1);
  }
}

interface Answer {
  readonly result?: unknown;
  readonly error?: unknown;
}

/** Sends requests one after the other; resolves to the answers. */
export function exchange(path: string, requests: readonly (readonly [string, readonly string[]])[]): Promise<Answer[]> {
  return new Promise((resolve, reject) => {
    const answers: Answer[] = [];
    const stream = new JsonStream(1 << 28);
    const address = openSocketPath(path);
    const socket = connect({ path: address.path }, () => {
      address.close();
      for (const [id, [method, params]] of requests.entries()) socket.write(JSON.stringify({ id, method, params }));
    });
    socket.on("data", (bytes) => {
      for (const text of stream.push(bytes)) answers.push(JSON.parse(text) as Answer);
      if (answers.length < requests.length) return;
      socket.end();
      resolve(answers);
    });
    socket.on("error", (error) => reject(new Failure(`cannot connect to "${path}" (${systemErrorText(error)})`, 1)));
    socket.on("close", () => reject(new Failure("transaction error (End of file)", 1)));
  });
}

/** Resolves to ovs-appctl's exit status: 0, 1 when nobody answers, 2 when the daemon refuses. */
export async function runAppctl(args: readonly string[]): Promise<number> {
  let target = "ovs-vswitchd";
  let format = "text";
  const words: string[] = [];
  // Options end at the command: what follows is the command's.
  const end = commandIndex(args);
  for (const event of getopt(args.slice(0, end), options)) {
    if (event.kind === "error") return complain(event.text, 1);
    if (event.kind === "word") words.push(event.word);
    else if (event.name === "help") {
      process.stdout.write(help);
      return 0;
    } else if (event.name === "target") target = event.value ?? "";
    else if (event.name === "format") format = event.value ?? "";
    else setTimeout(() => process.exit(complain("timed out", 142)), Number(event.value) * 1000).unref();
  }
  const [command, ...rest] = [...words, ...args.slice(end)];
  if (command === undefined) return complain("at least one non-option argument is required (use --help for help)", 1);
  if (format !== "text" && format !== "json") return complain(`unknown format "${format}", use text or json`, 1);
  try {
    const requests: [string, string[]][] = [[command, rest]];
    if (format === "json") requests.unshift(["set-options", ["--format", "json"]]);
    const answers = await exchange(socketOf(target), requests);
    const failed = answers.find((answer) => answer.error !== undefined && answer.error !== null);
    if (failed !== undefined) {
      process.stderr.write(String(failed.error));
      return complain(`${target}: server returned an error`, 2);
    }
    const result = answers[answers.length - 1]?.result;
    process.stdout.write(typeof result === "string" ? result : `${JSON.stringify(result)}\n`);
    return 0;
  } catch (error) {
    if (error instanceof Failure) return complain(error.message, error.status);
    throw error;
  }
}

/** Where the command stands: the first word that is neither an option nor the value of one. */
function commandIndex(args: readonly string[]): number {
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (!word.startsWith("-")) return at;
    if (/^(-[tfT]|--(target|format|timeout))$/.test(word)) at++;
  }
  return args.length;
}

function complain(text: string, status: number): number {
  process.stderr.write(`sluice appctl: ${text}\n`);
  return status;
}
