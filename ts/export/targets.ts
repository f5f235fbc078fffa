/** A collector as a database row spells it. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** `10.0.0.1:6343`, `[::1]:6343`, or an address alone where there is a port that goes without saying.  Undefined: neither. */
export function parseTarget(text: string, defaultPort: number | undefined): Target | undefined {
  const parts = /^(?:\[([0-9a-fA-F:.%\w]+)\]|(\d+\.\d+\.\d+\.\d+))(?::(\d+))?$/.exec(text);
  const host = parts?.[1] ?? parts?.[2];
  const port = parts?.[3] === undefined ? defaultPort : Number(parts[3]);
  if (host === undefined || port === undefined || port < 1 || port > 65535) return undefined;
  if (!host.includes(":") && host.split(".").some((part) => Number(part) > 255)) return undefined;
  return { host, port };
}

/** The bytes of an IPv4 or IPv6 address; undefined for any other text. */
export function addressBytes(text: string): Uint8Array | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text)) {
    const parts = text.split(".").map(Number);
    return parts.every((part) => part <= 255) ? Uint8Array.from(parts) : undefined;
  }
  if (!/^[0-9a-fA-F:]*:[0-9a-fA-F:]*$/.test(text)) return undefined;
  const [head, tail, more] = text.split("::");
  if (more !== undefined) return undefined;
  const groups = (part: string | undefined): string[] => (part === undefined || part === "" ? [] : part.split(":"));
  const left = groups(head);
  const right = groups(tail);
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = [...left, ...Array.from({ length: missing }, () => "0"), ...right];
  if (all.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}
