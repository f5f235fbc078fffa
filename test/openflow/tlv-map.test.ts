import { test } from "uvu";
import * as assert from "uvu/assert";
import { ByteWriter } from "../../ts/openflow/bytes.js";
import { abiMatch } from "../../ts/openflow/codec-match.js";
import {
  decodeMessage,
  encodeMessage,
  flowText,
  OpenFlowError,
  TlvMap,
  tlvCommand,
  withTlvMap,
} from "../../ts/openflow/index.js";
import { KeyMatch } from "../../ts/openflow/key-match.js";
import type { TlvMapping } from "../../ts/openflow/message.js";
import { decodeOxm, encodeOxm } from "../../ts/openflow/oxm.js";
import { formatMatch } from "../../ts/openflow/text-match.js";

const option = (index: number, length: number, optionType = index): TlvMapping => ({
  optionClass: 0xffff,
  optionType,
  length,
  index,
});
const add = (map: TlvMap, ...mappings: TlvMapping[]): TlvMap =>
  map.changed({ type: "nxt_tlv_table_mod", command: tlvCommand.add, mappings });
const remove = (map: TlvMap, ...mappings: TlvMapping[]): TlvMap =>
  map.changed({ type: "nxt_tlv_table_mod", command: tlvCommand.delete, mappings });
const refusedWith = (code: string) => (error: unknown) => error instanceof OpenFlowError && error.code === code;

test("an option has one field, a field one option, and all have 256 bytes together", () => {
  const map = add(TlvMap.empty, option(0, 4), option(1, 8));
  assert.throws(() => add(map, option(0, 4, 7)), refusedWith("NXTTMFC_ALREADY_MAPPED"));
  assert.throws(() => add(map, option(5, 4, 1)), refusedWith("NXTTMFC_DUP_ENTRY"));
  assert.throws(() => add(map, option(2, 124), option(3, 124)), refusedWith("NXTTMFC_TABLE_FULL"));
  assert.equal(map.entries().length, 2, "a refused change leaves the map");
});

test("room that is given back is used, in pieces if it must be", () => {
  const full = add(TlvMap.empty, option(0, 12), option(1, 124), option(2, 4), option(3, 112));
  const map = add(remove(full, option(2, 4)), option(2, 8));
  const places = map.entries().flatMap((entry) => entry.granules);
  assert.is(new Set(places).size, places.length, "no place is given twice");
  assert.is(places.length, 64);
});

test("a match on options goes to the wire and back; without a map it is refused", () => {
  const map = add(TlvMap.empty, option(0, 4), option(1, 0), option(9, 8));
  const wire = Uint8Array.of(
    ...[0, 1, 40 << 1, 4, 0, 0, 0, 0xb],
    ...[0, 1, (41 << 1) | 1, 0],
    ...[0, 1, (49 << 1) | 1, 16, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0xf],
  );
  withTlvMap(map, () => {
    const match = new KeyMatch();
    decodeOxm(match, wire, 0, wire.length);
    const out = new ByteWriter(64);
    encodeOxm(out, match, 4);
    assert.equal(out.finish(), wire);
    assert.is(formatMatch(abiMatch(match)), "tun_metadata0=0xb,tun_metadata1,tun_metadata9=0x5/0xf");
    assert.throws(() => decodeOxm(match, wire, 0, wire.length), refusedWith("OFPBMC_DUP_FIELD"));
  });
  assert.throws(() => decodeOxm(new KeyMatch(), wire, 0, wire.length), refusedWith("NXFMFC_INVALID_TLV_FIELD"));
  withTlvMap(remove(map, option(9, 8)), () =>
    assert.throws(() => decodeOxm(new KeyMatch(), wire, 0, wire.length), refusedWith("NXFMFC_INVALID_TLV_FIELD")),
  );
});

test("messages about the map come back as they went, and say what is wrong with them", () => {
  for (let version = 1; version <= 6; version++) {
    const mod = { type: "nxt_tlv_table_mod", command: 0, mappings: [option(3, 8)] } as const;
    const { version: _version, xid: _xid, ...back } = decodeMessage(encodeMessage(version, 1, mod));
    assert.equal(back, mod);
    const reply = { type: "nxt_tlv_table_reply", space: 256, fieldCount: 64, mappings: [option(63, 124)] } as const;
    const { version: _v, xid: _x, ...again } = decodeMessage(encodeMessage(version, 1, reply));
    assert.equal(again, reply);
    const wrong = (command: number, mapping: TlvMapping) => () =>
      decodeMessage(encodeMessage(version, 1, { ...mod, command, mappings: [mapping] }));
    assert.throws(wrong(3, option(0, 4)), refusedWith("NXTTMFC_BAD_COMMAND"));
    assert.throws(wrong(0, option(0, 5)), refusedWith("NXTTMFC_BAD_OPT_LEN"));
    assert.throws(wrong(0, option(0, 128)), refusedWith("NXTTMFC_BAD_OPT_LEN"));
    assert.throws(wrong(0, option(64, 4)), refusedWith("NXTTMFC_BAD_FIELD_IDX"));
  }
});

test("datapath flows name options as the packet had them", () => {
  const names = { numberOf: () => undefined, nameOf: () => undefined };
  const text =
    "tunnel(tun_id=0x0,src=1.1.1.1,dst=1.1.1.2,geneve({class=0xffff,type=0,len=4,0xb/0xf}{class=0x10,type=0x81,len=0}),flags(+key))";
  const match = flowText.parseDatapathMatch(`${text},in_port(1)`, names);
  const printed = flowText.datapathMatch(match, undefined, false);
  assert.match(printed, "geneve({class=0xffff,type=0,len=4,0xb/0xf}{class=0x10,type=0x81,len=0})");
  assert.throws(() => flowText.parseDatapathMatch("tunnel(geneve({class=0x1,type=1,len=3,0x1}))", names));
});

test.run();
