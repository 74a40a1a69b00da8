/**
 * Tells bases apart by content: a few of a model's numbers, coarse enough to be the same however the model is stored. Two models with
 * different weights agree in them no more than by chance.
 */
import type { RowRange, Weight } from "../../backends/backend.ts";
import { decodeWeights } from "../../backends/weights.ts";
import type { Model } from "../../models/family.ts";
import { createBuilder } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import { size } from "../../tensor/shape.ts";
import { isJsonObject } from "../../formats/json.ts";

/** By the name of a weight: its shape, and samples from -127 to 127. */
export type Fingerprint = Readonly<Record<string, { readonly shape: readonly number[]; readonly samples: readonly number[] }>>;

/** In the metadata of files. */
export const fingerprintKey = "frugal.base";

const samplesEach = 64;
/** Below it two sets of samples have nothing to do with each other; the coarsest formats stay above 0.9. */
const leastCorrelation = 0.7;

/** Samples of the embedding and of the first and the last layer. */
export async function fingerprintOf(model: Model): Promise<Fingerprint> {
  const ends = ["attention.output", "mlp.down"];
  const names = ["embedding", ...new Set([0, model.layers - 1].flatMap((layer) => ends.map((end) => `layers.${layer}.${end}`)))];
  const found: Record<string, Fingerprint[string]> = {};
  for (const name of names) {
    const weight = model.weights.get(name);
    if (weight === undefined || weight.shape.length !== 2) continue;
    const sampled = await sample(name, weight);
    const largest = sampled.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    found[name] = { shape: weight.shape, samples: Array.from(sampled, (value) => Math.round((127 * value) / largest)) };
  }
  return found;
}

/** Numbers spread over some rows of the weight; where it is stored row by row, no others are read. */
async function sample(name: string, weight: Weight): Promise<Float32Array> {
  const [rows, width] = weight.shape as readonly [number, number];
  const some = Math.min(8, rows);
  const chosen = Array.from({ length: some }, (_, i) => Math.floor((i * rows) / some));
  const few: Weight =
    "rows" in weight.content ? { shape: [some, width], content: { rows: chosen.map((row) => rowOf(weight, row)) } } : weight;
  const values = (await decodeWeights([createBuilder().weight(name, few.shape)], new Map([[name, few]]), {})).get(name)!;
  return Float32Array.from({ length: samplesEach }, (_, i) => {
    const index = i % some;
    const row = few === weight ? chosen[index]! : index;
    return values[row * width + ((i * 7919) % width)]!;
  });
}

function rowOf({ content }: Weight, row: number): RowRange {
  let before = 0;
  for (const range of "rows" in content ? content.rows : []) {
    if (row < before + range.count) return { tensor: range.tensor, first: range.first + row - before, count: 1 };
    before += range.count;
  }
  throw new FrugalError("FRUGAL_INTERNAL", `fingerprint: there is no row ${row}`);
}

/** Reads what `JSON.stringify` made of a fingerprint; undefined for anything else. */
export function parseFingerprint(text: string | undefined): Fingerprint | undefined {
  if (text === undefined || text.length > 1 << 16) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    const isNumbers = (value: unknown): boolean => Array.isArray(value) && value.every((each) => typeof each === "number");
    const isEntry = (value: unknown): boolean => isJsonObject(value) && isNumbers(value["shape"]) && isNumbers(value["samples"]);
    return isJsonObject(json) && Object.values(json).every(isEntry) ? (json as Fingerprint) : undefined;
  } catch {
    return undefined;
  }
}

/** Throws FRUGAL_BAD_ARGUMENT where the model is not the one that the fingerprint was taken of. */
export async function expectBase(adapter: string, model: Model, wanted: Fingerprint, baseName: string | undefined): Promise<void> {
  const refuse = (problem: string): never => {
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${adapter}: was made for another base: ${problem}; take the base it was made for${baseName === undefined ? "" : `, ${JSON.stringify(baseName.slice(0, 200))}`}`,
      { adapter, base: baseName?.slice(0, 200) },
    );
  };
  const own = await fingerprintOf(model);
  for (const [name, { shape, samples }] of Object.entries(wanted)) {
    const found = own[name];
    if (found === undefined) return refuse(`this model has no weight "${name}"`);
    if (found.shape.join() !== shape.join() || size(shape) === 0)
      return refuse(`its "${name}" is [${shape.join(", ")}], this model's is [${found.shape.join(", ")}]`);
    const agreement = correlation(samples, found.samples);
    if (agreement < leastCorrelation)
      return refuse(`samples of its "${name}" and of this model's have a correlation of ${agreement.toFixed(2)}`);
  }
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths === 0 ? Number(dot(a, a) === dot(b, b)) : dot(a, b) / lengths;
}
