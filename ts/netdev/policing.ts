/** Rates that an interface is policed to, as the database says; 0: no limit, or for a burst the default. */
export interface Policing {
  readonly kbps: number;
  readonly burstKb: number;
  readonly kpktps: number;
  readonly burstKpkts: number;
}

/** Bursts where the database says none, as in Open vSwitch. */
const burstKbDefault = 8000;
const burstKpktsDefault = 16;
const wordMax = 0xffffffff;

/** The datapath's numbers.  Rates beyond what these can say are none. */
export function policeRecord(policing: Policing): {
  readonly kbps: number;
  readonly burstKb: number;
  readonly pktps: number;
  readonly burstPackets: number;
} {
  const { kbps, burstKb, kpktps, burstKpkts } = policing;
  const rate = (value: number): number => (value <= wordMax ? value : 0);
  const burst = (value: number): number => Math.min(value, wordMax);
  return {
    kbps: rate(kbps),
    burstKb: burst(burstKb || burstKbDefault),
    pktps: rate(1000 * kpktps),
    burstPackets: burst(1000 * (burstKpkts || burstKpktsDefault)),
  };
}

export const unpoliced: Policing = { kbps: 0, burstKb: 0, kpktps: 0, burstKpkts: 0 };
