/** Reserved ports.  Numbers are those of OpenFlow 1.1 and later; OpenFlow 1.0 uses their low 16 bits. */
export interface PortRow {
  readonly name: string;
  readonly number: number;
  /** Whether an output action may name it. */
  readonly output: boolean;
  readonly doc: string;
}

export const reservedPorts = [
  { name: "UNSET", number: 0xfffffff7, output: false, doc: "No port in the action set." },
  { name: "IN_PORT", number: 0xfffffff8, output: true, doc: "The port on which the packet arrived." },
  { name: "TABLE", number: 0xfffffff9, output: true, doc: "Starts again at the first table; only in a packet-out." },
  { name: "NORMAL", number: 0xfffffffa, output: true, doc: "Switches like a switch without OpenFlow." },
  { name: "FLOOD", number: 0xfffffffb, output: true, doc: "Every port but the input and those without flooding." },
  { name: "ALL", number: 0xfffffffc, output: true, doc: "Every port but the input." },
  { name: "CONTROLLER", number: 0xfffffffd, output: true, doc: "The controllers." },
  { name: "LOCAL", number: 0xfffffffe, output: true, doc: "The bridge's own port." },
  { name: "ANY", number: 0xffffffff, output: false, doc: "No port, or any port, as a wildcard." },
] as const satisfies readonly PortRow[];

/** OFPP_MAX: ordinary ports have lower numbers. */
export const portMax = 0xff00;
/** What OpenFlow 1.1 adds to a reserved port of OpenFlow 1.0. */
export const reservedOffset = 0xffff0000;

type PortName = (typeof reservedPorts)[number]["name"];
export const ofpp = Object.fromEntries(reservedPorts.map((row) => [row.name, row.number])) as Readonly<
  Record<PortName, number>
>;
