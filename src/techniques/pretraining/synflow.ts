/**
 * SynFlow (Tanaka et al. 2020, arXiv 2006.05467) summed over a model: R is the sum of the outputs for an input of ones, all weights made positive and
 * all else made linear; the score is ln Σ |θ · ∂R/∂θ|. No data. One row runs through the model, so attention hands its value on; norms only
 * multiply by their weights, activations do nothing, gates are added, positions do not turn. Embeddings are replaced by the ones.
 */
import { type Graph, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { filled } from "../../ops/spread.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Weight, Weights } from "../../backends/backend.ts";
import { decodeWeights } from "../../backends/weights.ts";
import { type Candidate, parametersOf, readGradients, saliency, withGradients, type ZeroCostProxy } from "./zero-cost.ts";

export const synflow: ZeroCostProxy = {
  name: "synflow",
  paper: {
    title: "Pruning neural networks without any data by iteratively conserving synaptic flow",
    authors: "Hidenori Tanaka, Daniel Kunin, Daniel L. K. Yamins, Surya Ganguli",
    year: 2020,
    url: "https://arxiv.org/abs/2006.05467",
  },
  survey: "4.1 pre-training: architecture search",
  async score(candidate) {
    const weights = positive(candidate);
    // The flow of a deep model is beyond F32: input and seed are made smaller until everything between them fits.
    for (const exponent of [0, -32, -64, -96, -120]) {
      const sum = await flow(candidate, weights, 2 ** exponent);
      if (Number.isFinite(sum) && sum > 0) return Math.log(sum) - 2 * exponent * Math.LN2;
    }
    throw new FrugalError(
      "FRUGAL_NUMERIC",
      "synflow: the flow through the model is beyond F32; compare smaller models, or use another proxy",
    );
  },
};

async function flow({ graph, backend, signal }: Candidate, weights: Weights, unit: number): Promise<number> {
  const linear = linearised(graph, unit);
  const b = createBuilder();
  const total = b.scale(b.sum(linear.outputs.get("logits")!, { axis: 1 }), { by: unit });
  const outputs = withGradients(total, parametersOf(linear));
  const symbols = { T: 1, S: 1, C: 1, R: 1 };
  const loaded = await backend.load({ flow: { outputs } }, weights, { caps: symbols, ...(signal && { signal }) });
  try {
    const names = valuesOf({ outputs }).flatMap((value) => (value.op === "input" ? [sourceName(value)] : []));
    const inputs = Object.fromEntries(names.map((name) => [name, name === "rowOffsets" ? Int32Array.of(0, 1) : Int32Array.of(0)]));
    const found = await loaded.run({ program: "flow", symbols, inputs, ...(signal && { signal }) });
    return saliency(readGradients(linear, found as Record<string, Float32Array>));
  } catch (error) {
    if (error instanceof FrugalError && error.code === "FRUGAL_NUMERIC") return Number.NaN;
    throw error;
  } finally {
    await loaded.dispose();
  }
}

type Replacement = (b: Builder, value: Value) => Value;

const itself: Replacement = (_, { inputs }) => inputs[0]!;
const kept: Replacement = (_, value) => value;

/** What stands for each op; a model with another one is not rated. */
const linear: Readonly<Record<string, Replacement>> = {
  ...Object.fromEntries(
    ["input", "weight", "constant", "matmul", "add", "scale", "reshape", "slice", "concat", "gather"].map((op) => [op, kept]),
  ),
  ...Object.fromEntries(["activation", "tanh", "rope"].map((op) => [op, itself])),
  glu: (b, { inputs: [gate, up] }) => b.add(gate!, up!),
  rmsNorm: (b, { inputs: [x, weight], attributes }) => (attributes["groups"] === undefined ? b.mul(x!, weight!) : x!),
  layerNorm: (b, { inputs: [x, weight, bias] }) => b.add(b.mul(x!, weight!), bias!),
  attention: (b, { inputs: [, , v], attributes, shape }) => {
    const [heads, groups] = [attributes["heads"] as number, attributes["keyValueHeads"] as number];
    const size = (v!.shape[1] as number) / groups;
    const spread = b.broadcast(b.reshape(v!, { shape: [v!.shape[0]!, groups, 1, size] }), {
      shape: [v!.shape[0]!, groups, heads / groups, size],
    });
    return b.reshape(spread, { shape });
  },
};

function linearised(graph: Graph, unit: number): Graph {
  const b = createBuilder();
  return rewrite(graph, (value) => {
    const [table, ids] = value.inputs;
    if (table?.op === "weight" && ids?.op === "input" && sourceName(ids) === "tokens") return filled(b, unit, value.shape);
    const replacement = Object.hasOwn(linear, value.op) ? linear[value.op] : undefined;
    if (replacement === undefined)
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `synflow: nobody has said what stands for "${value.op}" in a linear model; use another proxy`,
        {
          op: value.op,
        },
      );
    return replacement(b, value);
  });
}

function positive({ graph, weights }: Candidate): Weights {
  return new Map(
    valuesOf(graph).flatMap((value): [string, Weight][] => {
      if (value.op !== "weight") return [];
      const name = sourceName(value);
      const values = async (): Promise<Float32Array> => (await decodeWeights([value], weights, {})).get(name)!.map(Math.abs);
      return [[name, { shape: value.shape as readonly number[], content: { values } }]];
    }),
  );
}
