/** A model with what `tuned.safetensors` holds: trained weights of techniques for which PEFT has no file, such as bottleneck adapters. */
import type { Weight } from "../backends/backend.ts";
import { isJsonObject, parseJson } from "../formats/json.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import type { Checkpoint, Model } from "../models/family.ts";
import { openModel } from "../models/index.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { TuningTechnique } from "../training/technique.ts";
import { tuningTechnique } from "./index.ts";
import { numbersOfWeight, renewedGraphs } from "./tuning/adapted-model.ts";
import { type Numbers, numbersOf } from "./tuning/adapter.ts";

/** The name of such a file in a training's folder, and of its metadata that say which technique it was. */
export const tunedName = "tuned.safetensors";
const techniqueKey = "frugal.technique";

/** Closes the source. Rejects with FRUGAL_BAD_FILE, FRUGAL_UNSUPPORTED, and FRUGAL_BAD_ARGUMENT where it was made for another base. */
export async function openTunedModel(source: ByteSource, checkpoint: Checkpoint, signal?: AbortSignal): Promise<Model> {
  const path = source.name;
  const { technique, numbers } = await readTuned(source, signal);
  const model = openModel(checkpoint);
  const graph = model.graphs()["score"];
  if (graph === undefined || technique.serve === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${path}: what "${technique.name}" trained cannot be served beside ${checkpoint.name}`, {
      technique: technique.name,
    });
  const begun = { graph, weights: model.weights, trained: new Set<string>(), virtualTokens: 0 };
  const made = await technique.apply(begun, { seed: 0, numbers: (name) => numbersOfWeight(model.weights, name) });
  if (made.virtualTokens > 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${path}: learned rows in front of the text cannot be served; only training uses them`);
  const weights = new Map<string, Weight>(made.weights);
  for (const [name, { shape, values }] of numbers) {
    const own = weights.get(name);
    const near = own === undefined ? nearest(name, made.trained) : undefined;
    if (own?.shape.join() !== shape.join())
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${path}: "${name.slice(0, 100)}" is [${shape.join(", ")}], but with this model ${own === undefined ? `there is none${near === undefined ? "" : ` (the nearest is "${near}")`}` : `it is [${own.shape.join(", ")}]`}; it was made for another base`,
        { weight: name.slice(0, 100) },
      );
    weights.set(name, { shape, content: { values: async () => values.slice() } });
  }
  const missing = [...made.trained].find((name) => !numbers.has(name));
  if (missing !== undefined)
    throw new FrugalError("FRUGAL_BAD_FILE", `${path}: has no "${missing}", which ${technique.name} trains; get the whole file`, {
      weight: missing,
    });
  return { ...model, weights, graphs: (options) => renewedGraphs(model.graphs(options), technique.serve!) };
}

async function readTuned(source: ByteSource, signal?: AbortSignal): Promise<{ technique: TuningTechnique; numbers: Map<string, Numbers> }> {
  const path = source.name;
  try {
    const { tensors, metadata } = await readSafetensors(source, signal === undefined ? {} : { signal });
    const text = metadata.get(techniqueKey);
    const said = text === undefined ? undefined : parseJson(`${path} (${techniqueKey})`, new TextEncoder().encode(text));
    if (!isJsonObject(said) || typeof said["name"] !== "string")
      throw new FrugalError("FRUGAL_BAD_FILE", `${path}: does not say which technique it was trained with; name an adapter or a model`);
    const { name, ...options } = said;
    const numbers = new Map<string, Numbers>();
    for (const [own, tensor] of tensors) numbers.set(own, await numbersOf(tensor));
    return { technique: tuningTechnique(name as string, options), numbers };
  } finally {
    await source.close();
  }
}
