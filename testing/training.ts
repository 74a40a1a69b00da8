/** What tests of training share: a tiny model, and examples packed by hand. */
import { fileURLToPath } from "node:url";
import type { Backend } from "../src/backends/backend.ts";
import { createReferenceBackend } from "../src/backends/reference/backend.ts";
import type { Symbols } from "../src/graph/dim.ts";
import { type Batch, type BatchSource } from "../src/training/batch.ts";
import { trainingPrograms, type ProgramOptions } from "../src/training/programs.ts";
import { gradientStepper, type Stepper } from "../src/training/stepper.ts";
import type { Trainable } from "../src/training/trainable.ts";
import type { UpdateRule } from "../src/training/update-rule.ts";
import { openModel } from "../src/models/index.ts";
import { openFixture } from "./families.ts";

/** In Hugging Face layout, with a tokenizer. */
export const tinyModel: string = fileURLToPath(new URL("./fixtures/families/llama-3", import.meta.url));
export const reference: Backend = createReferenceBackend();

/** The tiny model with all its weights trained, or those that the pattern finds. */
export async function tinyTrainable(trained: RegExp = /./): Promise<Trainable & { close(): Promise<void> }> {
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  const model = openModel(checkpoint);
  const names = [...model.weights.keys()].filter((name) => !name.startsWith("rope.") && trained.test(name));
  return { graph: model.graphs()["score"]!, weights: model.weights, trained: new Set(names), virtualTokens: 0, close: checkpoint.close };
}

export function tinyStepper(model: Trainable, rule: UpdateRule, options: ProgramOptions & { readonly splits?: boolean } = {}): Stepper {
  const { splits = false, ...rest } = options;
  return gradientStepper(trainingPrograms(model, rule, rest), { splits, evaluates: true });
}

/** Examples side by side, scored everywhere; weights sum to `share`. */
export function pack(examples: readonly (readonly number[])[], names: readonly string[], share: number = 1): Batch {
  const tokens = examples.flat();
  const positions = examples.flatMap((ids) => ids.map((_, i) => i));
  const rowOffsets = [0];
  for (const ids of examples) rowOffsets.push(rowOffsets.at(-1)! + ids.length);
  const outputRows = examples.flatMap((ids, e) => ids.slice(1).map((_, i) => rowOffsets[e]! + i));
  const targets = outputRows.map((row) => tokens[row + 1]!);
  const symbols: Symbols = { T: tokens.length, S: examples.length, C: 0, R: outputRows.length };
  return {
    symbols,
    examples: names,
    inputs: {
      tokens: Int32Array.from(tokens),
      positions: Int32Array.from(positions),
      rowOffsets: Int32Array.from(rowOffsets),
      outputRows: Int32Array.from(outputRows),
      targets: Int32Array.from(targets),
      lossWeights: new Float32Array(outputRows.length).fill(share / outputRows.length),
    },
  };
}

/** The same steps again and again; each is a list of batches. */
export function sourceOf(steps: readonly (readonly Batch[])[], limit: number = Infinity): BatchSource {
  let at = 0;
  const caps = { T: 0, S: 0, C: 0, R: 0 };
  for (const { symbols } of steps.flat())
    for (const name of ["T", "S", "C", "R"] as const) caps[name] = Math.max(caps[name], symbols[name]);
  return {
    caps,
    next: async () => (at >= limit ? undefined : steps[at++ % steps.length]),
    state: () => ({ at }),
    resume: (state) => void (at = (state as { at: number }).at),
  };
}
