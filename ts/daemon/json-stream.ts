/** Cuts a stream of bytes into JSON objects that follow each other without any framing.  It looks only at braces and
 *  strings, so a piece costs one pass however it arrives; parsing is left to JSON.parse. */
export class JsonStream {
  private parts: Uint8Array[] = [];
  private size = 0;
  private depth = 0;
  private inString = false;
  private escaped = false;

  /** `sizeMax`: bytes of one object; the sender of a larger one is not worth listening to. */
  constructor(private readonly sizeMax: number) {}

  /** Whether a part of an object is waiting for the rest. */
  get pending(): boolean {
    return this.size > 0;
  }

  /** Returns the texts of the objects that `bytes` completes.  Throws when it cannot become one. */
  push(bytes: Uint8Array): string[] {
    const texts: string[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.inString) {
        if (this.escaped) this.escaped = false;
        else if (byte === 0x5c) this.escaped = true;
        else if (byte === 0x22) this.inString = false;
      } else if (byte === 0x22 && this.depth > 0) {
        this.inString = true;
      } else if (byte === 0x7b || (byte === 0x5b && this.depth > 0)) {
        if (this.depth++ === 0) start = at;
      } else if ((byte === 0x7d || byte === 0x5d) && this.depth > 0) {
        if (--this.depth === 0) {
          texts.push(this.take(bytes.subarray(start, at + 1)));
          start = at + 1;
        }
      } else if (this.depth === 0 && byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
        throw new SyntaxError("A message is a JSON object.");
      }
    }
    if (this.depth > 0) {
      this.parts.push(bytes.slice(start));
      this.size += bytes.length - start;
      if (this.size > this.sizeMax) throw new SyntaxError(`A message is longer than ${this.sizeMax} bytes.`);
    }
    return texts;
  }

  private take(last: Uint8Array): string {
    if (this.size + last.length > this.sizeMax) {
      throw new SyntaxError(`A message is longer than ${this.sizeMax} bytes.`);
    }
    const text = Buffer.concat([...this.parts, last]).toString("utf8");
    this.parts = [];
    this.size = 0;
    return text;
  }
}
