/** Adapters of random numbers, written as PEFT writes them. */
import { join } from "node:path";
import type { Library } from "./library.ts";

/** The linears that they change. */
export const targets: readonly string[] = ["attention.query", "attention.key", "attention.value", "attention.output"];

/** Small enough that the model still writes numbers, large enough that each writes others. */
const spread = 0.02;

/** `count` adapters in `folder`; their paths. */
export async function writeAdapters(library: Library, model: string, folder: string, rank: number, count: number): Promise<string[]> {
  const opened = await library.openCheckpoint(model);
  const base = library.openModel(opened.checkpoint);
  const paths: string[] = [];
  for (let seed = 0; seed < count; seed++) {
    const weights = new Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>();
    for (const [name, { shape }] of base.weights) {
      if (shape.length !== 2 || !targets.some((target) => name.endsWith(`.${target}`))) continue;
      for (const [part, size] of [
        ["loraA", [rank, shape[1]!]],
        ["loraB", [shape[0]!, rank]],
      ] as const)
        weights.set(`${name}.${part}`, { shape: size, values: library.normalNumbers(seed, `${name}.${part}`, size, spread) });
    }
    const path = join(folder, `adapter-${seed}`);
    await library.writePeftAdapter(path, base, { config: { type: "LORA", rank, alpha: rank, taskType: "CAUSAL_LM" }, weights });
    paths.push(path);
  }
  await opened.close();
  return paths;
}
