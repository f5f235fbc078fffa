/** LLDP's frames (IEEE 802.1AB), with the parts that auto-attach adds to them.  Pure. */

const lldpEtherType = 0x88cc;
export const lldpAddress = Uint8Array.of(0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e);

const type = {
  end: 0,
  chassisId: 1,
  portId: 2,
  ttl: 3,
  portDescription: 4,
  systemName: 5,
  systemDescription: 6,
  capabilities: 7,
  managementAddress: 8,
  organization: 127,
} as const;

const chassisIsMac = 4;
const portIsInterface = 5;
const capabilityBridge = 4;

/** Who defines the parts of auto-attach, and these parts. */
const autoAttach = Uint8Array.of(0x00, 0x04, 0x0d);
const element = { subtype: 11, size: 50, virtualSwitch: 14 } as const;
const assignments = { subtype: 12, size: 36, each: 5 } as const;
const digestSize = 32;
/** Bytes of an identifier that says who defines a part, and of the number of the part. */
const organizationSize = 4;
const dcbx = Uint8Array.of(0x00, 0x1b, 0x21);
/** Organizations whose parts are passed over in silence: 802.1, 802.3, LLDP-MED. */
const silent = [Uint8Array.of(0x00, 0x80, 0xc2), Uint8Array.of(0x00, 0x12, 0x0f), Uint8Array.of(0x00, 0x12, 0xbb)];

export interface LldpMapping {
  readonly isid: number;
  readonly vlan: number;
  /** 4 bits. */
  readonly status: number;
}

/** What a port says of itself. */
export interface LldpLocal {
  /** Address of the interface. */
  readonly chassisId: Uint8Array;
  readonly portId: string;
  readonly ttl: number;
  readonly systemName: string;
  readonly systemDescription: string;
  readonly mappings: readonly Omit<LldpMapping, "status">[];
}

/** What auto-attach says of who sent a frame. */
export interface LldpElement {
  readonly type: number;
  readonly mac: Uint8Array;
  readonly connectionType: number;
  readonly reserved: number;
  readonly more: Uint8Array;
}

/** What a frame says. */
export interface LldpRemote {
  readonly chassisSubtype: number;
  readonly chassisId: Uint8Array;
  readonly portSubtype: number;
  readonly portId: Uint8Array;
  readonly ttl: number;
  readonly systemDescription: string | undefined;
  readonly element: LldpElement | undefined;
  readonly mappings: readonly LldpMapping[];
}

export interface LldpNote {
  readonly level: "warn" | "info" | "dbg";
  readonly text: string;
}

export interface LldpDecoded {
  /** Undefined: the frame is malformed. */
  readonly remote: LldpRemote | undefined;
  /** Parts of organizations that we do not know. */
  readonly unrecognized: number;
  readonly notes: readonly LldpNote[];
}

function part(kind: number, ...content: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const bytes = Uint8Array.from(content.flatMap((one) => [...one]));
  // The length has 9 bits: what is longer says so wrongly, as Open vSwitch has it say.
  const head = (kind << 9) | (bytes.length & 0x1ff);
  return Uint8Array.of(head >> 8, head & 0xff, ...bytes);
}

const word = (value: number): readonly number[] => [(value >> 8) & 0xff, value & 0xff];
const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function elementPart(mac: Uint8Array): Uint8Array {
  return part(
    type.organization,
    autoAttach,
    [element.subtype],
    new Uint8Array(digestSize),
    // Six bits of type, six of state, twelve of the management VLAN, eight that are reserved.
    word(element.virtualSwitch << 10),
    word(0),
    mac,
    // A single connection.
    new Uint8Array(4),
  );
}

