/** Whole graphs, with sizes known only at run time: chains, views of views, values used twice, several outputs, training. */
import { describe, it } from "vitest";
import { type Dim, plus, symbol, type Symbols, times } from "../../src/graph/dim.ts";
import { evaluate } from "../../src/graph/dim.ts";
import { type Graph, inOrder, sourceName, type Value } from "../../src/graph/value.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import type { Builder } from "../../src/ops/op.ts";
import { decompose } from "../../src/transforms/decompose.ts";
import { differentiate } from "../../src/transforms/differentiate.ts";
import { expectLike, type Implementation } from "./implementation.ts";
import { numbersOf } from "./numbers.ts";
import { runPlain } from "./plain.ts";

const T = symbol("T");
const S = symbol("S");
const R = symbol("R");

interface GraphCase {
  readonly name: string;
  readonly build: (b: Builder) => Readonly<Record<string, Value>>;
  /** Numbers of the i32 inputs; the others are normal. */
  readonly ids?: (symbols: Symbols) => Readonly<Record<string, readonly number[]>>;
}

const rows = (b: Builder, channels: Dim, name = "x"): Value => b.input(name, { shape: [T, channels], type: "f32" });
const offsets = ({ T: t, S: s }: Symbols): number[] => Array.from({ length: s + 1 }, (_, i) => Math.floor((i * t) / s));

const cases: readonly GraphCase[] = [
  {
    name: "a chain",
    build(b) {
      let x = rows(b, 7);
      for (let i = 0; i < 20; i++) x = b.add(b.scale(b.tanh(x), { by: 0.9 }), b.constant(Float32Array.of(1, 2, 3, 4, 5, 6, i), [7]));
      return { y: x };
    },
  },
  {
    name: "reshapes, transposes, slices of slices",
    build(b) {
      const x = rows(b, 24);
      const parts = b.reshape(b.exp(x), { shape: [T, 4, 6] });
      const inner = b.slice(b.slice(parts, { axis: 2, start: 1, length: 4 }), { axis: 1, start: 1, length: 3 });
      const flat = b.reshape(inner, { shape: [T, 12] });
      const turned = b.transpose(b.transpose(b.slice(flat, { axis: 1, start: 3, length: 5 })));
      return { y: b.reshape(turned, { shape: [times(T, 5)] }), x: b.reshape(x, { shape: [times(T, 24)] }) };
    },
  },
  {
    name: "rows one after the other, of symbolic lengths",
    build(b) {
      const [x, more] = [rows(b, 5), b.input("more", { shape: [R, 5], type: "f32" })];
      const both = b.concat([x, more, x], { axis: 0 });
      const end = b.slice(both, { axis: 0, start: T, length: plus(T, R) });
      return { both, end: b.sum(end, { axis: 0 }) };
    },
  },
  {
    name: "a value used twice by one op, and by many",
    build(b) {
      const x = b.exp(rows(b, 9));
      const square = b.mul(x, x);
      return {
        y: b.sub(b.add(square, x), b.matmul(square, b.constant(numbersOf("normal", 81, "f32", 4) as Float32Array, [9, 9]))),
        square,
        x,
      };
    },
  },
  {
    name: "the same value under two names, an input and a constant as outputs",
    build(b) {
      const x = rows(b, 3);
      const y = b.scale(x, { by: 3 });
      return { y, again: y, x, constant: b.constant(Int32Array.of(1, 2, 3), [3]), flat: b.reshape(x, { shape: [times(T, 3)] }) };
    },
  },
  {
    name: "a layer with attention, normed and gated",
    build: (b) => ({ y: layer(b) }),
    ids: (symbols) => ({ positions: Array.from({ length: symbols.T }, (_, i) => i), rowOffsets: offsets(symbols) }),
  },
  {
    name: "the same layer in its parts",
    build: (b) => Object.fromEntries(decompose({ outputs: new Map([["y", layer(b)]]) }).outputs),
    ids: (symbols) => ({ positions: Array.from({ length: symbols.T }, (_, i) => i), rowOffsets: offsets(symbols) }),
  },
  {
    name: "its gradients",
    build(b) {
      const [x, w] = [rows(b, 12), b.input("w", { shape: [8, 12], type: "f32" })];
      const logits = b.matmul(layer(b), w);
      const loss = b.sum(b.crossEntropy(logits, b.input("targets", { shape: [T], type: "i32" })), { axis: 0 });
      const [dx, dw] = differentiate(loss, [x, w]);
      return { loss, dx: dx!, dw: dw! };
    },
    ids: (symbols) => ({
      positions: Array.from({ length: symbols.T }, (_, i) => i),
      rowOffsets: offsets(symbols),
      targets: Array.from({ length: symbols.T }, (_, i) => (i % 5) - 1),
    }),
  },
  {
    name: "experts",
    build(b) {
      const [x, router] = [rows(b, 6), b.constant(numbersOf("normal", 24, "f32", 5) as Float32Array, [4, 6])];
      const logits = b.matmul(x, router);
      const ids = b.routeIds(logits, { count: 2 });
      const up = b.expertMatmul(x, b.constant(numbersOf("normal", 4 * 5 * 6, "f32", 6) as Float32Array, [4, 5, 6]), ids);
      const down = b.expertMatmul(
        b.activation(up, { kind: "silu" }),
        b.constant(numbersOf("normal", 4 * 6 * 5, "f32", 7) as Float32Array, [4, 6, 5]),
        ids,
      );
      return { y: b.combine(down, b.routeWeights(logits, ids, { normalize: true })), ids };
    },
  },
  {
    name: "pooled sequences and picked rows",
    build(b) {
      const [x, rowOffsets] = [rows(b, 5), b.input("rowOffsets", { shape: [plus(S, 1)], type: "i32" })];
      const picked = b.gather(x, b.input("picked", { shape: [R], type: "i32" }));
      return {
        mean: b.pool(x, rowOffsets, { kind: "mean" }),
        last: b.pool(x, rowOffsets, { kind: "last" }),
        picked,
        best: b.argmax(picked),
      };
    },
    ids: (symbols) => ({ rowOffsets: offsets(symbols), picked: Array.from({ length: symbols.R }, (_, i) => (i * 3) % symbols.T) }),
  },
];

