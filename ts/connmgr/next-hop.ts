import { readFileSync } from "node:fs";

/** Where the host would send a packet for an IPv4 address, as the kernel's own tables say. */

export type NextHop =
  | { readonly found: true; readonly device: string; readonly ip: string; readonly mac: string | undefined }
  | { readonly found: false; readonly error: string };

/** Finds the next hop and, if the host knows it, its Ethernet address. */
export type FindNextHop = (ip: string) => NextHop;

/** Reads /proc/net/route and /proc/net/arp, or what is given in their place. */
export function findNextHop(ip: string, read: (path: string) => string = readText): NextHop {
  let routes: string;
  try {
    routes = read("/proc/net/route");
  } catch {
    return { found: false, error: "No such file or directory" };
  }
  const wanted = addressNumber(ip);
  for (const line of routes.split("\n").slice(1)) {
    const [device = "", destination = "", gateway = "", flags = "", , , , mask = ""] = line.split("\t");
    if (device === "" || (Number.parseInt(flags, 16) & 1) === 0) continue;
    if ((wanted & littleEndian(mask)) >>> 0 !== littleEndian(destination)) continue;
    const via = littleEndian(gateway);
    const hop = via === 0 ? ip : addressText(via);
    return { found: true, device, ip: hop, mac: neighbour(hop, device, read) };
  }
  return { found: false, error: "No such device or address" };
}

function neighbour(ip: string, device: string, read: (path: string) => string): string | undefined {
  let table: string;
  try {
    table = read("/proc/net/arp");
  } catch {
    return undefined;
  }
  const complete = 2;
  for (const line of table.split("\n").slice(1)) {
    const [address, , flags = "0", mac = "", , where] = line.trim().split(/\s+/);
    if (address !== ip || where !== device || (Number(flags) & complete) === 0) continue;
    return mac === "00:00:00:00:00:00" ? undefined : mac.toLowerCase();
  }
  return undefined;
}

/** The kernel prints addresses as numbers of this machine's byte order; all that we run on are little-endian. */
function littleEndian(hex: string): number {
  const value = Number.parseInt(hex, 16) >>> 0;
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

function addressNumber(ip: string): number {
  return ip.split(".").reduce((value, part) => (value * 256 + Number(part)) >>> 0, 0);
}

function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
}

function readText(path: string): string {
  return readFileSync(path, "utf8");
}
