import { type ErrorName, errorWire } from "./tables/errors.js";

/** The peer sent something that OpenFlow answers with an error message.  `code` is the name of the error's row. */
export class OpenFlowError extends Error {
  readonly code: ErrorName;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorName, sentence: string, details: Readonly<Record<string, unknown>> = {}) {
    super(sentence);
    this.name = "OpenFlowError";
    this.code = code;
    this.details = details;
  }

  /** Type and code on the wire of that version, and the vendor that owns them (0 for the standard's own). */
  wire(version: number): { vendor: number; type: number; code: number } {
    const form = errorWire(this.code, version) ?? errorWire("NXBRC_UNENCODABLE_ERROR", version);
    if (form === undefined) throw new Error(`OpenFlow version ${version} has no form for ${this.code}`);
    return { vendor: form.vendor, type: form.type, code: form.code };
  }
}

/** The user wrote a flow, match or action that cannot be read.  `message` is what ovs-ofctl prints after its name. */
export class FlowSyntaxError extends Error {
  readonly code = "FLOW_SYNTAX";
  readonly details: Readonly<Record<string, unknown>>;

  constructor(sentence: string, details: Readonly<Record<string, unknown>> = {}) {
    super(sentence);
    this.name = "FlowSyntaxError";
    this.details = details;
  }
}
