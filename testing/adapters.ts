/** Adapters as PEFT wrote them (testing/oracles/adapters.py): their bases, and what PEFT answered with them. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createReferenceBackend } from "../src/backends/reference/backend.ts";
import { openFile } from "../src/formats/files.ts";
import { readSafetensors } from "../src/formats/safetensors.ts";
import { inOrder, sourceName } from "../src/graph/value.ts";
import type { Model } from "../src/models/family.ts";
import { positionsIn } from "../src/serving/embed.ts";
import { decodeTensor } from "../src/tensor/stored.ts";

const folder = fileURLToPath(new URL("./fixtures/adapters/", import.meta.url));
const bases: Readonly<Record<string, string>> = {
  "lora-bias": "qwen-2",
  "lora-biases": "qwen-2",
  "lora-transposed": "gpt-2",
  "dora-transposed": "gpt-2",
  "lora-by-head": "gpt-neox",
  "lora-fused": "phi-3",
  "lora-classifier": "roberta",
  "ia3-bias": "qwen-2",
  "ia3-transposed": "gpt-2",
  "norms-plus-one": "gemma-3",
  "norms-bias": "gpt-neox",
};
/** Learned rows in front of the text. */
const virtual: readonly string[] = ["prompt", "prefix", "p-tuning"];

export interface AdapterFixture {
  readonly name: string;
  readonly path: string;
  /** A family's fixture. */
  readonly base: string;
  readonly isVirtual: boolean;
}

export const adapterFixtures: readonly AdapterFixture[] = readdirSync(folder).map((name) => ({
  name,
  path: folder + name,
  base: bases[name] ?? "llama-3",
  isVirtual: virtual.includes(name),
}));

/** Every tensor of a file, decoded. */
export async function tensorsOf(
  path: string,
): Promise<ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>> {
  const file = await readSafetensors(await openFile(path));
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>();
  for (const [name, tensor] of file.tensors) tensors.set(name, { shape: tensor.shape, values: await decodeTensor(tensor) });
  await file.close();
  return tensors;
}

/** `input_ids`, `logits`, and entries of the tensors that PEFT merged the adapter into, `merged.NAME`. */
export const adapterCases = async ({ path }: AdapterFixture): Promise<ReadonlyMap<string, Float32Array>> =>
  new Map([...(await tensorsOf(`${path}/cases.safetensors`))].map(([name, { values }]) => [name, values]));

/** Of a whole text, on the reference backend. */
export async function logitsOf(model: Model, ids: ArrayLike<number>): Promise<Float32Array> {
  const program = model.kind === "text" ? "score" : "embed";
  const graph = model.graphs()[program]!;
  const loaded = await createReferenceBackend().load({ [program]: graph }, model.weights, { caps: { T: 16, S: 1, C: 1, R: 16 } });
  const tokens = Int32Array.from(ids);
  const inputs: Readonly<Record<string, Int32Array>> = {
    tokens,
    positions: positionsIn(model, tokens),
    segments: new Int32Array(tokens.length),
    rowOffsets: Int32Array.of(0, tokens.length),
    outputRows: tokens.map((_, i) => i),
  };
  const wanted = new Set(inOrder(graph.outputs.values()).flatMap((value) => (value.op === "input" ? [sourceName(value)] : [])));
  const outputs = await loaded.run({
    program,
    symbols: { T: tokens.length, S: 1, C: 0, R: program === "score" ? tokens.length : 0 },
    inputs: Object.fromEntries(Object.entries(inputs).filter(([key]) => wanted.has(key))),
  });
  await loaded.dispose();
  return outputs["logits"] as Float32Array;
}

/** The largest absolute difference; infinite where the lengths differ. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - (b[i] ?? NaN)));
  return worst;
}
