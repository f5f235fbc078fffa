import { checkConsistency } from "./action-check.js";
import type { AbiActions, AbiMatch } from "./message.js";
import { formatDatapathActions } from "./odp-action.js";
import { formatDatapathKey, formatDatapathMatch, parseDatapathMatch } from "./odp-flow.js";
import { formatActions, parseActions } from "./text-action.js";
import { parseExactFlow } from "./text-exact-flow.js";
import { formatMatch, parseMatch } from "./text-match.js";
import { formatSubfield } from "./text-subfield.js";
import { hex, type PortNames } from "./text-value.js";

/** Flows as text in one object, for those that have it injected. */
export const flowText = {
  match: (match: AbiMatch, priority: number | undefined, names: PortNames | undefined): string =>
    formatMatch(match, priority, names),
  actions: (actions: AbiActions, names: PortNames | undefined): string => formatActions(actions, names),
  parseMatch: (text: string, names: PortNames): AbiMatch => parseMatch(text, names),
  parseFlow: (text: string, names: PortNames): AbiMatch => parseExactFlow(text, names),
  parseActions: (text: string, names: PortNames): AbiActions => parseActions(text, names),
  checkActions: (match: AbiMatch, actions: AbiActions): void => checkConsistency(match, actions),
  datapathMatch: (match: AbiMatch, names: PortNames | undefined, verbose: boolean, key?: AbiMatch): string =>
    formatDatapathMatch(match, names, verbose, key),
  datapathKey: (key: AbiMatch, names: PortNames | undefined): string => formatDatapathKey(key, names),
  datapathActions: (actions: Uint8Array, names: PortNames | undefined, flow?: AbiMatch): string =>
    formatDatapathActions(actions, names, flow),
  parseDatapathMatch: (text: string, names: PortNames): AbiMatch => parseDatapathMatch(text, names),
  subfield: (field: number, offset: number, bits: number): string => formatSubfield(field, offset, bits),
  value: (_field: number, _bits: number, value: bigint): string => hex(value),
} as const;
