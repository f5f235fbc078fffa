import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const skipped = new Set(["node_modules", "build", "dist", ".git", "generated", "prebuilds"]);

function walk(directory: string, extension: RegExp): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return walk(path, extension);
    return extension.test(entry.name) ? [path] : [];
  });
}

const name = (path: string): string => relative(root, path);
const typescript = ["ts", "test", "tools", "bench"].flatMap((folder) => walk(join(root, folder), /\.ts$/));
const native = walk(join(root, "native"), /\.(c|h|cc)$/);
const generatedHeaders = ["native/include/sluice/records.h", "native/include/sluice/flow_key.h"];

test("no file is longer than 900 lines", () => {
  const long = [...typescript, ...native]
    .filter((path) => !generatedHeaders.includes(name(path)))
    .filter((path) => readFileSync(path, "utf8").split("\n").length > 900)
    .map(name);
  assert.equal(long, []);
});

test("no file name is a grab-bag", () => {
  const bags = /(^|[/_-])(utils?|helpers?|manager|common|misc)([._-]|$)/;
  assert.equal(
    [...typescript, ...native].map(name).filter((path) => bags.test(path)),
    [],
  );
});

test("no mark of unfinished work is left behind", () => {
  const mark = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`);
  const marked = [...typescript, ...native].filter((path) => mark.test(readFileSync(path, "utf8"))).map(name);
  assert.equal(marked, []);
});

test("every Markdown page has exactly one title", () => {
  const pages = [join(root, "README.md"), join(root, "CONTRIBUTING.md"), ...walk(join(root, "docs"), /\.md$/)];
  const wrong = pages.filter((page) => {
    const text = readFileSync(page, "utf8").replace(/^```[\s\S]*?^```/gm, "");
    return (text.match(/^# /gm) ?? []).length !== 1;
  });
  assert.equal(wrong.map(name), []);
});

test("links between pages lead somewhere", () => {
  const pages = [join(root, "README.md"), join(root, "CONTRIBUTING.md"), ...walk(join(root, "docs"), /\.md$/)];
  const broken = pages.flatMap((page) =>
    [...readFileSync(page, "utf8").matchAll(/\]\(([^)#:\s]+)(#[^)]*)?\)/g)]
      .filter((match) => !existsSync(join(dirname(page), match[1] ?? "")))
      .map((match) => `${name(page)}: ${match[1]}`),
  );
  assert.equal(broken, []);
});

test("generated files are what the rows say", () => {
  const result = spawnSync(process.execPath, [join(root, "dist", "tools", "generate.js"), "--check"], {
    encoding: "utf8",
  });
  assert.is(result.stdout, "");
  assert.is(result.status, 0);
});

test("formatter and linter are content", () => {
  const result = spawnSync(
    join(root, "node_modules", ".bin", "biome"),
    ["check", ...["ts", "test", "tools", "bench"].filter((folder) => existsSync(join(root, folder)))],
    { cwd: root, encoding: "utf8" },
  );
  assert.is(result.status, 0, `${result.stdout}${result.stderr}`.slice(-4000));
});

const hasClangFormat = spawnSync("clang-format", ["--version"]).status === 0;
if (!hasClangFormat) console.log("skip: format of C: clang-format is not installed");

(hasClangFormat ? test : test.skip)("C is laid out as .clang-format says", () => {
  const files = native.filter((path) => !generatedHeaders.includes(name(path)));
  const result = spawnSync("clang-format", ["--dry-run", "-Werror", ...files], { cwd: root, encoding: "utf8" });
  assert.is(result.status, 0, result.stderr.slice(0, 4000));
});

test.run();