/** The frame that tells of a port. */
export function lldpFrame(source: Uint8Array, local: LldpLocal): Uint8Array {
  const { systemName: name, systemDescription: description, mappings } = local;
  const parts = [
    part(type.chassisId, [chassisIsMac], local.chassisId),
    part(type.portId, [portIsInterface], textBytes(local.portId)),
    part(type.ttl, word(local.ttl)),
    ...(name === "" ? [] : [part(type.systemName, textBytes(name))]),
    ...(description === "" ? [] : [part(type.systemDescription, textBytes(description))]),
    part(type.capabilities, word(capabilityBridge), word(capabilityBridge)),
    elementPart(local.chassisId),
    ...(mappings.length === 0
      ? []
      : [
          part(
            type.organization,
            autoAttach,
            [assignments.subtype],
            new Uint8Array(digestSize),
            ...mappings.map(({ isid, vlan }) => [...word(vlan & 0xfff), isid >> 16, ...word(isid & 0xffff)]),
          ),
        ]),
    part(type.end),
  ];
  return Uint8Array.from([...lldpAddress, ...source, ...word(lldpEtherType), ...parts.flatMap((one) => [...one])]);
}

/** A frame that cannot be. */
class Malformed {
  constructor(readonly note: LldpNote) {}
}

const fail = (text: string): Malformed => new Malformed({ level: "warn", text });

interface Draft {
  chassis?: { readonly subtype: number; readonly id: Uint8Array };
  port?: { readonly subtype: number; readonly id: Uint8Array };
  ttl?: number;
  description?: string;
  element?: LldpElement;
  readonly mappings: LldpMapping[];
  readonly notes: LldpNote[];
  unrecognized: number;
}

/** One part: its content, and where it was found. */
interface Part {
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly port: string;
}

function need({ bytes, port }: Part, size: number, name: string): void {
  if (bytes.length < size) throw fail(`${name} TLV too short received on ${port}`);
}

function readId(found: Part): { readonly subtype: number; readonly id: Uint8Array } {
  need(found, 2, "Port/Chassis Id");
  if (found.bytes.length > 256) throw fail(`Port/Chassis Id TLV too large received on ${found.port}`);
  const subtype = found.bytes[0] ?? 0;
  if (subtype === 0 || subtype > 7) throw fail(`unknown subtype for tlv id received on ${found.port}`);
  return { subtype, id: found.bytes.slice(1) };
}

/** Strings end at their first zero byte. */
function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function readElement(found: Part, draft: Draft): void {
  need(found, element.size, "ELEMENT");
  const at = organizationSize + digestSize;
  const first = found.view.getUint32(at);
  const state = (first >>> 20) & 0x3f;
  const hex = (value: number): string => value.toString(16).toUpperCase();
  const mac = found.bytes.slice(at + 4, at + 10);
  const system = found.view.getUint16(at + 10);
  draft.element = {
    type: first >>> 26,
    mac,
    connectionType: system >> 13,
    reserved: system & 0x3ff,
    more: found.bytes.slice(at + 12, at + 14),
  };
  const provisioning = ((state >> 3) & 3).toString(16);
  const details = `vlan tagging ${hex((state >> 5) & 1)}, auto prov mode ${provisioning}, Mgmt vlan: ${hex((first >>> 8) & 0xfff)}`;
  draft.notes.push({ level: "info", text: `Element type: ${hex(first >>> 26)}, ${details}` });
  draft.notes.push({ level: "info", text: `System mac: ${hexBytes(mac)}` });
}

function readAssignments(found: Part, draft: Draft): void {
  need(found, assignments.size, "ISID_VLAN_ASGNS");
  const from = organizationSize + digestSize;
  if ((found.bytes.length - from) % assignments.each !== 0)
    throw new Malformed({ level: "info", text: "malformed vlan-isid mappings tlv received" });
  for (let at = from; at < found.bytes.length; at += assignments.each) {
    const first = found.view.getUint16(at);
    const isid = (found.view.getUint8(at + 2) << 16) | found.view.getUint16(at + 3);
    draft.mappings.push({ status: first >> 12, vlan: first & 0xfff, isid });
  }
}

/** Of the parts of auto-attach. */
const readers: Readonly<Record<number, (found: Part, draft: Draft) => void>> = {
  [element.subtype]: readElement,
  [assignments.subtype]: readAssignments,
};

