/**
 * Gradients of every family's fixture against PyTorch's, which are stored under the names and in the layout of the checkpoint. Weights that
 * are fused, transposed or shifted there are traced: the model is opened once with the number of each stored element in the element's place.
 */
import type { Backend } from "../src/backends/backend.ts";
import { decodeWeights } from "../src/backends/weights.ts";
import { symbol } from "../src/graph/dim.ts";
import { type Graph, inOrder, sourceName, type Value } from "../src/graph/value.ts";
import type { Checkpoint, Model } from "../src/models/family.ts";
import { openModel } from "../src/models/index.ts";
import { createBuilder } from "../src/ops/builder.ts";
import { F32 } from "../src/tensor/formats/floats.ts";
import { size } from "../src/tensor/shape.ts";
import { bytesSource } from "../src/tensor/source.ts";
import type { StoredTensor } from "../src/tensor/stored.ts";
import { differentiate } from "../src/transforms/differentiate.ts";
import { caps, type Fixture, openFixture, readCases, run, wholeParts } from "./families.ts";

type Gradients = ReadonlyMap<string, Float32Array>;
type Arrays = ReadonlyMap<string, Float32Array>;

/** The worst difference there is, as a part of the gradient's own size, and the tensor that has it. */
export interface Difference {
  readonly relative: number;
  readonly tensor: string;
}

/** Differentiates a fixture's graph on a backend, and compares with what PyTorch gave: see testing/oracles/README.md. */
export async function compareGradients(backend: Backend, fixture: Fixture): Promise<Difference> {
  const checkpoint = await openFixture(fixture);
  try {
    const wanted = await readCases(fixture.name, "gradients");
    const names = [...checkpoint.tensors.keys()].sort();
    return worstOf(names, await storedGradients(backend, checkpoint, await readCases(fixture.name)), wanted);
  } finally {
    await checkpoint.close();
  }
}

/** A weight of each element, between -1 and 1: Knuth's multiplicative hash of its index, as the oracle has it. */
const pattern = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 0) / 2 ** 31 - 1);

/** By the checkpoint's names and in its layout. */
async function storedGradients(backend: Backend, checkpoint: Checkpoint, cases: Arrays): Promise<Gradients> {
  const model = openModel(checkpoint);
  // Frequencies that depend on the length are those of one text.
  const labels = model.kind === "text" && !cases.has("long.continuation") ? ["long"] : undefined;
  const parts = wholeParts(model, cases, labels);
  const contextLength = parts[0]!.to;
  const forward = model.graphs({ contextLength })[model.kind === "text" ? "score" : "embed"]!;
  const places = await elementNumbers(checkpoint, forward);
  const learned = inOrder(forward.outputs.values()).filter((value) => places.has(sourceName(value)) && value.op === "weight");
  const loss = weightedSum(model, forward);
  const found = differentiate(loss.sum, learned);
  const graph: Graph = { outputs: new Map(learned.map((weight, i) => [sourceName(weight), found[i]!])) };

  const loaded = await backend.load({ gradients: graph }, model.weights, { caps });
  const rows = { T: parts.reduce((sum, { to }) => sum + to, 0), S: parts.length };
  const others = loss.weights.map(({ name, per, width }) => [name, pattern(rows[per] * width)] as const);
  const ours = await run(loaded, "gradients", graph, parts, Object.fromEntries(others));
  await loaded.dispose();
  return layOut(checkpoint, ours, places);
}

interface Loss {
  readonly sum: Value;
  readonly weights: readonly { readonly name: string; readonly per: "T" | "S"; readonly width: number }[];
}

