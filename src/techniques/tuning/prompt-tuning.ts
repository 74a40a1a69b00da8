/**
 * Prompt tuning (Lester, Al-Rfou, Constant 2021, arXiv 2104.08691): P learned embeddings stand in front of the text; nothing else is trained.
 *
 * Weights: `prompt.embedding` [P, width of embeddings]; PEFT calls it `prompt_embeddings`. The rows stand in place of rows of the embedding
 * table, before a family scales them. Gemma's table gives rows that are scaled already, so PEFT's rows are ours times `embeddingScale`
 * (prompt-rows.ts); Granite multiplies later, so there PEFT's rows are ours.
 */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { TechniqueContext, TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { idsBelow, normalNumbers } from "./initial-numbers.ts";
import { embeddingOf, withPrompt } from "./prompt-rows.ts";
import { checkVirtualTokens } from "./virtual-rows.ts";

export interface PromptTuningOptions {
  /** Learned rows in front of the text. */
  readonly virtualTokens: number;
  /**
   * vocabulary: embeddings of random tokens (the paper's "sampled vocabulary"); random: normal numbers of unit scale, as PEFT begins;
   * ids: the embeddings of these tokens, repeated or cut to the number of rows.
   */
  readonly initial?: "vocabulary" | "random" | { readonly ids: readonly number[] } | undefined;
}

export const promptName = "prompt.embedding";

export function promptTuning(options: PromptTuningOptions): TuningTechnique {
  checkOptions("prompt tuning", options, ["virtualTokens", "initial"]);
  const { virtualTokens, initial = "vocabulary" } = options;
  checkVirtualTokens("prompt tuning", virtualTokens);
  checkInitial(initial);
  const serve = (graph: Graph): Graph =>
    withPrompt(graph, virtualTokens, "prompt tuning", (b, width) => b.weight(promptName, [virtualTokens, width]));
  return {
    name: "prompt",
    paper: {
      title: "The Power of Scale for Parameter-Efficient Prompt Tuning",
      authors: "Brian Lester, Rami Al-Rfou, Noah Constant",
      year: 2021,
      url: "https://arxiv.org/abs/2104.08691",
    },
    survey: "4.2 tuning: additive",
    changes: "graph",
    serve,
    async apply(model, context) {
      const made = withAdded(model, serve(model.graph), "prompt tuning", (name, shape) => firstRows(initial, name, shape, context));
      if (typeof initial === "object") expectIds(initial.ids, embeddingOf(model.graph).inputs[0]!.shape[0] as number);
      return { ...made, virtualTokens };
    },
  };
}

async function firstRows(
  initial: NonNullable<PromptTuningOptions["initial"]>,
  name: string,
  shape: Shape,
  { seed, numbers }: TechniqueContext,
): Promise<Float32Array> {
  if (initial === "random") return normalNumbers(seed, name, shape, 1);
  const [count, width] = shape as readonly [number, number];
  const table = await numbers("embedding");
  const chosen = initial === "vocabulary" ? idsBelow(seed, name, count, table.length / width) : initial.ids;
  const rows = new Float32Array(count * width);
  for (let i = 0; i < count; i++) {
    const id = chosen[i % chosen.length]!;
    rows.set(table.subarray(id * width, (id + 1) * width), i * width);
  }
  return rows;
}

function checkInitial(initial: unknown): void {
  if (initial === "vocabulary" || initial === "random") return;
  const ids = typeof initial === "object" && initial !== null && "ids" in initial ? initial.ids : undefined;
  if (Array.isArray(ids) && ids.length > 0) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `prompt tuning: initial is ${JSON.stringify(initial)}; give "vocabulary", "random", or { ids } with at least one token`,
    { option: "initial" },
  );
}

function expectIds(ids: readonly number[], vocabulary: number): void {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (wrong === undefined) return;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `prompt tuning: initial ids hold ${wrong}; tokens go from 0 to ${vocabulary - 1}`, {
    option: "initial",
    id: wrong,
  });
}
