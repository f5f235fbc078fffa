import fc from "fast-check";

/** Flows as text, at random: matches whose fields have what they need, and actions that every version can write. */

const octet = fc.integer({ min: 0, max: 255 });
const eth = fc
  .array(octet, { minLength: 6, maxLength: 6 })
  .map((bytes) => bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":"));
const ipv4 = fc.array(octet, { minLength: 4, maxLength: 4 }).map((bytes) => bytes.join("."));
const ipv6 = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((words) => words.map((word) => word.toString(16)).join(":"));
const port = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0x7fffffff });
const prefix = (address: fc.Arbitrary<string>, bits: number): fc.Arbitrary<string> =>
  fc.tuple(address, fc.integer({ min: 1, max: bits })).map(([text, length]) => `${text}/${length}`);

const l2 = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 65279 }).map((number) => `in_port=${number}`),
    eth.map((text) => `dl_src=${text}`),
    eth.map((text) => `dl_dst=${text}`),
    fc.integer({ min: 0, max: 4094 }).map((vid) => `dl_vlan=${vid}`),
    u32.map((value) => `reg3=${value}`),
    fc.tuple(u32, u32).map(([value, mask]) => `reg5=${value}/${mask}`),
    u32.map((value) => `metadata=${value}`),
    u32.map((value) => `tun_id=${value}`),
  ),
  { maxLength: 4 },
);
const l3 = fc.oneof(
  fc.constant([] as string[]),
  fc
    .tuple(
      fc.constantFrom("ip", "tcp", "udp", "sctp", "icmp"),
      fc.option(fc.oneof(ipv4, prefix(ipv4, 32))),
      fc.option(ipv4),
      fc.option(octet),
    )
    .map(([proto, src, dst, ttl]) => [
      proto,
      ...(src === null ? [] : [`nw_src=${src}`]),
      ...(dst === null ? [] : [`nw_dst=${dst}`]),
      ...(ttl === null ? [] : [`nw_ttl=${ttl}`]),
    ]),
  fc
    .tuple(fc.constantFrom("ipv6", "tcp6", "udp6", "icmp6"), fc.option(fc.oneof(ipv6, prefix(ipv6, 128))))
    .map(([proto, src]) => [proto, ...(src === null ? [] : [`ipv6_src=${src}`])]),
  fc.tuple(ipv4, eth).map(([spa, sha]) => ["arp", `arp_spa=${spa}`, `arp_sha=${sha}`]),
);
const l4 = fc
  .tuple(fc.constantFrom("tcp", "udp", "tcp6", "sctp6"), port, fc.option(port))
  .map(([proto, src, dst]) => [proto, `tp_src=${src}`, ...(dst === null ? [] : [`tp_dst=${dst}`])]);

const action = fc.oneof(
  fc.integer({ min: 1, max: 65279 }).map((number) => `output:${number}`),
  fc.constantFrom("NORMAL", "FLOOD", "IN_PORT", "LOCAL", "exit", "pop_queue"),
  port.map((length) => `CONTROLLER:${length}`),
  u32.map((value) => `load:0x${(value + 1).toString(16)}->NXM_NX_REG1[]`),
  fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }))
    .map(([ofs, bits]) => `move:NXM_NX_REG0[${ofs}..${ofs + bits + 1}]->NXM_NX_REG2[${ofs}..${ofs + bits + 1}]`),
  octet.map((table) => `resubmit(,${Math.min(table, 254)})`),
  fc.integer({ min: 1, max: 1000 }).map((number) => `resubmit:${number}`),
  u32.map((queue) => `set_queue:${queue}`),
  fc.constant("push:NXM_NX_REG0[]"),
  fc.constant("pop:NXM_NX_REG0[0..7]"),
  fc.constant("controller(reason=no_match,max_len=9,id=4)"),
  fc.constant("controller(userdata=01.02,pause)"),
  fc.constant("note:01.02.03.04.05.06"),
  fc.integer({ min: 1, max: 100 }).map((number) => `clone(output:${number})`),
);

export const randomMatch: fc.Arbitrary<string> = fc
  .tuple(l2, fc.oneof(l3, l4))
  .map(([low, high]) => [...new Map([...low, ...high].map((text) => [text.split("=")[0], text])).values()].join(","));
export const randomActions: fc.Arbitrary<string> = fc
  .array(action, { maxLength: 5 })
  .map((all) => (all.length === 0 ? "drop" : all.join(",")));
