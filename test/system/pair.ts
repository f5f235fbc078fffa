/** Sluice and the real Open vSwitch side by side: the same commands to both, and what they print compared. */
import { execFile } from "node:child_process";
import * as assert from "uvu/assert";
import { addDummyBridge, missing, type Switch, startOvs, startSluice } from "./switch.js";

export interface Pair {
  readonly ours: Switch;
  readonly theirs: Switch;
  readonly both: readonly [ours: Switch, theirs: Switch];
}

/** Why there is no Open vSwitch to compare with, or undefined. */
export const noOvs = missing({ tools: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl"] });

/** Runs `body` with both switches up, on dummy datapaths and with more options of the daemon, and stops both. */
export async function withPair(body: (pair: Pair) => Promise<void>, args: readonly string[] = []): Promise<void> {
  const both = await Promise.all([startSluice({ dummy: true, args }), startOvs({ dummy: true, args })]);
  try {
    await body({ ours: both[0], theirs: both[1], both });
  } finally {
    await Promise.all(both.map((under) => under.stop()));
  }
}

/** What a command printed and how it ended, without what differs from run to run. */
export function masked(text: string, under: Switch): string {
  return (
    text
      .replaceAll(under.directory, "DIR")
      .replace(/^\d{4}-\d\d-\d\dT[0-9:.]+Z\|\d+\|/gm, "TIME|")
      .replace(/xid=0x[0-9a-f]+/g, "xid=X")
      .replace(/duration=[0-9.]+s/g, "duration=D")
      .replace(/idle_age=\d+/g, "idle_age=A")
      // Shown only where it is another number of seconds than the duration.
      .replace(/, hard_age=\d+/g, "")
      .replace(/aa:55:aa:55:00:[0-9a-f]{2}/g, "aa:55:aa:55:00:XX")
  );
}

/** Runs a command; resolves with its masked output and exit status. */
export function say(under: Switch, words: readonly string[], input?: string): Promise<string> {
  const [tool = "", ...args] = words;
  return new Promise((resolve) => {
    const child = execFile(
      tool,
      args,
      { env: under.env, timeout: 20_000, maxBuffer: 1 << 28 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : (error.code ?? error.signal ?? "?");
        const lines = masked(stdout + stderr, under).trimEnd();
        resolve(
          `$ ${words.join(" ").replaceAll(under.directory, "DIR")}\n${lines}${lines === "" ? "" : "\n"}exit ${status}`,
        );
      },
    );
    // A tool that does not read its input may end before it is written.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input ?? "");
  });
}

/** Runs the commands in order in each switch. */
export async function transcripts(
  pair: Pair,
  commands: readonly (readonly string[] | string)[],
): Promise<{ ours: string[]; theirs: string[] }> {
  const run = async (under: Switch): Promise<string[]> => {
    const out: string[] = [];
    for (const command of commands) {
      const words = (typeof command === "string" ? command.split(" ") : command).map((word) =>
        word.replaceAll("DIR", under.directory),
      );
      out.push(await say(under, words));
    }
    return out;
  };
  const [ours, theirs] = await Promise.all(pair.both.map(run));
  return { ours: ours ?? [], theirs: theirs ?? [] };
}

/** Asserts that both print the same; `tidy` takes out what is known to differ.  All differences are told at once. */
export async function same(
  pair: Pair,
  commands: readonly (readonly string[] | string)[],
  tidy: (text: string) => string = (text) => text,
): Promise<void> {
  const { ours, theirs } = await transcripts(pair, commands);
  equal(ours.map(tidy), theirs.map(tidy));
}

/** Asserts that two lists of texts are equal, and shows every pair that is not. */
export function equal(ours: readonly string[], theirs: readonly string[]): void {
  const differing = theirs.flatMap((text, index) =>
    text === ours[index] ? [] : [`--- Open vSwitch\n${text}\n--- Sluice\n${ours[index] ?? "(nothing)"}`],
  );
  assert.is(differing.join("\n\n"), "");
  assert.is(ours.length, theirs.length);
}

/** A bridge br0 with dummy ports p1 to p`count`, numbered so.  `bridge` are more columns of it. */
export function addBridge(pair: Pair, count = 3, ...bridge: string[]): void {
  for (const under of pair.both) addDummyBridge(under, count, { bridge });
}
