/**
 * IA3 — few-shot parameter-efficient fine-tuning (Liu et al. 2022, arXiv 2205.05638, section 3.3): keys, values and the inner activations of
 * the feed-forward part are multiplied by learned vectors: k ← l ⊙ (W x + b); of a feed-forward target the input is: y ← W (l ⊙ x) + b.
 *
 * Weights: `NAME.ia3`, [outputs] of the linear NAME, or [inputs] where it is a feed-forward target; ones at first. PEFT calls it
 * `ia3_l`, [outputs, 1] or [1, inputs].
 */
import { type Graph, type Value } from "../../graph/value.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { createBuilder } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { filledWith } from "./initial-numbers.ts";
import { linearEnds } from "./linear-ends.ts";
import { chooseLinears, type Linear, linearsOf, rewriteLinears, type Targets } from "./targets.ts";

export interface Ia3Options {
  /** Linears that get a vector; keys, values and the feed-forward's last where absent. */
  readonly targets?: Targets | undefined;
  /** Those of the targets whose input is multiplied instead of their result; the feed-forward's last where absent. */
  readonly feedForward?: Targets | undefined;
}

const usualTargets: readonly string[] = ["attention.key", "attention.value", "mlp.down"];
const usualFeedForward: readonly string[] = ["mlp.down"];

export function ia3(options: Ia3Options = {}): TuningTechnique {
  checkOptions("IA3", options, ["targets", "feedForward"]);
  const serve = (graph: Graph): Graph => multiplied(graph, options);
  return {
    name: "ia3",
    paper: {
      title: "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
      authors: "Haokun Liu, Derek Tam, Mohammed Muqeeth, Jay Mohta, Tenghao Huang, Mohit Bansal, Colin Raffel",
      year: 2022,
      url: "https://arxiv.org/abs/2205.05638",
    },
    survey: "4.2 tuning: additive",
    changes: "graph",
    serve,
    apply: async (model) => withAdded(model, serve(model.graph), "IA3", (_, shape) => filledWith(shape, 1)),
  };
}

/** Which linears get a vector on their input (`feedForward`) and which on their result. */
export function ia3Places(
  graph: Graph,
  options: Ia3Options = {},
): { readonly feedForward: readonly Linear[]; readonly results: readonly Linear[] } {
  const chosen = chooseLinears(graph, options.targets ?? present(graph, usualTargets), "IA3");
  const names = new Set(chosen.map(({ name }) => name));
  const usual = (): Linear[] => chosen.filter(({ name }) => usualFeedForward.some((end) => name.endsWith(`.${end}`)));
  const isNone = options.feedForward !== undefined && typeof options.feedForward !== "string" && options.feedForward.length === 0;
  const forward = isNone ? [] : options.feedForward === undefined ? usual() : chooseLinears(graph, options.feedForward, "IA3");
  const stray = forward.find(({ name }) => !names.has(name));
  if (stray !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `IA3: feedForward names "${stray.name}", which is not among the targets; name it there too`,
      {
        option: "feedForward",
        weight: stray.name,
      },
    );
  const inputs = new Set(forward.map(({ name }) => name));
  return { feedForward: chosen.filter(({ name }) => inputs.has(name)), results: chosen.filter(({ name }) => !inputs.has(name)) };
}

/** Those of the names that the model has: mixtures of experts have no plain feed-forward part. */
function present(graph: Graph, names: readonly string[]): readonly string[] {
  const linears = linearsOf(graph);
  const found = names.filter((end) => linears.some(({ name }) => name.endsWith(`.${end}`)));
  return found.length > 0 ? found : names;
}

function multiplied(graph: Graph, options: Ia3Options): Graph {
  const places = ia3Places(graph, options);
  const forward = rewriteLinears(
    graph,
    places.feedForward.map(({ name }) => name),
    (b, { name, x, weight, inputs }) => b.matmul(b.mul(x, b.weight(`${name}.ia3`, [inputs])), weight),
  );
  const outputs = new Map(places.results.map(({ name, outputs: count }) => [name, count]));
  const ends = new Map<Value, string>(linearEnds(forward, new Set(outputs.keys())).map(({ end, name }) => [end, name]));
  const b = createBuilder();
  return rewrite(forward, (value, original) => {
    const name = ends.get(original);
    return name === undefined ? value : b.mul(value, b.weight(`${name}.ia3`, [outputs.get(name)!]));
  });
}
