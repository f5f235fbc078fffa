/** The ABI's commands and queries for devices: each a batch or a query of its own. */
import {
  abi, batchSize, command, error, linkInfoSize, linkQuerySize, linkSetSize, type LinkInfo, portCloseSize, type PortInfo, portInfoSize, portInjectSize,
  portOpenSize, portQuerySize, portSetSize, query, readLinkInfo, readPortInfo, resultSize, writeBatch, writeLinkQuery, writeLinkSet, writePortClose, writePortInject,
  writePortOpen, writePortQuery, writePortSet,
} from "../datapath/generated/records.js";
import { errno } from "./errno.js";

/** What devices need of the datapath; both are bytes of the ABI. */
export interface DeviceDatapath {
  /** Applies a batch; `results` gets 16 bytes for each command.  Returns 0 or an errno value. */
  submit(batch: Uint8Array, results: Uint8Array): number;
  /** Answers a query into `reply`.  Returns the bytes used, or a negated errno value. */
  query(query: Uint8Array, reply: Uint8Array): number;
}

const pad8 = (size: number): number => (size + 7) & ~7;
const utf8 = new TextEncoder();

/** `key=value` strings, each ended by a zero byte. */
function encodeConfig(config: ReadonlyMap<string, string>): Uint8Array {
  return utf8.encode([...config].map(([key, value]) => `${key}=${value}\0`).join(""));
}

/** Submits one command; returns 0 or an errno value. */
function call(datapath: DeviceDatapath, fixed: number, write: (view: DataView, at: number, size: number) => void, ...tails: Uint8Array[]): number {
  const size = tails.reduce((sum, tail) => sum + pad8(tail.length), fixed);
  const bytes = new Uint8Array(batchSize + size);
  const view = new DataView(bytes.buffer);
  writeBatch(view, 0, { size: bytes.length, version: abi.version, flags: 0, nCommands: 1 });
  write(view, batchSize, size);
  let at = batchSize + fixed;
  for (const tail of tails) {
    bytes.set(tail, at);
    at += pad8(tail.length);
  }
  const results = new Uint8Array(resultSize);
  const refused = datapath.submit(bytes, results);
  if (refused !== 0) return refused;
  const outcome = new DataView(results.buffer);
  return errnoOf(outcome.getUint32(0, true), outcome.getUint32(4, true));
}

function errnoOf(code: number, systemError: number): number {
  if (code === 0) return 0;
  if (systemError !== 0) return systemError;
  if (code === error.notSupported) return errno.notSupported;
  if (code === error.exists) return errno.exists;
  if (code === error.noSuchPort) return errno.noDevice;
  if (code === error.noMemory) return errno.noMemory;
  return errno.invalid;
}

export function openPort(datapath: DeviceDatapath, dpPort: number, portClass: number, name: string, config: ReadonlyMap<string, string>): number {
  const nameBytes = utf8.encode(name);
  const configBytes = encodeConfig(config);
  return call(datapath, portOpenSize, (view, at, size) => {
    writePortOpen(view, at, { type: command.portOpen, flags: 0, size, dpPort, portClass, nameSize: nameBytes.length, configSize: configBytes.length });
  }, nameBytes, configBytes);
}

export function closePort(datapath: DeviceDatapath, dpPort: number): number {
  return call(datapath, portCloseSize, (view, at, size) => writePortClose(view, at, { type: command.portClose, flags: 0, size, dpPort }));
}

export function setPort(datapath: DeviceDatapath, dpPort: number, config: ReadonlyMap<string, string>): number {
  const bytes = encodeConfig(config);
  return call(datapath, portSetSize, (view, at, size) => {
    writePortSet(view, at, { type: command.portSet, flags: 0, size, dpPort, configSize: bytes.length });
  }, bytes);
}

export function injectFrame(datapath: DeviceDatapath, dpPort: number, queue: number, frame: Uint8Array): number {
  return call(datapath, portInjectSize, (view, at, size) => {
    writePortInject(view, at, { type: command.portInject, flags: 0, size, dpPort, queue, frameSize: frame.length });
  }, frame);
}

export interface LinkChange {
  readonly mtu?: number;
  readonly mac?: Uint8Array;
  readonly up?: boolean;
}

const interfaceUp = 1;

export function setLink(datapath: DeviceDatapath, name: string, change: LinkChange): number {
  const nameBytes = utf8.encode(name);
  const mac = new Uint8Array(8);
  mac.set(change.mac ?? []);
  const what = (change.mtu === undefined ? 0 : 1) | (change.mac === undefined ? 0 : 2) | (change.up === undefined ? 0 : 4);
  return call(datapath, linkSetSize, (view, at, size) => {
    writeLinkSet(view, at, {
      type: command.linkSet, flags: 0, size, what, mtu: change.mtu ?? 0, mac, nameSize: nameBytes.length,
      flagsOn: change.up === true ? interfaceUp : 0, flagsOff: change.up === false ? interfaceUp : 0,
    });
  }, nameBytes);
}

/** State of an open port, or undefined when there is none of that number. */
export function portInfo(datapath: DeviceDatapath, dpPort: number): PortInfo | undefined {
  const asked = new Uint8Array(portQuerySize);
  writePortQuery(new DataView(asked.buffer), 0, { type: query.portStats, flags: 0, size: portQuerySize, dpPort });
  const reply = new Uint8Array(portInfoSize);
  return datapath.query(asked, reply) < portInfoSize ? undefined : readPortInfo(new DataView(reply.buffer), 0);
}

export interface Link {
  readonly info: LinkInfo;
  /** rtnetlink's, such as `veth`; empty for a physical device. */
  readonly kind: string;
  readonly driverName: string;
  readonly driverVersion: string;
  readonly firmwareVersion: string;
}

/** A string of C: it ends at its first zero byte. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

const linkReplySize = 1024;

/** State of a network device of the host, or undefined when there is none of that name. */
export function linkInfo(datapath: DeviceDatapath, name: string): Link | undefined {
  const nameBytes = utf8.encode(name);
  const asked = new Uint8Array(linkQuerySize + pad8(nameBytes.length));
  writeLinkQuery(new DataView(asked.buffer), 0, { type: query.linkGet, flags: 0, size: asked.length, nameSize: nameBytes.length });
  asked.set(nameBytes, linkQuerySize);
  const reply = new Uint8Array(linkReplySize);
  const used = datapath.query(asked, reply);
  if (used < linkInfoSize) return undefined;
  const info = readLinkInfo(new DataView(reply.buffer), 0);
  const kindAt = linkInfoSize + pad8(info.nameSize);
  const kind = text(reply.subarray(kindAt, kindAt + info.kindSize));
  return { info, kind, driverName: text(info.driverName), driverVersion: text(info.driverVersion), firmwareVersion: text(info.firmwareVersion) };
}
