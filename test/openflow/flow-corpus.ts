import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** One block of flows.md: a flow as a user writes it, and what ovs-ofctl prints for it in each version. */
export interface CorpusFlow {
  readonly input: string;
  readonly expected: readonly { readonly version: 1 | 4 | 6; readonly text: string }[];
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

export function readCorpus(): CorpusFlow[] {
  const text = readFileSync(join(root, "test", "openflow", "flows.md"), "utf8");
  return [...text.matchAll(/^```\n([\s\S]*?)\n```$/gm)].map(([, block]) => {
    const [input = "", v10 = "", v13 = "", v15 = ""] = (block ?? "").split("\n");
    return {
      input,
      expected: [
        { version: 1, text: v10 },
        { version: 4, text: v13 },
        { version: 6, text: v15 },
      ],
    };
  });
}
