/** Values of columns like `other_config`, as Open vSwitch reads them.  Pure. */

type Config = ReadonlyMap<string, string>;

/** What is no whole number, or is too large for one of 32 bits, is as if it were not there. */
export function integer(config: Config | undefined, key: string, fallback: number): number {
  const text = config?.get(key) ?? "";
  const value = Number(text);
  return /^\s*[+-]?\d+$/.test(text) && Math.abs(value) < 2 ** 31 ? value : fallback;
}

/** `true`, in whatever letters. */
export const truth = (config: Config | undefined, key: string): boolean => config?.get(key)?.toLowerCase() === "true";
