import { test } from "uvu";
import * as assert from "uvu/assert";
import { askTc, BatchBuilder, Datapath } from "../../ts/datapath/index.js";

/** What is handed on to the kernel, and what never gets there. */

const einval = 22;

function message(type: number, size = 36, says = size): Uint8Array {
  const bytes = new Uint8Array(size);
  if (size < 6) return bytes;
  const view = new DataView(bytes.buffer);
  view.setUint32(0, says, true);
  view.setUint16(4, type, true);
  return bytes;
}

test("only whole messages about queueing go to the kernel, and what it refuses is told as it says it", () => {
  const datapath = new Datapath();
  try {
    const refused = [
      message(36, 0),
      message(36, 35),
      message(36, 36, 40),
      message(36, 40, 36),
      message(16),
      message(47),
    ];
    for (const bytes of refused) {
      assert.is(askTc(datapath, bytes), einval);
      assert.is(new BatchBuilder().tcChange(bytes).submit(datapath)[0]?.systemError, einval);
    }
    const ask = message(38);
    // A request with an acknowledgement, about a device that is not there.
    new DataView(ask.buffer).setUint16(6, 5, true);
    new DataView(ask.buffer).setInt32(20, 0x7fffffff, true);
    const answer = askTc(datapath, ask);
    assert.ok(typeof answer === "number" && answer > 0 && answer !== einval, `${String(answer)}`);
  } finally {
    datapath.dispose();
  }
});

test.run();
