import { abiMatch } from "./codec-match.js";
import { FlowSyntaxError } from "./error.js";
import { at, KeyMatch, plans } from "./key-match.js";
import type { AbiMatch } from "./message.js";
import { fieldByName, fieldId } from "./tables/fields.js";
import { keyMember } from "./tables/key.js";
import { applyField, applyProtocol, keyValues } from "./text-match.js";
import type { PortNames } from "./text-value.js";

const vlanEthertype = 0x8100;

/** A tag of which nobody said the type is an ordinary one, as packets have it. */
function fixTpid(match: KeyMatch): void {
  const { offset } = keyMember("vlan0_tpid");
  if (match.u16(at.vlanTci) !== 0 && match.u16(offset) === 0) match.setU16(offset, vlanEthertype, 0xffff);
}

/** A packet's flow as ofproto/trace takes it: each field once, and after what it needs. */
export function parseExactFlow(text: string, ports?: PortNames): AbiMatch {
  const match = new KeyMatch();
  for (const { key, value } of keyValues(text)) {
    const [type, proto] = [Math.max(match.ethType, 0), match.ipProto];
    if (applyProtocol(match, key)) {
      if (key === "eth") continue;
      if (type !== 0) throw new FlowSyntaxError(`${text}: Ethernet type set multiple times`);
      if (proto > 0 && match.ipProto !== proto)
        throw new FlowSyntaxError(`${text}: network protocol set multiple times`);
      continue;
    }
    const row = fieldByName(key);
    const plan = row === undefined ? undefined : plans[fieldId(row)];
    if (row === undefined || plan === undefined) throw new FlowSyntaxError(`${text}: unknown field ${key}`);
    if (!match.meets(row.prereq)) throw new FlowSyntaxError(`${text}: prerequisites not met for setting ${key}`);
    if (!key.startsWith("tun_metadata") && match.wireBytes(plan).some((byte) => byte !== 0))
      throw new FlowSyntaxError(`${text}: field ${key} set multiple times`);
    try {
      applyField(match, row, value ?? "", ports);
    } catch (error) {
      if (!(error instanceof FlowSyntaxError)) throw error;
      throw new FlowSyntaxError(`${text}: bad value for ${key} (${error.message})`);
    }
  }
  fixTpid(match);
  return abiMatch(match);
}
