import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  addressFromUuid,
  bridgeAddress,
  datapathId,
  formatDatapathId,
  formatMac,
  parseMac,
} from "../../ts/bridge/bridge-address.js";
import type { Uuid } from "../../ts/ovsdb/index.js";

const uuid = "f970eeb7-2ed4-42f3-8000-000000000000" as Uuid;
const candidate = (name: string, mac: string, excluded = false) => ({ name, mac: parseMac(mac), excluded });

test("a bridge without ports takes its address from its row", () => {
  assert.is(formatMac(addressFromUuid(uuid)), "b6:ee:70:f9:f3:42");
  assert.is(formatMac(bridgeAddress(undefined, [], uuid).mac), "b6:ee:70:f9:f3:42");
});

test("the numerically lowest global unicast address wins", () => {
  const chosen = bridgeAddress(
    undefined,
    [
      candidate("p1", "00:00:00:00:00:09"),
      candidate("p2", "00:00:00:00:00:03"),
      candidate("p3", "02:00:00:00:00:01"),
      candidate("p4", "01:00:00:00:00:01"),
      candidate("p5", "00:00:00:00:00:00"),
      candidate("p6", "00:00:00:00:00:02", true),
    ],
    uuid,
  );
  assert.is(formatMac(chosen.mac), "00:00:00:00:00:03");
  assert.is(chosen.from, "p2");
});

test("hwaddr wins, and a multicast hwaddr is reported and ignored", () => {
  assert.is(
    formatMac(bridgeAddress("50:54:00:00:00:01", [candidate("p1", "00:00:00:00:00:09")], uuid).mac),
    "50:54:00:00:00:01",
  );
  const bad = bridgeAddress("01:00:00:00:00:01", [candidate("p1", "00:00:00:00:00:09")], uuid);
  assert.is(bad.bad, "01:00:00:00:00:01");
  assert.is(bad.from, "p1");
});

test("a datapath id is 16 digits or 0x, and never zero", () => {
  const mac = parseMac("50:54:00:00:00:01") ?? 0n;
  assert.is(formatDatapathId(datapathId("1122334455667788", mac)), "1122334455667788");
  assert.is(formatDatapathId(datapathId("0xabc", mac)), "0000000000000abc");
  for (const wrong of [
    undefined,
    "",
    "0",
    "abc",
    "11223344556677889",
    "0x0",
    "0000000000000000",
    "0x11223344556677889",
  ]) {
    assert.is(formatDatapathId(datapathId(wrong, mac)), "0000505400000001");
  }
});

test.run();
