/** Going on from an adapter that was trained before: its technique, and its numbers in place of first ones. */
import type { Weight } from "../backends/backend.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Trainable } from "../training/trainable.ts";
import type { Adapter } from "./tuning/adapter.ts";

/** The technique that made a LoRA or DoRA, with rank and scale of each linear; of other kinds nobody but its maker knows the options. */
export function techniqueOf({ config, weights, scales }: Adapter): { readonly name: string; readonly options: object } | undefined {
  if (config.type !== "LORA") return undefined;
  const ranks = new Map<string, number>();
  for (const [name, { shape }] of weights) if (name.endsWith(".loraA")) ranks.set(name.slice(0, -".loraA".length), shape[0]!);
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  for (const [name, rank] of ranks) {
    const alpha = (scales.get(name) ?? 1) * rank;
    if (rank !== config.rank) rankPattern[name] = rank;
    if (alpha !== config.alpha) alphaPattern[name] = alpha;
  }
  const options = { rank: config.rank, alpha: config.alpha, targets: [...ranks.keys()], rankPattern, alphaPattern };
  return { name: config.dora === true ? "dora" : "lora", options };
}

/** The model with the adapter's numbers. Throws FRUGAL_BAD_ARGUMENT, naming the weight, where technique and adapter differ. */
export function startFrom(path: string, model: Trainable, { weights: numbers, replaced }: Adapter): Trainable {
  const all = new Map([...numbers, ...replaced]);
  const differ = (problem: string, weight: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: ${problem}; start with the technique and the options that it was made with`, {
      weight,
    });
  const weights = new Map(model.weights);
  for (const [name, { shape, values }] of all) {
    const own = model.weights.get(name);
    const near = own === undefined ? nearest(name, model.trained) : undefined;
    if (own === undefined) throw differ(`has "${name}", which is not tuned here${near === undefined ? "" : ` (but "${near}" is)`}`, name);
    if (own.shape.join() !== shape.join())
      throw differ(`its "${name}" is [${shape.join(", ")}], but [${own.shape.join(", ")}] is to be tuned`, name);
    weights.set(name, { shape, content: { values: async () => values.slice() } } satisfies Weight);
  }
  const missing = [...model.trained].find((name) => !all.has(name));
  if (missing !== undefined) throw differ(`has no "${missing}", which is to be tuned`, missing);
  return { ...model, weights };
}
