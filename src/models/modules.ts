/**
 * The tensors of Hugging Face's modules as parts of ours, also for models opened from GGUF: adapters are named and laid out by them.
 * GGUF files whose rope turns neighbouring rows hold the rows of queries and keys in another order, which the parts undo.
 */
import { inOrder, sourceName, type Value } from "../graph/value.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Model } from "./family.ts";
import { storedAt } from "./weights-finder.ts";

export interface ModulePart {
  /** Ours. */
  readonly weight: string;
  readonly shape: Shape;
  /** The row of the module's weight (as [outputs, inputs]) that is row `row` of ours. */
  readonly rows: Int32Array;
}

export interface ModuleTensor {
  /** "model.layers.0.self_attn.q_proj.weight" */
  readonly name: string;
  /** Stored as [inputs, outputs]. */
  readonly transposed: boolean;
  /** Our numbers are those of the tensor and so much more. */
  readonly offset: number;
  /** In the order of their first rows. Parts that no weight of the model fills are missing. */
  readonly parts: readonly ModulePart[];
  /** Rows of all parts together. */
  readonly outputs: number;
}

/** By the tensor's name; stacked experts are not among them. */
export function moduleTensors(model: Model): ReadonlyMap<string, ModuleTensor> {
  const turned = turnedWeights(model);
  const found = new Map<string, ModuleTensor>();
  for (const [weight, { shape }] of model.weights) {
    const layer = /\.(\d+)\./.exec(weight)?.[1];
    const place = model.huggingface.places[everyLayer(weight)];
    const at = place === undefined ? undefined : storedAt(place);
    if (at === undefined || shape.length > 2) continue;
    const name = at.tensor.replace("#", layer ?? "");
    const count = shape[0]!;
    const half = turned.get(everyLayer(weight.replace(/\.bias$/, ""))) ?? ((row) => row);
    const rows = Int32Array.from({ length: count }, (_, row) => at.row(half(row), count));
    const known = found.get(name);
    const parts = [...(known?.parts ?? []), { weight, shape, rows }].sort((a, b) => least(a.rows) - least(b.rows));
    const outputs = parts.reduce((sum, part) => sum + part.rows.length, 0);
    found.set(name, { name, transposed: at.transposed ?? false, offset: at.offset ?? 0, parts, outputs });
  }
  return found;
}

const everyLayer = (weight: string): string => weight.replace(/\.\d+\./, ".#.");
const least = (rows: Int32Array): number => rows.reduce((a, b) => Math.min(a, b));

/**
 * Of weights whose rows the file has in pairs: where a row stands in the order of Hugging Face, whose ropes turn i and i + half. Converters
 * do it to all layers alike, also to those without positions.
 */
function turnedWeights(model: Model): ReadonlyMap<string, (row: number) => number> {
  const turned = new Map<string, (row: number) => number>();
  if (model.fileKind !== "gguf") return turned;
  for (const graph of Object.values(model.graphs()))
    for (const value of inOrder(graph.outputs.values())) {
      if (value.op !== "rope" || value.attributes["style"] !== "interleaved") continue;
      const weight = productBefore(value.inputs[0]!);
      const [headSize, half] = [value.attributes["headSize"] as number, value.inputs[2]!.shape[0] as number];
      if (weight !== undefined) turned.set(everyLayer(weight), (row) => halfRow(row, headSize, half));
    }
  return turned;
}

function halfRow(row: number, headSize: number, half: number): number {
  const within = row % headSize;
  return within < 2 * half ? row - within + (within % 2) * half + Math.floor(within / 2) : row;
}

/** The weight of the product that a value was computed from, before biases, norms and clipping. */
function productBefore(value: Value): string | undefined {
  let at: Value | undefined = value;
  while (at !== undefined && at.op !== "matmul") at = at.inputs[0];
  const weight = at?.inputs[1];
  return weight?.op === "weight" ? sourceName(weight) : undefined;
}
