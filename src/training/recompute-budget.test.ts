import { expect, it } from "vitest";
import { symbol } from "../graph/dim.ts";
import { createBuilder } from "../ops/builder.ts";
import { recomputeWithin } from "./recompute-budget.ts";
import type { Trainable } from "./trainable.ts";
import { createUpdateRule } from "./update-rules/index.ts";

const [vocabulary, width, layers] = [16, 64, 8];

function model(): Trainable {
  const b = createBuilder();
  const shapes = new Map<string, readonly number[]>();
  const weight = (name: string, shape: readonly number[]): ReturnType<typeof b.weight> => {
    shapes.set(name, shape);
    return b.weight(name, shape);
  };
  let x = b.gather(weight("embedding", [vocabulary, width]), b.input("tokens", { shape: [symbol("T")], type: "i32" }));
  for (let i = 0; i < layers; i++) {
    const inner = b.activation(b.matmul(x, weight(`up.${i}`, [2 * width, width])), { kind: "silu" });
    x = b.add(x, b.matmul(inner, weight(`down.${i}`, [width, 2 * width])));
  }
  const logits = b.matmul(b.gather(x, b.input("outputRows", { shape: [symbol("R")], type: "i32" })), weight("head", [vocabulary, width]));
  return {
    graph: { outputs: new Map([["logits", logits]]) },
    weights: new Map([...shapes].map(([name, shape]) => [name, { shape, content: { values: async () => new Float32Array() } }])),
    trained: new Set(shapes.keys()),
    virtualTokens: 0,
  };
}

const rule = createUpdateRule("adamw", {});
const partsFor = (memory: number, keep?: "bf16"): number | undefined =>
  recomputeWithin(memory, model(), rule, { T: 2000, S: 1, C: 0, R: 8 }, { keep });

it("computes more twice the less memory there is, and less where halves are kept", () => {
  expect(partsFor(1e9)).toBeUndefined();
  const [some, more] = [partsFor(16e6)!, partsFor(13e6)!];
  expect(some).toBeGreaterThan(1);
  expect(more).toBeGreaterThan(some);
  expect(partsFor(16e6, "bf16") ?? 1).toBeLessThan(some);
});

it("says what would be needed where nothing fits", () => {
  expect(() => partsFor(1e6)).toThrow(/needs \d+ MB even with all it can computed twice, but may use 1 MB/);
});
