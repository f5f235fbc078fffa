/** Runs the tests: every compiled test file in a process of its own, then the native tests.  Prints what failed with
 *  its output, and last the line `N passed, N failed, N skipped`.
 *
 *  Arguments are words: only files whose path contains one of them are run.  `native` names the native tests. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const fileTimeoutMs = 300_000;
const nativeTimeoutMs = 900_000;
/** For each libFuzzer target in continuous integration; `tools/native-test.sh --fuzz 600` is for longer ones. */
const fuzzSeconds = 5;
/** A test file that has told its outcome and does not end by itself (a child of its own still runs) is ended. */
const lingerMs = 20_000;
/** Rooms whose tests make devices, namespaces or load the machine: they run one after the other, after the rest. */
const alone = ["system", "datapath"];
/** But those of them that only exchange messages with daemons of test devices. */
const messagesOnly = new RegExp(
  `^system/(${[
    ...["ofctl", "ofctl-commands", "ofctl-flows", "ofctl-monitor", "ofctl-options", "osken-rest", "openflow-errors"],
    ...["groups", "meters", "encap", "trace", "bundle-order", "controller-states", "testcontroller", "continuations"],
    ...["managers", "database", "exporters", "netflow", "translation-log", "bad-input", "standby", "tls"],
    ...["trouble", "tunnel-commands"],
  ].join("|")})\\.test\\.js$`,
);

interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
  readonly seconds: number;
}

function testFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return testFiles(path);
      return entry.name.endsWith(".test.js") ? [path] : [];
    })
    .sort();
}

function run(
  name: string,
  command: string,
  args: readonly string[],
  timeoutMs: number,
  count: (text: string, code: number) => Omit<Outcome, "name" | "output" | "seconds">,
): Promise<Outcome> {
  const started = Date.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let output = "";
    const end = (why: string): void => {
      output += `\n${why}\n`;
      try {
        process.kill(-(child.pid ?? 0), "SIGKILL");
      } catch {
        child.kill("SIGKILL");
      }
    };
    let linger: NodeJS.Timeout | undefined;
    const keep = (data: Buffer): void => {
      output = (output + data.toString()).slice(-200_000);
      if (/^ {2}Duration:/m.test(output))
        linger ??= setTimeout(() => end("note: had to be ended after its tests"), lingerMs);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer = setTimeout(() => end(`timed out after ${timeoutMs / 1000} s`), timeoutMs);
    child.on("close", (code) => {
      clearTimeout(timer);
      clearTimeout(linger);
      resolve({ name, output, seconds: (Date.now() - started) / 1000, ...count(output, code ?? 1) });
    });
  });
}

/** uvu ends with `Total:`, `Passed:` and `Skipped:` lines; a file that printed none has failed as a whole. */
function countUvu(text: string, code: number): { passed: number; failed: number; skipped: number } {
  const number = (label: string): number => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(text)?.[1] ?? 0);
  const total = number("Total");
  const passed = number("Passed");
  const failed = total - passed;
  const unended = failed === 0 && code !== 0 && !/^note: had to be ended/m.test(text);
  return {
    passed,
    failed: unended || (total === 0 && number("Skipped") === 0) ? Math.max(failed, 1) : failed,
    skipped: number("Skipped"),
  };
}

function countNative(text: string, code: number): { passed: number; failed: number; skipped: number } {
  const passed = (text.match(/^ok - /gm) ?? []).length;
  const failed = (text.match(/^not ok - /gm) ?? []).length;
  return { passed, failed: failed === 0 && code !== 0 ? 1 : failed, skipped: 0 };
}

function report(outcome: Outcome): void {
  const { name, passed, failed, skipped, seconds } = outcome;
  const mark = failed > 0 ? "FAIL" : "ok  ";
  console.log(
    `${mark} ${name}: ${passed} passed${failed > 0 ? `, ${failed} failed` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""} (${seconds.toFixed(1)} s)`,
  );
  if (failed > 0) console.log(outcome.output.replace(/^/gm, "     "));
  for (const line of outcome.output.match(/^(?:skip|note): .*$/gm) ?? []) console.log(`     ${line}`);
}

const words = process.argv.slice(2);
const wanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
const files = testFiles(join(root, "dist", "test")).filter((file) => wanted(relative(join(root, "dist"), file)));
const isAlone = (file: string): boolean => {
  const name = relative(join(root, "dist", "test"), file);
  return alone.includes(name.split("/")[0] ?? "") && !messagesOnly.test(name);
};
const together = files.filter((file) => !isAlone(file));
const apart = files.filter(isAlone);
const outcomes: Outcome[] = [];

async function runFile(file: string): Promise<void> {
  const outcome = await run(relative(join(root, "dist"), file), process.execPath, [file], fileTimeoutMs, countUvu);
  outcomes.push(outcome);
  report(outcome);
}

const queue = [...together];
await Promise.all(
  [0, 1].map(async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file);
  }),
);
/** The native tests, then the fuzz targets; they are built and run at the lowest priority, beside tests that mostly wait. */
async function runNative(name: string, args: readonly string[]): Promise<void> {
  const words = ["-n", "19", "sh", "tools/native-test.sh", ...args];
  const outcome = await run(name, "nice", words, nativeTimeoutMs, countNative);
  outcomes.push(outcome);
  report(outcome);
}

async function runAllNative(): Promise<void> {
  if (wanted("native")) await runNative("native", []);
  if (wanted("fuzz") && (process.env.CI !== undefined || words.length > 0))
    await runNative("fuzz", ["--fuzz", String(fuzzSeconds)]);
}

async function runApart(): Promise<void> {
  for (const file of apart) await runFile(file);
}

await Promise.all([runApart(), runAllNative()]);

const sum = (key: "passed" | "failed" | "skipped"): number =>
  outcomes.reduce((total, outcome) => total + outcome[key], 0);
const skipped = sum("skipped");
console.log(`${sum("passed")} passed, ${sum("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = sum("failed") > 0 || outcomes.length === 0 ? 1 : 0;
