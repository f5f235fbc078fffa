import { datapathLayouts, type Layout, memberOffset } from "./abi.js";
import { datapathOpcodes } from "./tables/opcodes.js";

/** The datapath's report action as text: `userspace(pid=0,sFlow(vid=0,pcp=0,output=1),actions)`. */

const layout = datapathLayouts.get(datapathOpcodes.find((row) => row.name === "report")?.opcode as number) as Layout;
const offset = (member: string): number => memberOffset(layout, member);
const at = {
  kind: offset("sample_kind"),
  direction: offset("direction"),
  outPort: offset("out_port"),
  outputs: offset("n_outputs"),
  tci: offset("vlan_tci"),
  probability: offset("probability"),
  set: offset("collector_set_id"),
  domain: offset("obs_domain_id"),
  point: offset("obs_point_id"),
  tunnelPort: offset("tunnel_port"),
};

const noPort = 0xffffffff;
const directions = ["", ",ingress", ",egress"];

/** sFlow's code for where a packet goes: one port, none for an unknown reason, or several. */
export function sflowOutput(outputs: number, port: number): number {
  if (outputs === 0) return 0x40000000 | 256;
  return outputs === 1 && port !== 0 ? port : (0x80000000 | outputs) >>> 0;
}

export function formatReport(actions: Uint8Array, start: number): string {
  const view = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  const u32 = (member: number): number => view.getUint32(start + member, true);
  const port = u32(at.outPort) || noPort;
  const tunnel = u32(at.tunnelPort) === 0 ? "" : `,tunnel_out_port=${u32(at.tunnelPort)}`;
  switch (view.getUint16(start + at.kind, true)) {
    case 1: {
      const tci = view.getUint16(start + at.tci, false);
      const output = sflowOutput(u32(at.outputs), u32(at.outPort));
      return `userspace(pid=0,sFlow(vid=${tci & 0xfff},pcp=${tci >> 13},output=${output}),actions)`;
    }
    case 2:
      return `userspace(pid=0,ipfix(output_port=${port})${tunnel})`;
    default:
      return (
        `userspace(pid=0,flow_sample(probability=${view.getUint16(start + at.probability, true)},` +
        `collector_set_id=${u32(at.set)},obs_domain_id=${u32(at.domain)},obs_point_id=${u32(at.point)},` +
        `output_port=${port}${directions[view.getUint16(start + at.direction, true)] ?? ""})${tunnel})`
      );
  }
}