function layer(b: Builder): Value {
  const x = rows(b, 12);
  const positions = b.input("positions", { shape: [T], type: "i32" });
  const rowOffsets = b.input("rowOffsets", { shape: [plus(S, 1)], type: "i32" });
  const frequencies = b.constant(Float32Array.of(1, 0.1), [2]);
  const normal = b.rmsNorm(x, b.constant(numbersOf("positive", 12, "f32", 8) as Float32Array, [12]), { epsilon: 1e-5 });
  const turn = (v: Value): Value => b.rope(v, positions, frequencies, { headSize: 4, style: "half" });
  const key = b.slice(normal, { axis: 1, start: 0, length: 4 });
  const mixed = b.attention(turn(normal), turn(key), key, rowOffsets, {
    heads: 3,
    keyValueHeads: 1,
    headSize: 4,
    scale: 0.5,
    causal: true,
  });
  return b.add(x, b.glu(mixed, normal, { kind: "geluTanh" }));
}

const caps: Symbols = { T: 13, S: 3, C: 2, R: 6 };
const runs: readonly Symbols[] = [{ T: 7, S: 2, C: 1, R: 3 }, { T: 1, S: 1, C: 1, R: 1 }, caps];

export function graphCases({ create, skips }: Implementation): void {
  describe("graphs", () => {
    it.each(cases.map((one) => [one.name, one] as const))("%s", async (_, { build, ids }) => {
      const graph: Graph = { outputs: new Map(Object.entries(build(createBuilder()))) };
      const missing = inOrder(graph.outputs.values()).find(({ op }) => op in skips);
      if (missing !== undefined) return; // named where the op is tested
      const model = await (await create()).load({ main: graph }, new Map(), { caps });
      for (const symbols of runs) {
        const sources = Object.fromEntries(
          inOrder(graph.outputs.values())
            .filter(({ op }) => op === "input")
            .map((value, i) => [sourceName(value), inputNumbers(value, symbols, i, ids)]),
        );
        expectLike(await model.run({ program: "main", symbols, inputs: sources }), runPlain(graph, { sources, symbols }), 2e-5);
      }
      await model.dispose();
    });
  });
}

function inputNumbers(value: Value, symbols: Symbols, seed: number, ids: GraphCase["ids"]): Float32Array | Int32Array {
  const exactly = value.type === "i32" ? ids?.(symbols)[sourceName(value)] : undefined;
  const length = value.shape.reduce<number>((product, dim) => product * evaluate(dim, symbols), 1);
  return numbersOf(exactly === undefined ? "normal" : { exactly }, length, value.type, seed);
}
