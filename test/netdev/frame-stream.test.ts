import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FrameStream } from "../../ts/netdev/frame-stream.js";

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 500 && !condition(); turn++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition());
}

test("two devices joined by a stream get each other's frames whole, whoever comes first", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-stream-"));
  const path = join(directory, "p.sock");
  const got: Record<"a" | "b", number[]> = { a: [], b: [] };
  const active = new FrameStream(`unix:${path}`, (frame) => got.a.push(frame.length));
  assert.not(active.connected);
  const passive = new FrameStream(`punix:${path}`, (frame) => got.b.push(frame.length));
  try {
    await until(() => active.connected && passive.connected);
    for (const size of [14, 1, 9000]) active.send(new Uint8Array(size));
    passive.send(new Uint8Array(60));
    await until(() => got.b.length === 3 && got.a.length === 1);
    assert.equal(got, { a: [60], b: [14, 1, 9000] });
  } finally {
    active.close();
    passive.close();
    rmSync(directory, { recursive: true });
  }
});

test("what is no address is refused", () => {
  assert.throws(() => new FrameStream("nonsense", () => undefined), /nonsense is not the address of a stream/);
});

test.run();
