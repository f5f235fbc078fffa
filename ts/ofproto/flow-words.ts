/** Flows as text, as the commands of this room need them: ovs-ofctl's form and the datapath's.  `flowText` of ts/openflow
 *  is one; it is injected, so that what prints a trace or a dump can be tested by itself. */

/** Names of a bridge's ports; without, ports are numbers. */
export interface PortNames {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

export interface FlowWords {
  /** `priority=5,tcp,in_port=1`; a priority that is not given is left out. */
  match(match: Uint8Array, priority: number | undefined, names: PortNames | undefined): string;
  /** `output:1,NORMAL`; `drop` for none. */
  actions(actions: Uint8Array, names: PortNames | undefined): string;
  /** Reads `in_port=1,tcp`; throws an error whose message is ovs-ofctl's. */
  parseMatch(text: string, names: PortNames): Uint8Array;
  /** A packet's flow: as `parseMatch`, but each field once and after what it needs. */
  parseFlow(text: string, names: PortNames): Uint8Array;
  parseActions(text: string, names: PortNames): Uint8Array;
  /** Throws OpenFlowError if the actions need more of the packet than the match says. */
  checkActions(match: Uint8Array, actions: Uint8Array): void;
  /** `recirc_id(0),in_port(1),eth_type(0x0800)`; `names` are of datapath ports. */
  datapathMatch(match: Uint8Array, names: PortNames | undefined, verbose: boolean, key?: Uint8Array): string;
  /** A packet's key, every header of it. */
  datapathKey(key: Uint8Array, names: PortNames | undefined): string;
  /** `push_vlan(vid=5,pcp=0),2`; `drop` for none.  `flow`: the match that they belong to. */
  datapathActions(actions: Uint8Array, names: PortNames | undefined, flow: Uint8Array): string;
  parseDatapathMatch(text: string, names: PortNames): Uint8Array;
  /** `NXM_NX_REG0[0..15]`. */
  subfield(field: number, offset: number, bits: number): string;
  value(field: number, bits: number, value: bigint): string;
}
