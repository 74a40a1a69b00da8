/** What was trained beside a model, as the adapter that files hold: which kind PEFT calls it, at what scale, and the numbers to be kept. */
import { createReferenceBackend } from "../backends/reference/backend.ts";
import type { PeftConfig } from "../formats/peft-config.ts";
import type { Graph } from "../graph/value.ts";
import type { Model } from "../models/family.ts";
import { FrugalError } from "../tensor/error.ts";
import type { TuningTechnique } from "../training/technique.ts";
import type { Tuned } from "../training/tune.ts";
import type { Numbers } from "./tuning/adapter.ts";
import { type LowRank, type LowRankOptions, lowRanks } from "./tuning/low-rank.ts";
import type { AdapterToWrite } from "./tuning/peft-write.ts";

/** By the technique's name, what PEFT needs to hear beside the weights. Techniques that are not here have no file of PEFT's. */
const kinds: Readonly<Record<string, (options: Readonly<Record<string, unknown>>, model: Model) => PeftConfig>> = {
  lora: (options) => lowRankConfig(options),
  "lora-plus": (options) => lowRankConfig(options),
  qlora: (options) => lowRankConfig(options),
  pissa: (options) => lowRankConfig(options),
  rslora: (options) => ({ ...lowRankConfig(options), rslora: true }),
  dora: (options) => ({ ...lowRankConfig(options), dora: true }),
  adalora: ({ rank = 8, alpha = 8, orthogonality }) => ({
    type: "ADALORA",
    alpha: Number(alpha),
    initialRank: Number(rank),
    targetRank: Number(rank),
    orthogonalWeight: orthogonality as number | undefined,
  }),
  vera: ({ rank = 256, initial = 0.1 }) => ({ type: "VERA", rank: Number(rank), initialD: Number(initial) }),
  ia3: ({ feedForward }) => ({ type: "IA3", feedforwardModules: listed(feedForward) }),
  prompt: (options, model) => virtualConfig("PROMPT_TUNING", options, model),
  prefix: (options, model) => virtualConfig("PREFIX_TUNING", options, model),
  "p-tuning": (options, model) => virtualConfig("P_TUNING", options, model),
  "ln-tuning": () => ({ type: "LN_TUNING" }),
};

export const hasPeftFile = ({ name }: TuningTechnique): boolean => Object.hasOwn(kinds, name);

/** Throws FRUGAL_UNSUPPORTED for a technique whose weights PEFT has no file for. */
export async function tunedAdapter(technique: TuningTechnique, model: Model, { trainable, read }: Tuned): Promise<AdapterToWrite> {
  const options = (technique.options ?? {}) as Readonly<Record<string, unknown>>;
  if (!hasPeftFile(technique))
    throw new FrugalError("FRUGAL_UNSUPPORTED", `tune: PEFT has no file for "${technique.name}"`, { technique: technique.name });
  const numbers = async (name: string): Promise<Numbers> => {
    const { shape, content } = trainable.weights.get(name)!;
    if (trainable.trained.has(name)) return { shape, values: await read(name) };
    if ("values" in content) return { shape, values: await content.values() };
    throw new FrugalError("FRUGAL_INTERNAL", `tune: "${name}" is neither trained nor computed`, { weight: name });
  };
  const added = [...trainable.weights.keys()].filter((name) => !model.weights.has(name));
  const weights = new Map<string, Numbers>();
  for (const name of added) weights.set(name, await numbers(name));
  const replaced = new Map<string, Numbers>();
  for (const name of trainable.trained) if (model.weights.has(name)) replaced.set(name, await numbers(name));
  const config = kinds[technique.name]!(options, model);
  if ("virtualTokens" in config) return { config, weights: await withoutEncoder(technique, trainable.graph, weights) };
  const low = config.type === "LORA" ? lowRanks(model.graphs()["score"]!, lowRankOptions(options, config), technique.name) : [];
  return {
    config,
    weights: technique.name === "pissa" ? withoutPrincipal(weights, low) : weights,
    scales: new Map(low.map(({ name, scale }) => [name, scale])),
    replaced,
  };
}

