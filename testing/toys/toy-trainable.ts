/** A small residual network over embeddings and a few steps of examples, without files: for ranks that run in processes of their own. */
import type { Weight } from "../../src/backends/backend.ts";
import { symbol } from "../../src/graph/dim.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import { size } from "../../src/tensor/shape.ts";
import type { Batch, BatchSource } from "../../src/training/batch.ts";
import type { Trainable } from "../../src/training/trainable.ts";

const [vocabulary, width, inner, layers] = [11, 8, 12, 3];

export function toyTrainable(): Trainable {
  const b = createBuilder();
  const weights = new Map<string, Weight>();
  const weight = (name: string, shape: readonly number[]): ReturnType<typeof b.weight> => {
    const seed = weights.size;
    const values = async (): Promise<Float32Array> =>
      Float32Array.from({ length: size(shape) }, (_, i) => 0.5 * Math.sin(1 + i * 1.7 + seed));
    weights.set(name, { shape, content: { values } });
    return b.weight(name, shape);
  };
  let x = b.gather(weight("embedding", [vocabulary, width]), b.input("tokens", { shape: [symbol("T")], type: "i32" }));
  for (let i = 0; i < layers; i++) {
    const up = b.activation(b.matmul(x, weight(`up.${i}`, [inner, width])), { kind: "silu" });
    x = b.add(x, b.matmul(up, weight(`down.${i}`, [width, inner])));
  }
  const wanted = b.gather(x, b.input("outputRows", { shape: [symbol("R")], type: "i32" }));
  const logits = b.matmul(wanted, weight("head", [vocabulary, width]));
  return { graph: { outputs: new Map([["logits", logits]]) }, weights, trained: new Set(weights.keys()), virtualTokens: 0 };
}

/** Steps of four texts; every row but the last of a text is scored. */
export function toySource(): BatchSource {
  let step = 0;
  const [sequences, length] = [4, 5];
  const rows = sequences * length;
  return {
    caps: { T: rows, S: sequences, C: 0, R: rows },
    async next() {
      const tokens = Int32Array.from({ length: rows }, (_, i) => (i * i + 3 * step) % vocabulary);
      const outputRows = Int32Array.from({ length: rows }, (_, i) => i).filter((i) => i % length !== length - 1);
      const inputs = {
        tokens,
        positions: tokens.map((_, i) => i % length),
        rowOffsets: Int32Array.from({ length: sequences + 1 }, (_, i) => i * length),
        outputRows,
        targets: outputRows.map((row) => tokens[row + 1]!),
        lossWeights: new Float32Array(outputRows.length).fill(1 / outputRows.length),
      };
      step++;
      return [{ inputs, symbols: { T: rows, S: sequences, C: 0, R: outputRows.length }, examples: [`step ${step}`] } satisfies Batch];
    },
    state: () => step,
    resume: (state) => void (step = state as number),
  };
}
