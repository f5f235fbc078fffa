/** What a bridge samples for its exporters.  Probabilities are of 2**32 - 1 packets; 0 is never. */
export interface Sampling {
  readonly sflowProbability: number;
  /** Bytes of a packet that sFlow's samples carry. */
  readonly sflowHeader: number;
  readonly ipfixProbability: number;
  readonly ipfixInput: boolean;
  readonly ipfixOutput: boolean;
  readonly ipfixTunnels: boolean;
  /** Sample actions have a collector set to go to. */
  readonly flowSampling: boolean;
  readonly flowSamplingTunnels: boolean;
  /** NetFlow's active timeout; 0: no NetFlow. */
  readonly netflowTimeoutS: number;
}

export const noSampling: Sampling = {
  sflowProbability: 0,
  sflowHeader: 0,
  ipfixProbability: 0,
  ipfixInput: false,
  ipfixOutput: false,
  ipfixTunnels: false,
  flowSampling: false,
  flowSamplingTunnels: false,
  netflowTimeoutS: 0,
};
