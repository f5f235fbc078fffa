import { test } from "uvu";
import * as assert from "uvu/assert";
import { askedInVain } from "../../ts/bridge/unused-settings.js";

const none = { Open_vSwitch: [], Bridge: [], Interface: [] };

test("a setting without effect is told with its value, one at its default is not", () => {
  const asked = askedInVain({
    ...none,
    Open_vSwitch: [
      new Map([
        ["hw-offload", "true"],
        ["per-port-memory", "true"],
        ["flow-limit", "10"],
      ]),
    ],
    Interface: [new Map(), new Map([["emc-enable", "false"]])],
  });
  assert.equal(
    asked.map(({ setting, value }) => [setting.table, setting.key, value]),
    [
      ["Open_vSwitch", "hw-offload", "true"],
      ["Interface", "emc-enable", "false"],
    ],
  );
});

test("nothing is told of a database that asks for nothing", () => {
  assert.equal(askedInVain(none), []);
});

test.run();