function readOrganization(found: Part, draft: Draft): void {
  need(found, organizationSize, "Organisational");
  const is = (organization: Uint8Array): boolean => organization.every((byte, index) => byte === found.bytes[index]);
  const subtype = found.bytes[3] ?? 0;
  if (is(autoAttach)) {
    const read = readers[subtype];
    if (read !== undefined) {
      read(found, draft);
      return;
    }
    draft.notes.push({ level: "info", text: "Unrecogised tlv subtype received" });
  } else if (is(dcbx)) {
    draft.notes.push({ level: "dbg", text: `unsupported DCBX tlv received on ${found.port} - ignore` });
  } else if (!silent.some(is)) {
    const organization = hexBytes(found.bytes.subarray(0, 3));
    draft.notes.push({ level: "info", text: `unknown org tlv [${organization}] received on ${found.port}` });
  }
  draft.unrecognized++;
}

function checkAddress(found: Part): void {
  need(found, 1, "Management address");
  const size = found.bytes[0] ?? 0;
  if (size > 32) throw fail(`too large management address on ${found.port}`);
  need(found, 1 + size, "Management address");
  need(found, 1 + size + 5, "Management address");
}

function readPart(found: Part, draft: Draft): void {
  switch (found.kind) {
    case type.chassisId:
      draft.chassis = readId(found);
      return;
    case type.portId:
      draft.port = readId(found);
      return;
    case type.ttl:
      need(found, 2, "TTL");
      draft.ttl = found.view.getUint16(0);
      return;
    case type.portDescription:
    case type.systemName:
      return;
    case type.systemDescription:
      if (found.bytes.length > 0) draft.description = readText(found.bytes);
      return;
    case type.capabilities:
      need(found, 4, "System capabilities");
      return;
    case type.managementAddress:
      checkAddress(found);
      return;
    case type.organization:
      readOrganization(found, draft);
      return;
    default:
      draft.unrecognized++;
      throw fail(`unknown tlv (${found.kind}) received on ${found.port}`);
  }
}

/** Parts that must stand at their place. */
const places: Readonly<Record<number, readonly [number, string]>> = {
  [type.chassisId]: [1, "first TLV should be a chassis ID"],
  [type.portId]: [2, "second TLV should be a port ID"],
  [type.ttl]: [3, "third TLV should be a TTL"],
};

function readParts(frame: Uint8Array, port: string, draft: Draft): void {
  let at = 2 * 6 + 2;
  for (let count = 1; at < frame.length; count++) {
    if (frame.length - at < 2) throw fail(`tlv header too short received on ${port}`);
    const head = ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
    const [kind, size] = [head >> 9, head & 0x1ff];
    at += 2;
    if (frame.length - at < size) throw fail(`frame too short for tlv received on ${port}`);
    const place = places[kind];
    if (place !== undefined && place[0] !== count) throw fail(`${place[1]} on ${port}, not ${kind}`);
    if (kind === type.end) {
      if (size !== 0) throw fail(`lldp end received with size not null on ${port}`);
      break;
    }
    const bytes = frame.subarray(at, at + size);
    readPart({ kind, bytes, view: new DataView(frame.buffer, frame.byteOffset + at, size), port }, draft);
    at += size;
    if (at === frame.length) throw fail(`some mandatory tlv are missing for frame received on ${port}`);
  }
}

/** Reads a frame that came in by 'port'.  Never fails: what is wrong with it is in the notes. */
export function decodeLldp(frame: Uint8Array, port: string): LldpDecoded {
  const draft: Draft = { mappings: [], notes: [], unrecognized: 0 };
  let remote: LldpRemote | undefined;
  try {
    readParts(frame, port, draft);
    const { chassis, port: id, ttl } = draft;
    if (chassis === undefined || id === undefined || ttl === undefined)
      throw fail(`some mandatory tlv are missing for frame received on ${port}`);
    remote = {
      chassisSubtype: chassis.subtype,
      chassisId: chassis.id,
      portSubtype: id.subtype,
      portId: id.id,
      ttl,
      systemDescription: draft.description,
      element: draft.element,
      mappings: draft.mappings,
    };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    draft.notes.push(error.note);
  }
  return { remote, unrecognized: draft.unrecognized, notes: draft.notes };
}

/** `00:04:0d`. */
export function hexBytes(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
