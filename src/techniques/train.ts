/** Runs a recipe: a model that is tuned, or one that begins anew from its configuration, with a tokenizer that may be learned first. */
import { type BackendName, chooseBackend } from "../backends/choose.ts";
import type { Backend } from "../backends/backend.ts";
import { realPath } from "../formats/files.ts";
import { openModel } from "../models/index.ts";
import { type HubSettings, openCheckpoint, type OpenProgress, openTokenizer } from "../models/open-checkpoint.ts";
import { untrainedModel } from "../models/untrained.ts";
import { startAwaitable } from "../tensor/awaitable.ts";
import { FrugalError } from "../tensor/error.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ParallelOptions } from "../training/parallel/data-parallel.ts";
import { besideRecipe, learnTokenizer, openRecipeData, type RecipeData } from "../training/recipe-data.ts";
import { type Recipe, settingShapes } from "../training/recipe.ts";
import type { TuningTechnique } from "../training/technique.ts";
import { startTuning, type TuneBase, type Tuning } from "../training/tune.ts";
import { tuningTechnique } from "./index.ts";
import { type Origin, resultWriter } from "./tuned-files.ts";

export interface TrainOptions {
  /** In place of the recipe's. */
  readonly out?: string | undefined;
  readonly resume?: boolean | undefined;
  readonly backend?: BackendName | Backend | undefined;
  readonly threads?: number | undefined;
  readonly hub?: HubSettings | undefined;
  readonly onOpen?: ((progress: OpenProgress) => void) | undefined;
  readonly parallel?: ParallelOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `path` is where the recipe lies: its paths are seen from there. Rejects as `tune` does, and as reading texts and learning a tokenizer do. */
export function trainRecipe(path: string, recipe: Recipe, options: TrainOptions): Tuning {
  return startAwaitable(async (emit, signal) => {
    const out = options.out ?? (recipe.out === undefined ? undefined : besideRecipe(path, recipe.out));
    if (out === undefined)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: does not say where the result goes; give it "out", or the command --out`);
    const backend = await chooseBackend(options);
    const data = await openRecipeData(path, recipe.data);
    const held = recipe.evaluation === undefined ? undefined : await openRecipeData(path, recipe.evaluation).catch(closing(data));
    try {
      const begun = await begin(path, recipe, options, data, backend, signal);
      try {
        const technique = techniqueIn(recipe);
        if (begun.folder !== undefined && (await realPath(out)) === (await realPath(begun.folder)))
          throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: ${out} is the model that is tuned; write the result elsewhere`, { out });
        const training = startTuning({
          base: begun.base,
          data: data.sources,
          evaluation: held?.sources,
          technique,
          techniqueSettings: technique === undefined ? undefined : { name: technique.name, ...technique.options },
          settings: Object.fromEntries(Object.entries(recipe).filter(([key]) => Object.hasOwn(settingShapes, key))),
          out: { path: out, resume: options.resume === true, ...resultWriter(out, begun, technique) },
          parallel: options.parallel,
          signal,
        });
        for await (const progress of training) emit(progress);
        return await training;
      } finally {
        await begun.close();
      }
    } finally {
      await data.close();
      await held?.close();
    }
  }, options.signal);
}

const closing =
  (data: RecipeData) =>
  async (error: unknown): Promise<never> => {
    await data.close();
    throw error;
  };

function techniqueIn({ technique }: Recipe): TuningTechnique | undefined {
  if (technique === undefined || technique === "full") return undefined;
  const { name, ...options } = typeof technique === "string" ? { name: technique } : technique;
  return tuningTechnique(name, options);
}

interface Begun extends Origin {
  readonly base: TuneBase;
  close(): Promise<void>;
}

async function begin(
  path: string,
  { model: asked, seed = 0 }: Recipe,
  { hub, onOpen }: TrainOptions,
  data: RecipeData,
  backend: Backend,
  signal: AbortSignal,
): Promise<Begun> {
  if (typeof asked === "string") {
    // What is no path stays as it is: hf:owner/name, the name of an embedded model.
    const isPath = /[/\\]|^\.+$/.test(asked) && !asked.startsWith("hf:");
    const opened = await openCheckpoint(isPath ? besideRecipe(path, asked) : asked, { hub, onProgress: onOpen, signal });
    const model = openModel(opened.checkpoint);
    const tokenizer = opened.hasTokenizer ? opened.tokenizer : undefined;
    return {
      base: { name: opened.name, model, backend, tokenizer, chatTemplate: opened.chatTemplate },
      checkpoint: opened.checkpoint,
      model,
      folder: opened.path,
      close: () => opened.close(),
    };
  }
  const { checkpoint, model, weights } = untrainedModel(path, asked.config, seed);
  const { tokenizer: said } = asked;
  const base = { name: path, model, weights, backend };
  const rest = { checkpoint, model, close: async () => undefined };
  if (said === undefined) return { base, ...rest };
  if (typeof said === "string") {
    const folder = besideRecipe(path, said);
    const { tokenizer, chatTemplate } = await openTokenizer(folder);
    return { base: { ...base, tokenizer: fits(path, model.vocabularySize, tokenizer), chatTemplate }, folder, ...rest };
  }
  const { files, tokenizer } = learnTokenizer(said, data.corpora);
  return {
    base: { ...base, tokenizer: fits(path, model.vocabularySize, async () => tokenizer) },
    files: { "tokenizer.json": files.tokenizer, "tokenizer_config.json": files.config },
    ...rest,
  };
}

/** A tokenizer must not name rows that the model has not. */
const fits =
  (path: string, rows: number, open: () => Promise<Tokenizer>): (() => Promise<Tokenizer>) =>
  async () => {
    const tokenizer = await open();
    if (tokenizer.vocabularySize <= rows) return tokenizer;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${path}: model.config.vocab_size is ${rows}, but the tokenizer has ${tokenizer.vocabularySize} pieces; give at least as many`,
      { vocabularySize: rows },
    );
  };
