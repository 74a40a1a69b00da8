/** Sequences in a cache, for tests of it: a graph of layers that keep keys and values, some rows of some sequences in one run, and what attention gives. */
import type { LoadedModel } from "../../src/backends/backend.ts";
import { plus, symbol, type Symbols } from "../../src/graph/dim.ts";
import type { Graph } from "../../src/graph/value.ts";
import type { AttentionAttributes } from "../../src/ops/attend.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import { numbersOf } from "./numbers.ts";
import { noSymbols, runPlain } from "./plain.ts";

export const base: AttentionAttributes = { heads: 4, keyValueHeads: 2, headSize: 8, scale: 0.35 };
export const caps: Symbols = { T: 80, S: 3, C: 3, R: 1 };

/** Layer i has its pages from `tables[i]`, which is "pageTable" where it is not said. */
export function cacheGraph(attributes: AttentionAttributes, layers: readonly number[], tables: readonly string[] = []): Graph {
  const b = createBuilder();
  const [T, S, C] = [symbol("T"), symbol("S"), symbol("C")];
  const width = attributes.keyValueHeads * attributes.headSize;
  const q = b.input("q", { shape: [T, attributes.heads * attributes.headSize], type: "f32" });
  const [k, v] = [b.input("k", { shape: [T, width], type: "f32" }), b.input("v", { shape: [T, width], type: "f32" })];
  const ids = (name: string, shape: readonly (typeof T)[]) => b.input(name, { shape, type: "i32" });
  const places = [ids("positions", [T]), ids("rowOffsets", [plus(S, 1)]), ids("contextLengths", [S])] as const;
  const table = (i: number) => ids(tables[i] ?? "pageTable", [S, C]);
  // Each layer keeps other keys, so that layers which mix show.
  const results = layers.map(
    (layer, i) =>
      [`y${layer}`, b.cacheAttention(q, b.scale(k, { by: 1 + layer }), v, ...places, table(i), { ...attributes, layer })] as const,
  );
  return { outputs: new Map(results) };
}

/** A sequence: its whole queries, keys and values, and the pages it was given. */
export interface Sequence {
  readonly length: number;
  readonly pages: readonly number[];
  /** Those of tables with other names. */
  readonly others?: Readonly<Record<string, readonly number[]>>;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

export function sequence(
  { heads, keyValueHeads, headSize }: AttentionAttributes,
  length: number,
  pages: readonly number[],
  seed: number,
): Sequence {
  const numbers = (width: number, part: number): Float32Array =>
    numbersOf("normal", length * width, "f32", 10 * seed + part) as Float32Array;
  return {
    length,
    pages,
    q: numbers(heads * headSize, 0),
    k: numbers(keyValueHeads * headSize, 1),
    v: numbers(keyValueHeads * headSize, 2),
  };
}

export interface Chunk {
  readonly of: Sequence;
  readonly from: number;
  readonly to: number;
}

/** One call with some rows of some sequences; the results by output, one array for each chunk. */
export async function run(model: LoadedModel, chunks: readonly Chunk[]): Promise<Record<string, Float32Array[]>> {
  const rows = chunks.map(({ from, to }) => to - from);
  const total = rows.reduce((sum, n) => sum + n, 0);
  const pick = (name: "q" | "k" | "v"): Float32Array =>
    Float32Array.from(
      chunks.flatMap(({ of, from, to }) => [
        ...of[name].subarray((from * of[name].length) / of.length, (to * of[name].length) / of.length),
      ]),
    );
  const pages = Math.max(...chunks.map(({ of }) => of.pages.length));
  const table = (of: (sequence: Sequence) => readonly number[]): Int32Array =>
    Int32Array.from(chunks.flatMap((chunk) => Array.from({ length: pages }, (_, i) => of(chunk.of)[i] ?? 0)));
  const others = Object.keys(chunks[0]!.of.others ?? {}).map((name) => [name, table((each) => each.others![name]!)] as const);
  const outputs = await model.run({
    program: "main",
    symbols: { T: total, S: chunks.length, C: pages, R: 0 },
    inputs: {
      q: pick("q"),
      k: pick("k"),
      v: pick("v"),
      positions: Int32Array.from(chunks.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))),
      rowOffsets: Int32Array.from(rows.reduce<number[]>((offsets, n) => [...offsets, offsets[offsets.length - 1]! + n], [0])),
      contextLengths: Int32Array.from(chunks, ({ to }) => to),
      pageTable: table((each) => each.pages),
      ...Object.fromEntries(others),
    },
  });
  return Object.fromEntries(
    Object.entries(outputs).map(([name, data]) => {
      let at = 0;
      return [name, rows.map((n) => (data as Float32Array).slice((at * data.length) / total, ((at += n) * data.length) / total))];
    }),
  );
}

/** attention over the whole sequence, in double precision. */
export function whole(attributes: AttentionAttributes, of: Sequence, layer = 0): { readonly data: ArrayLike<number> } {
  const b = createBuilder();
  const input = (name: string, data: Float32Array) => b.input(name, { shape: [of.length, data.length / of.length], type: "f32" });
  const rowOffsets = b.constant(Int32Array.of(0, of.length), [2]);
  const y = b.attention(input("q", of.q), b.scale(input("k", of.k), { by: 1 + layer }), input("v", of.v), rowOffsets, {
    ...attributes,
    causal: true,
  });
  return runPlain({ outputs: new Map([["y", y]]) }, { sources: { q: of.q, k: of.k, v: of.v }, symbols: noSymbols })["y"]!;
}

export const joined = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...part]));
