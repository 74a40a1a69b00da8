/** The programs of a training step on a small model: one program and pieces of it do the same, and recomputing changes nothing. */
import { describe, expect, it } from "vitest";
import { createNativeBackend } from "../backends/native/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import type { Backend, LoadedModel, Weights } from "../backends/backend.ts";
import { symbol, type Symbols } from "../graph/dim.ts";
import { type Graph, valuesOf } from "../graph/value.ts";
import { verifyGraph } from "../graph/verify.ts";
import { createBuilder, opRules } from "../ops/builder.ts";
import { planValues } from "../transforms/plan-memory.ts";
import { evaluatePolynomial } from "../graph/polynomial.ts";
import { type ProgramOptions, trainingPrograms } from "./programs.ts";
import type { Trainable } from "./trainable.ts";
import type { UpdateRule } from "./update-rule.ts";

const [vocabulary, width, hidden, layers] = [11, 32, 64, 4];
const names = ["embedding", ...Array.from({ length: layers }, (_, i) => [`up.${i}`, `down.${i}`]).flat(), "head"];
const shapes: Record<string, readonly number[]> = {
  embedding: [vocabulary, width],
  head: [vocabulary, width],
  ...Object.fromEntries(
    Array.from({ length: layers }, (_, i) => [
      [`up.${i}`, [hidden, width]],
      [`down.${i}`, [width, hidden]],
    ]).flat(),
  ),
};

/** Layers of a residual network over embeddings. */
function network(): Graph {
  const b = createBuilder();
  let x = b.gather(b.weight("embedding", [vocabulary, width]), b.input("tokens", { shape: [symbol("T")], type: "i32" }));
  for (let i = 0; i < layers; i++) {
    const inner = b.activation(b.matmul(x, b.weight(`up.${i}`, [hidden, width])), { kind: "silu" });
    x = b.add(x, b.matmul(inner, b.weight(`down.${i}`, [width, hidden])));
  }
  const wanted = b.gather(x, b.input("outputRows", { shape: [symbol("R")], type: "i32" }));
  return { outputs: new Map([["logits", b.matmul(wanted, b.weight("head", [vocabulary, width]))]]) };
}

const numbers = (name: string, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => 0.2 * Math.sin(1 + i * 1.7 + names.indexOf(name)));
const weights: Weights = new Map(
  Object.entries(shapes).map(([name, shape]) => {
    const length = shape.reduce((a, n) => a * n, 1);
    return [name, { shape, content: { values: async () => numbers(name, length) } }];
  }),
);
const model: Trainable = { graph: network(), weights, trained: new Set(names), virtualTokens: 0 };

/** Descent with momentum, so that there is a state. */
const descent: UpdateRule = {
  name: "descent",
  step({ b, parameter, gradient, rate, state }) {
    const velocity = b.add(b.scale(state("velocity", parameter.shape as number[]), { by: 0.5 }), gradient);
    return {
      parameter: b.sub(parameter, b.mul(velocity, b.reshape(rate, { shape: parameter.shape.map(() => 1) }))),
      state: { velocity },
    };
  },
};

const symbols: Symbols = { T: 6, S: 1, C: 0, R: 5 };
const inputs = {
  tokens: Int32Array.of(1, 4, 2, 9, 10, 3),
  outputRows: Int32Array.of(0, 1, 2, 3, 4),
  targets: Int32Array.of(4, 2, -1, 10, 3),
  lossWeights: new Float32Array(5).fill(0.25),
  rate: Float32Array.of(0.1),
  count: Float32Array.of(1),
};

const native = createNativeBackend({ threads: 2 });
const backends: [string, () => Backend][] = [
  ["reference", createReferenceBackend],
  ...("backend" in native ? [["native", () => native.backend] as [string, () => Backend]] : []),
];

