/** Actions as where they output to, and with which tags, in the order of ports. */
export function outputs(actions: string): string {
  const tags: string[] = [];
  const out: string[] = [];
  for (const [action] of actions.matchAll(/(?:[^,(]|\([^)]*\))+/g)) {
    if (action === "pop_vlan" && tags.at(-1)?.startsWith("push") === true) tags.pop();
    else if (/^\d+$/.test(action)) out.push([...tags, action].join("+"));
    else tags.push(action);
  }
  return out.length === 0 ? actions : out.sort().join(",");
}