/** The sum of the outputs that the oracle looks at, each number times its weight. */
function weightedSum(model: Model, { outputs }: Graph): Loss {
  const b = createBuilder();
  const names = model.kind === "text" ? ["logits"] : ["lastHiddenState", "embeddings", "poolerOutput"].filter((name) => outputs.has(name));
  const weights = names.map((output) => ({
    name: `weights.${output}`,
    per: output === "lastHiddenState" || output === "logits" ? ("T" as const) : ("S" as const),
    width: outputs.get(output)!.shape[1] as number,
  }));
  const sums = names.map((output, i) => {
    const value = outputs.get(output)!;
    const rows = symbol(output === "logits" ? "R" : weights[i]!.per);
    const weight = b.input(weights[i]!.name, { shape: [rows, weights[i]!.width], type: "f32" });
    return b.sum(b.sum(b.mul(value, weight), { axis: 1 }), { axis: 0 });
  });
  return { sum: sums.reduce((all, each) => b.add(all, each)), weights };
}

/** Of each weight that comes from the file: the number of the stored element behind each of its elements, counted from 1 over all tensors. */
async function elementNumbers(checkpoint: Checkpoint, graph: Graph): Promise<Arrays> {
  const weights = inOrder(graph.outputs.values()).filter(({ op }) => op === "weight");
  const decode = async (first: (before: number) => number, step: number): Promise<Arrays> => {
    let before = 0;
    const tensors = new Map<string, StoredTensor>();
    for (const [name, { shape }] of checkpoint.tensors) {
      const start = first(before);
      const values = Float32Array.from({ length: size(shape) }, (_, i) => start + step * i);
      const source = bytesSource(name, new Uint8Array(values.buffer));
      tensors.set(name, { name, shape, format: F32, source, offset: 0, byteLength: values.byteLength });
      before += values.length;
    }
    return decodeWeights(weights, openModel({ ...checkpoint, tensors }).weights, {});
  };
  // A weight may be stored as its difference from 1; what is computed from the configuration is the same either way.
  const [numbers, zeros] = [await decode((before) => before + 1, 1), await decode(() => 0, 0)];
  const places = new Map([...numbers].map(([name, values]) => [name, values.map((value, i) => value - zeros.get(name)![i]!)]));
  return new Map([...places].filter(([, values]) => values.some((value) => value !== 0)));
}

/** The chain rule of a selection: an element's gradient is the sum of those of all that read it. */
function layOut(checkpoint: Checkpoint, ours: Readonly<Record<string, ArrayLike<number>>>, places: Arrays): Gradients {
  const tensors = [...checkpoint.tensors].map(([name, { shape }]) => [name, size(shape)] as const);
  const all = new Float32Array(tensors.reduce((sum, [, count]) => sum + count, 0));
  for (const [name, numbers] of places) numbers.forEach((number, i) => (all[number - 1]! += ours[name]![i]!));
  let before = 0;
  return new Map(tensors.map(([name, count]) => [name, all.subarray(before, (before += count))]));
}

/** A gradient shorter than this part of the longest is rounding around a true zero: biases of keys, which softmax takes out again. */
const rounding = 1e-6;

/** Lengths and products with the pattern differ by parts of the length, single elements by parts of the largest. */
function worstOf(names: readonly string[], got: Gradients, wanted: Arrays): Difference {
  const zero = rounding * Math.max(...wanted.get("norms")!);
  let worst: Difference = { relative: 0, tensor: "" };
  names.forEach((tensor, row) => {
    const relative = differenceOf(got.get(tensor)!, wanted, row, names.length, zero);
    if (!(relative <= worst.relative)) worst = { relative, tensor };
  });
  return worst;
}

function differenceOf(gradient: Float32Array, wanted: Arrays, row: number, rows: number, zero: number): number {
  const norm = wanted.get("norms")![row]!;
  const length = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
  if (norm < zero) return length < zero ? 0 : length / zero;
  const kept = wanted.get("values")!.length / rows;
  const positions = wanted.get("positions")!.subarray(row * kept, (row + 1) * kept);
  const values = wanted.get("values")!.subarray(row * kept, (row + 1) * kept);
  const weights = pattern(gradient.length);
  const product = gradient.reduce((sum, value, i) => sum + value * weights[i]!, 0);
  const largest = Math.max(...values.map(Math.abs));
  return Math.max(
    Math.abs(length - norm) / norm,
    Math.abs(product - wanted.get("products")![row]!) / norm,
    ...values.map((value, i) => Math.abs(gradient[positions[i]!]! - value) / largest),
  );
}