describe.each(backends)("%s", (_, create) => {
  async function train(
    options: ProgramOptions,
    run: (model: LoadedModel) => Promise<number[]>,
    rule = descent,
  ): Promise<{ losses: number[]; head: Float32Array }> {
    const programs = trainingPrograms(model, rule, options);
    for (const graph of Object.values(programs.graphs)) verifyGraph(graph, opRules);
    const loaded = await create().load({ ...programs.graphs }, programs.weights, { caps: symbols });
    const losses = await run(loaded);
    const head = await loaded.readWeight("head");
    await loaded.dispose();
    return { losses, head };
  }

  const whole = async (loaded: LoadedModel): Promise<number[]> => {
    const losses: number[] = [];
    for (let i = 0; i < 4; i++) losses.push((await loaded.run({ program: "step", symbols, inputs }))["loss"]![0]!);
    return losses;
  };

  it("learns", async () => {
    const { losses } = await train({}, whole);
    expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
  });

  it("gives the same in pieces: twice half the weight, added", async () => {
    const inPieces = async (loaded: LoadedModel): Promise<number[]> => {
      const losses: number[] = [];
      const half = { ...inputs, lossWeights: new Float32Array(5).fill(0.125) };
      for (let i = 0; i < 4; i++) {
        const first = await loaded.run({ program: "first", symbols, inputs: half });
        const more = await loaded.run({ program: "more", symbols, inputs: half });
        await loaded.run({ program: "update", symbols, inputs });
        losses.push(first["loss"]![0]! + more["loss"]![0]!);
      }
      return losses;
    };
    const [one, two] = [await train({ clip: 0.5 }, whole), await train({ clip: 0.5 }, inPieces)];
    two.losses.forEach((loss, i) => expect(loss).toBeCloseTo(one.losses[i]!, 5));
  });

  it("clips all gradients together", async () => {
    const rest = numbers("head", vocabulary * width);
    const moved = ({ head }: { head: Float32Array }): number => Math.hypot(...head.map((v, i) => v - rest[i]!));
    const once = async (loaded: LoadedModel): Promise<number[]> => [
      (await loaded.run({ program: "step", symbols, inputs }))["gradientNorm"]![0]!,
    ];
    const [free, clipped] = [await train({}, once), await train({ clip: 0.01 }, once)];
    expect(clipped.losses[0]).toBeCloseTo(free.losses[0]!, 6);
    expect(moved(clipped) / moved(free)).toBeCloseTo(0.01 / free.losses[0]!, 4);
  });

  it("divides by the loss scale before it clips", async () => {
    const scaled = async (loaded: LoadedModel): Promise<number[]> => {
      const lossScale = Float32Array.of(1024);
      return [(await loaded.run({ program: "step", symbols, inputs: { ...inputs, lossScale } }))["gradientNorm"]![0]!];
    };
    const once = async (loaded: LoadedModel): Promise<number[]> => [
      (await loaded.run({ program: "step", symbols, inputs }))["gradientNorm"]![0]!,
    ];
    const [plain, large] = [await train({ clip: 0.01 }, once), await train({ clip: 0.01, lossScale: true }, scaled)];
    expect(large.losses[0]).toBeCloseTo(plain.losses[0]!, 5);
    large.head.forEach((v, i) => expect(v).toBeCloseTo(plain.head[i]!, 6));
  });

  it("recomputes to the same numbers in less memory", async () => {
    const recompute = { segments: 4, symbols: { ...symbols, T: 600 } };
    const [kept, again] = [await train({}, whole), await train({ recompute }, whole)];
    expect(again).toEqual(kept);
    const bytes = (options: ProgramOptions): number => {
      const graph = trainingPrograms(model, descent, options).graphs.first;
      return evaluatePolynomial(
        planValues(valuesOf(graph), [...graph.outputs.values(), ...graph.updates!.values()]).arena,
        recompute.symbols,
      );
    };
    expect(bytes({ recompute })).toBeLessThan(0.8 * bytes({}));
  });

  it.each(["bf16", "f16"] as const)("keeps %s for the way back in half the memory, and learns alike", async (keep) => {
    const [whole32, half] = [await train({}, whole), await train({ keep }, whole)];
    half.losses.forEach((loss, i) => expect(Math.abs(loss - whole32.losses[i]!)).toBeLessThan(0.01));
    expect(half.losses).not.toEqual(whole32.losses);
    const symbols600 = { ...symbols, T: 600 };
    const bytes = (options: ProgramOptions): number => {
      const graph = trainingPrograms(model, descent, options).graphs.first;
      return evaluatePolynomial(planValues(valuesOf(graph), [...graph.outputs.values(), ...graph.updates!.values()]).arena, symbols600);
    };
    expect(bytes({ keep })).toBeLessThan(0.8 * bytes({}));
  });

  it("updates on the way back where the rule needs no more", async () => {
    const fused: UpdateRule = { ...descent, fusesIntoBackward: true };
    const [late, early] = [await train({}, whole), await train({}, whole, fused)];
    expect(early).toEqual(late);
    const { order, updates } = trainingPrograms(model, fused).graphs.step;
    expect(order!.indexOf(updates!.get("head")!)).toBeLessThan(order!.indexOf(updates!.get("up.0")!));
  });

  it("names what cannot be trained", () => {
    expect(() => trainingPrograms({ ...model, trained: new Set(["haed"]) }, descent)).toThrow(/does not depend on the weight "haed"/);
    expect(() => trainingPrograms({ ...model, trained: new Set() }, descent)).toThrow(/no weight is trained/);
  });
});
