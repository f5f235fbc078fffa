/** `npm start`, as the reader of the README runs it; the set-up before it is what built this test. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, sluice, until } from "./switch.js";

interface Demo {
  readonly child: ChildProcess;
  readonly text: () => string;
  readonly ended: () => boolean;
}

function startDemo(env: NodeJS.ProcessEnv = {}, uid?: number): Demo {
  const child = spawn(process.execPath, [sluice, "demo"], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let text = "";
  child.stdout?.on("data", (data: Buffer) => {
    text += data.toString();
  });
  child.stderr?.on("data", (data: Buffer) => {
    text += data.toString();
  });
  return { child, text: () => text, ended: () => child.exitCode !== null || child.signalCode !== null };
}

const stays = (demo: Demo) => (): boolean => {
  if (demo.ended()) throw new Error(`the demonstration ended: ${demo.text()}`);
  return demo.text().includes("Ctrl-C");
};

/** Only names like those that the demonstration makes: others on the machine come and go. */
const ours = (names: readonly (string | undefined)[]): string =>
  names
    .filter((name) => name?.startsWith("sluice-"))
    .sort()
    .join(" ");
const devices = (): string =>
  ours(
    spawnSync("ip", ["-br", "link"], { encoding: "utf8" })
      .stdout.split("\n")
      .map((line) => line.split(/[\s@]/)[0]),
  );
const namespaces = (): string =>
  ours(
    spawnSync("ip", ["netns", "list"], { encoding: "utf8" })
      .stdout.split("\n")
      .map((line) => line.split(" ")[0]),
  );

const asRoot = missing({ root: true, tools: ["ip", "ping"] });
if (asRoot !== undefined) console.log(`skip: start as root: ${asRoot}`);

(asRoot === undefined ? test : test.skip)(
  "as root it connects hosts, obeys its flow table, and leaves nothing behind",
  async () => {
    const before = { devices: devices(), namespaces: namespaces() };
    const demo = startDemo();
    try {
      await until("it says how to stop", 60, stays(demo));
      assert.match(demo.text(), /sluice-h1 -> sluice-h2 ok, sluice-h3 ok/);
      assert.match(demo.text(), /sluice-h1 -> sluice-h2 ok, sluice-h3 no answer/);
      assert.match(demo.text(), /n_packets=[1-9]\d*.*actions=drop/);
    } finally {
      // Twice, as Ctrl-C under npm does.
      demo.child.kill("SIGINT");
      demo.child.kill("SIGINT");
      await until("it has ended", 20, demo.ended);
    }
    assert.equal({ devices: devices(), namespaces: namespaces() }, before);
  },
);

(asRoot === undefined ? test : test.skip)("after kill -9 it starts again, and then leaves nothing behind", async () => {
  const before = { devices: devices(), namespaces: namespaces() };
  const killed = startDemo();
  await until("it says how to stop", 60, stays(killed));
  killed.child.kill("SIGKILL");
  await until("it is gone", 5, killed.ended);
  const demo = startDemo();
  try {
    await until("it says how to stop", 60, stays(demo));
    assert.match(demo.text(), /earlier demonstration/);
    assert.match(demo.text(), /sluice-h1 -> sluice-h2 ok, sluice-h3 ok/);
  } finally {
    // Twice, as Ctrl-C under npm does.
    demo.child.kill("SIGINT");
    demo.child.kill("SIGINT");
    await until("it has ended", 20, demo.ended);
  }
  assert.equal({ devices: devices(), namespaces: namespaces() }, before);
});

test("without root it does the same on memory and pcap ports", async () => {
  const demo = startDemo({ SLUICE_DEMO_MEMORY: "1" });
  try {
    await until("it says how to stop", 60, stays(demo));
    assert.match(demo.text(), /h1 -> h2 ok, h3 ok/);
    assert.match(demo.text(), /h1 -> h2 ok, h3 no answer/);
    assert.match(demo.text(), /n_packets=[1-9]\d*.*actions=drop/);
  } finally {
    // Twice, as Ctrl-C under npm does.
    demo.child.kill("SIGINT");
    demo.child.kill("SIGINT");
    await until("it has ended", 20, demo.ended);
  }
});

test.run();