const lowRankConfig = ({ rank = 8, alpha = 8, scaling }: Readonly<Record<string, unknown>>): PeftConfig & { type: "LORA" } => ({
  type: "LORA",
  rank: Number(rank),
  alpha: Number(alpha),
  bias: "none",
  ...(scaling === "square-root" ? { rslora: true } : {}),
});

/** Those options that ranks and scales depend on. */
function lowRankOptions(options: Readonly<Record<string, unknown>>, config: PeftConfig & { type: "LORA" }): LowRankOptions {
  const { rank, alpha, targets, rankPattern, alphaPattern } = options as LowRankOptions;
  return { rank, alpha, targets, rankPattern, alphaPattern, scaling: config.rslora === true ? "square-root" : "rank" };
}

function virtualConfig(
  type: "PROMPT_TUNING" | "PREFIX_TUNING" | "P_TUNING",
  { virtualTokens, hidden, projection }: Readonly<Record<string, unknown>>,
  model: Model,
): PeftConfig {
  const heads = Number(model.summary[type === "PREFIX_TUNING" ? "keyValueHeads" : "heads"]);
  const width = model.embeddingSize;
  const keyWidth = heads * Number(model.summary["headSize"]);
  const inside = hidden ?? projection;
  return {
    type,
    virtualTokens: Number(virtualTokens),
    numLayers: model.layers,
    heads,
    width: type === "PREFIX_TUNING" ? keyWidth : width,
    ...(inside === undefined ? {} : { encoderHidden: Number(inside) }),
  };
}

const listed = (names: unknown): readonly string[] | string | undefined =>
  typeof names === "string" ? names.split(",").map((name) => name.trim()) : (names as readonly string[] | undefined);

/** B A − B₀ A₀ is one product of twice the rank. */
function withoutPrincipal(weights: ReadonlyMap<string, Numbers>, low: readonly LowRank[]): Map<string, Numbers> {
  const found = new Map<string, Numbers>();
  for (const { name, rank, inputs, outputs } of low) {
    const part = (end: string): Float32Array => weights.get(`${name}.${end}`)!.values;
    const a = new Float32Array(2 * rank * inputs);
    a.set(part("loraA"));
    a.set(part("principalA"), rank * inputs);
    const [b, begun] = [part("loraB"), part("principalB")];
    const both = new Float32Array(outputs * 2 * rank);
    for (let row = 0; row < outputs; row++)
      for (let column = 0; column < rank; column++) {
        both[row * 2 * rank + column] = b[row * rank + column]!;
        both[row * 2 * rank + rank + column] = -begun[row * rank + column]!;
      }
    found.set(`${name}.loraA`, { shape: [2 * rank, inputs], values: a });
    found.set(`${name}.loraB`, { shape: [outputs, 2 * rank], values: both });
  }
  return found;
}

/** Where a network makes the rows, files hold what it made. */
async function withoutEncoder(
  technique: TuningTechnique,
  graph: Graph,
  weights: ReadonlyMap<string, Numbers>,
): Promise<ReadonlyMap<string, Numbers>> {
  if (![...weights.keys()].some((name) => name.includes(".encoder."))) return weights;
  const rows = technique.rows?.(graph);
  if (rows === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `tune: what the network of "${technique.name}" makes cannot be computed`, {
      technique: technique.name,
    });
  const caps = { T: 1, S: 1, C: 1, R: 1 };
  const given = new Map(
    [...weights].map(([name, { shape, values }]) => [name, { shape, content: { values: async () => values } }] as const),
  );
  const loaded = await createReferenceBackend().load({ rows }, given, { caps });
  try {
    const outputs = await loaded.run({ program: "rows", symbols: caps, inputs: {} });
    return new Map(
      [...rows.outputs].map(([name, { shape }]) => [name, { shape: shape as readonly number[], values: outputs[name] as Float32Array }]),
    );
  } finally {
    await loaded.dispose();
  }
}
