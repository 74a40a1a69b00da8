/** Learned rows in front of the text as PEFT keeps them, `prompt_embeddings`: rows of embeddings, or keys and values of all layers side by side. */
import type { PeftConfig } from "../../formats/peft-config.ts";
import { sourceName, type Value, valuesOf } from "../../graph/value.ts";
import type { Model } from "../../models/family.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Numbers } from "./adapter.ts";

/** `prompt.embedding`, or `prefix.key.N` and `prefix.value.N`. Throws FRUGAL_BAD_ARGUMENT where the rows do not fit the model. */
export function readVirtual(name: string, config: PeftConfig, { shape, values }: Numbers, model: Model): [string, Numbers][] {
  const { count, width, keyWidth } = sizesOf(name, config, model);
  const wanted = config.type === "PREFIX_TUNING" ? model.layers * 2 * keyWidth : width;
  if (shape.length !== 2 || shape[0] !== count || shape[1] !== wanted)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${name}: prompt_embeddings is [${shape.join(", ")}], but this model and the configuration need [${count}, ${wanted}]; it was made for another base`,
      { wanted },
    );
  if (config.type !== "PREFIX_TUNING") {
    const scale = embeddingScale(model);
    return [["prompt.embedding", { shape, values: values.map((value) => value / scale) }]];
  }
  return Array.from({ length: 2 * model.layers }, (_, part): [string, Numbers] => {
    const own = new Float32Array(count * keyWidth);
    for (let row = 0; row < count; row++)
      own.set(values.subarray(row * wanted + part * keyWidth, row * wanted + (part + 1) * keyWidth), row * keyWidth);
    return [prefixName(part), { shape: [count, keyWidth], values: own }];
  });
}

/** The other way round. */
export function writeVirtual(name: string, config: PeftConfig, weights: ReadonlyMap<string, Numbers>, model: Model): Numbers {
  const { count, width, keyWidth } = sizesOf(name, config, model);
  const missing = (weight: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_ARGUMENT", `${name}: the adapter has no "${weight}"; give all of its weights`, { weight });
  if (config.type !== "PREFIX_TUNING") {
    const rows = weights.get("prompt.embedding");
    if (rows === undefined) throw missing("prompt.embedding");
    const scale = embeddingScale(model);
    return { shape: [count, width], values: rows.values.map((value) => value * scale) };
  }
  const total = model.layers * 2 * keyWidth;
  const values = new Float32Array(count * total);
  for (let part = 0; part < 2 * model.layers; part++) {
    const own = weights.get(prefixName(part));
    if (own === undefined) throw missing(prefixName(part));
    for (let row = 0; row < count; row++)
      values.set(own.values.subarray(row * keyWidth, (row + 1) * keyWidth), row * total + part * keyWidth);
  }
  return { shape: [count, total], values };
}

/** Keys and values take turns. */
const prefixName = (part: number): string => `prefix.${part % 2 === 0 ? "key" : "value"}.${part >> 1}`;

function sizesOf(name: string, config: PeftConfig, model: Model): { count: number; width: number; keyWidth: number } {
  if (!("virtualTokens" in config))
    throw new FrugalError("FRUGAL_BAD_FILE", `${name}: has prompt_embeddings, which an adapter of kind ${config.type} has not`);
  const keys = model.weights.get("layers.0.attention.key")?.shape[0] ?? 0;
  const width = model.weights.get("embedding")?.shape[1] ?? 0;
  return { count: config.virtualTokens, width, keyWidth: keys };
}

/** What the family multiplies embeddings by: PEFT's rows stand behind that. */
function embeddingScale(model: Model): number {
  const values = valuesOf(model.graphs()["score"] ?? { outputs: new Map() });
  const isTable = (value: Value | undefined): boolean => value?.op === "weight" && sourceName(value) === "embedding";
  const looked = values.find((value) => value.op === "gather" && isTable(value.inputs[0]));
  const users = values.filter((value) => looked !== undefined && value.inputs.includes(looked));
  const by = users.length === 1 ? users[0]!.attributes["by"] : undefined;
  return typeof by === "number" ? by : 1;
}
