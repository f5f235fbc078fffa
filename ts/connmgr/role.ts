/** Roles of controllers and the generation id that orders their claims.  Pure. */

/** Numbers of OpenFlow 1.2. */
export const role = { noChange: 0, equal: 1, primary: 2, secondary: 3 } as const;
export type Role = (typeof role)[keyof typeof role];

const names: Readonly<Record<Role, string>> = { 0: "*", 1: "other", 2: "master", 3: "slave" };

/** The word that the database's Controller.role column uses. */
export function roleName(value: Role): string {
  return names[value];
}

/** Which of several connections a snoop should follow: the greater the better. */
export function roleRank(value: Role): number {
  switch (value) {
    case role.primary:
      return 3;
    case role.equal:
      return 2;
    case role.secondary:
      return 1;
    default:
      return 0;
  }
}

/** One generation for the whole bridge: a claim of PRIMARY or SECONDARY must not be older than the last one. */
export interface Generation {
  readonly id: bigint | undefined;
}

/** The generation after a claim, or undefined when the claim is stale: the difference is a signed 64-bit number. */
export function claim(current: Generation, id: bigint | undefined): Generation | undefined {
  if (id === undefined) return current;
  if (current.id !== undefined && BigInt.asIntN(64, id - current.id) < 0n) return undefined;
  return { id };
}
