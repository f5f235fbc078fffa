/** A collector of datagrams, and what tshark reads in them. */
import { spawnSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";

export interface Collector {
  readonly port: number;
  readonly datagrams: Buffer[];
  close(): void;
}

export async function collector(): Promise<Collector> {
  const socket: Socket = createSocket("udp4");
  const datagrams: Buffer[] = [];
  socket.on("message", (message) => datagrams.push(message));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { port: (socket.address() as AddressInfo).port, datagrams, close: () => socket.close() };
}

const linkEthernet = 1;
/** Whatever whoever reads it is told. */
const linkUser = 147;

/** A capture file. */
function capture(linkType: number, frames: readonly Buffer[]): Buffer {
  const file = Buffer.from("d4c3b2a1020004000000000000000000ffff000000000000", "hex");
  file.writeUInt32LE(linkType, 20);
  const parts = frames.flatMap((frame) => {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(frame.length, 8);
    head.writeUInt32LE(frame.length, 12);
    return [head, frame];
  });
  return Buffer.concat([file, ...parts]);
}

/** In Ethernet, IPv4 and UDP to `port`. */
function framed(datagram: Buffer, port: number): Buffer {
  const frame = Buffer.alloc(42 + datagram.length);
  frame.writeUInt16BE(0x0800, 12);
  frame.write("45000000000000004011", 14, "hex");
  frame.writeUInt16BE(28 + datagram.length, 16);
  frame.write("7f0000017f000001", 26, "hex");
  frame.writeUInt16BE(40000, 34);
  frame.writeUInt16BE(port, 36);
  frame.writeUInt16BE(8 + datagram.length, 38);
  datagram.copy(frame, 42);
  return frame;
}

function tshark(file: Buffer, options: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-collector-"));
  try {
    const path = join(directory, "frames.pcap");
    writeFileSync(path, file);
    const decoded = spawnSync("tshark", ["-r", path, ...options], { encoding: "utf8", maxBuffer: 1 << 28 });
    assert.is(decoded.status, 0, decoded.stderr);
    return decoded.stdout;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What tshark prints of datagrams to `port` in `protocol`. */
export function decode(datagrams: readonly Buffer[], port: number, protocol: string, ...options: string[]): string {
  const frames = datagrams.map((datagram) => framed(datagram, port));
  return tshark(capture(linkEthernet, frames), ["-d", `udp.port==${port},${protocol}`, ...options]);
}

/** What tshark prints of messages that `dissector` reads. */
export function decodeMessages(messages: readonly Buffer[], dissector: string): string {
  const reading = `uat:user_dlts:"User 0 (DLT=147)","${dissector}","0","","0",""`;
  return tshark(capture(linkUser, messages), ["-o", reading, "-V", "-O", dissector]);
}
