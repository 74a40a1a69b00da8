/** A model with an adapter beside its weights: graphs with the adapter's products, and the weights that fill them. The base stays as it is stored. */
import type { Weight, Weights } from "../../backends/backend.ts";
import { decodeWeights } from "../../backends/weights.ts";
import type { Graph } from "../../graph/value.ts";
import type { Checkpoint, Model } from "../../models/family.ts";
import { createBuilder } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Adapter, Numbers } from "./adapter.ts";
import { changedLinears, type LinearChange, linearChange } from "./linear-change.ts";
import { linearsOf, rewriteLinears } from "./targets.ts";

/** The numbers of a weight, decoded. */
export const numbersOfWeight = async (weights: Weights, name: string): Promise<Float32Array> =>
  (await decodeWeights([createBuilder().weight(name, weights.get(name)?.shape ?? [])], weights, {})).get(name)!;

/**
 * Tensors of the adapter that no weight of the model takes, put among the checkpoint's: a classifier that its base lacks. Throws
 * FRUGAL_UNSUPPORTED for GGUF, which has no place for them.
 */
export function withFurther(checkpoint: Checkpoint, { further }: Adapter): Checkpoint {
  const [first] = further.keys();
  if (first === undefined) return checkpoint;
  if (checkpoint.kind === "huggingface") return { ...checkpoint, tensors: new Map([...checkpoint.tensors, ...further]) };
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${checkpoint.name}: the adapter holds "${first}", for which this file has no place; take the base in Hugging Face layout`,
    { tensor: first },
  );
}

/** Every linear that the adapter changes. Throws FRUGAL_UNSUPPORTED for adapters that are more than changes of linears. */
export async function linearChanges(model: Model, adapter: Adapter): Promise<ReadonlyMap<string, LinearChange>> {
  const rows = [...adapter.weights.keys()].find((name) => /^(?:prompt|prefix)\./.test(name));
  if (rows !== undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `adapter: is of kind ${adapter.config.type}, learned rows in front of the text, which no weights can take in; only training and evaluation use them`,
      { kind: adapter.config.type },
    );
  const changes = new Map<string, LinearChange>();
  for (const name of changedLinears(adapter)) {
    const shape = model.weights.get(name)?.shape ?? [];
    changes.set(name, await linearChange(adapter, name, shape as [number, number], () => numbersOfWeight(model.weights, name)));
  }
  return changes;
}

/** The weights that an adapter gives other numbers: those it holds whole, and biases that IA3 multiplies. */
export async function changedVectors(
  model: Model,
  adapter: Adapter,
  changes: ReadonlyMap<string, LinearChange>,
): Promise<Map<string, Numbers>> {
  const changed = new Map(adapter.replaced);
  for (const [name, { outputs, multipliesBias }] of changes) {
    const bias = `${name}.bias`;
    if (multipliesBias !== true || outputs === undefined || !model.weights.has(bias)) continue;
    const values = changed.get(bias)?.values ?? (await numbersOfWeight(model.weights, bias));
    changed.set(bias, { shape: [outputs.length], values: values.map((value, i) => value * outputs[i]!) });
  }
  return changed;
}

/** The model with the adapter. Rejects as `linearChanges` does. */
export async function adaptedModel(model: Model, adapter: Adapter): Promise<Model> {
  const changes = await linearChanges(model, adapter);
  const weights = new Map(model.weights);
  for (const [name, numbers] of await changedVectors(model, adapter, changes)) weights.set(name, filled(numbers));
  for (const [name, change] of changes) for (const [own, numbers] of addedWeights(name, change)) weights.set(own, filled(numbers));
  return {
    ...model,
    weights,
    graphs: (options) => renewedGraphs(model.graphs(options), (graph) => withChanges(graph, changes)),
  };
}

/** Each graph changed when it is first read: most models are loaded for one of them. */
export function renewedGraphs(graphs: Readonly<Record<string, Graph>>, change: (graph: Graph) => Graph): Readonly<Record<string, Graph>> {
  const all = {};
  for (const name of Object.keys(graphs)) {
    let made: Graph | undefined;
    Object.defineProperty(all, name, { enumerable: true, get: () => (made ??= change(graphs[name]!)) });
  }
  return all;
}

const filled = ({ shape, values }: Numbers): Weight => ({ shape, content: { values: async () => values.slice() } });

function addedWeights(name: string, { lowRank, outputs, inputs }: LinearChange): [string, Numbers][] {
  const added: [string, Numbers][] = [];
  if (lowRank !== undefined) added.push([`${name}.adapterA`, lowRank.a], [`${name}.adapterB`, lowRank.b]);
  if (outputs !== undefined) added.push([`${name}.adapterOutputs`, { shape: [outputs.length], values: outputs }]);
  if (inputs !== undefined) added.push([`${name}.adapterInputs`, { shape: [inputs.length], values: inputs }]);
  return added;
}

/** The graph with the changes of those linears that it has. */
export function withChanges(graph: Graph, changes: ReadonlyMap<string, LinearChange>): Graph {
  const present = linearsOf(graph).flatMap(({ name }) => (changes.has(name) ? [name] : []));
  return rewriteLinears(graph, present, (b, { name, x, y, weight, outputs, inputs }) => {
    const change = changes.get(name)!;
    const product = change.inputs === undefined ? y : b.matmul(b.mul(x, b.weight(`${name}.adapterInputs`, [inputs])), weight);
    const scaled = change.outputs === undefined ? product : b.mul(product, b.weight(`${name}.adapterOutputs`, [outputs]));
    if (change.lowRank === undefined) return scaled;
    const few = b.matmul(x, b.weight(`${name}.adapterA`, [change.lowRank.a.shape[0]!, inputs]));
    return b.add(scaled, b.matmul(few, b.weight(`${name}.adapterB`, [outputs, change.lowRank.a.shape[0]!])));
  });
}
