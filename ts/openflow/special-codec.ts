import type { RecordAt } from "./action-record.js";
import type { ByteWriter } from "./bytes.js";
import type { ActionRow, WireForm } from "./tables/actions.js";

/** What a wire form with a shape of its own is: how it is read and written. */

type ActionsDecoder = (
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  version: number,
  out: ByteWriter,
) => void;
type ActionsEncoder = (bytes: Uint8Array, start: number, end: number, version: number, out: ByteWriter) => void;

interface CodecPart {
  readonly row: ActionRow;
  readonly form: WireForm;
  readonly opcode: number;
}

/** The action occupies [start, end), header included. */
export interface SpecialDecode {
  readonly codec: CodecPart;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  readonly end: number;
  readonly version: number;
  readonly out: ByteWriter;
  readonly decodeActions: ActionsDecoder;
}

export interface SpecialEncode {
  readonly codec: CodecPart;
  readonly record: RecordAt;
  readonly version: number;
  readonly out: ByteWriter;
  readonly encodeActions: ActionsEncoder;
}

export interface SpecialCodec {
  decode(context: SpecialDecode): void;
  /** False: this form cannot say the action. */
  encode(context: SpecialEncode): boolean;
}
