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

/** The datagrams as a capture, each in Ethernet, IPv4 and UDP to `port`. */
function capture(datagrams: readonly Buffer[], port: number): Buffer {
  const parts = [Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex")];
  for (const datagram of datagrams) {
    const frame = Buffer.alloc(42 + datagram.length);
    frame.writeUInt16BE(0x0800, 12);
    frame.write("45000000000000004011", 14, "hex");
    frame.writeUInt16BE(28 + datagram.length, 16);
    frame.write("7f0000017f000001", 26, "hex");
    frame.writeUInt16BE(40000, 34);
    frame.writeUInt16BE(port, 36);
    frame.writeUInt16BE(8 + datagram.length, 38);
    datagram.copy(frame, 42);
    const head = Buffer.alloc(16);
    head.writeUInt32LE(frame.length, 8);
    head.writeUInt32LE(frame.length, 12);
    parts.push(head, frame);
  }
  return Buffer.concat(parts);
}

/** What tshark prints of datagrams to `port` in `protocol`. */
export function decode(datagrams: readonly Buffer[], port: number, protocol: string, ...options: string[]): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-collector-"));
  try {
    const file = join(directory, "datagrams.pcap");
    writeFileSync(file, capture(datagrams, port));
    const decoded = spawnSync("tshark", ["-r", file, "-d", `udp.port==${port},${protocol}`, ...options], {
      encoding: "utf8",
    });
    assert.is(decoded.status, 0, decoded.stderr);
    return decoded.stdout;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
