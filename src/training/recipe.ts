/** Recipes: a training as JSON. `frugal train` runs them, and the command line's options of `frugal tune` make one. */
import { parseJsonObject } from "../formats/json.ts";
import type { TextFile } from "./corpus.ts";
import { checkShape, type JsonField, type JsonShape } from "./json-shape.ts";
import type { DataEntry, NewTokenizer } from "./recipe-data.ts";
import { scheduleKinds } from "./schedules.ts";
import { optimizerNames } from "./update-rules/index.ts";

/** What a training does, whatever it trains. The same keys are options of `tune`. */
export interface TrainingSettings {
  /** Steps; where absent, as many as `epochs` take. */
  readonly steps?: number;
  /** How often each example is learned. Default 1, where `steps` is absent. */
  readonly epochs?: number;
  /** Examples that make a step. Default 8. */
  readonly examplesPerStep?: number;
  /** Tokens that make a step, in place of a number of examples. */
  readonly tokensPerStep?: number;
  /** Most tokens of an example. Default: what the model reads, at most 2048. */
  readonly context?: number;
  /** Most tokens that are computed together; a step of more is done in parts. Default 2048, or the longest example. */
  readonly rows?: number;
  /** Default 5e-5 where all of a model is trained, 2e-4 with a technique, 1e-3 where the model begins anew. */
  readonly learningRate?: number;
  /** Default "constant". */
  readonly schedule?: "constant" | "linear" | "cosine";
  /** Steps in which the rate rises from 0. Default 0. */
  readonly warmUpSteps?: number;
  /** What a falling schedule ends at, as a share of the rate. Default 0. */
  readonly floor?: number;
  /** Default "adamw". An object holds the rule's own options beside its name. */
  readonly optimizer?: string | ({ readonly name: string } & Readonly<Record<string, unknown>>);
  /** For optimizers that have it. Default 0. */
  readonly weightDecay?: number;
  /** The largest norm of all gradients together. Default: none. */
  readonly clip?: number;
  /** Order of the examples. Default "shuffled". */
  readonly order?: "file" | "shuffled";
  /** Of order and first numbers. Default 0. */
  readonly seed?: number;
  /** Cuts the forward pass into so many parts, of which all but the last are computed twice to save memory. */
  readonly recompute?: number;
  /** The most memory a step may use, as bytes or text like "2GB": as much of it is computed twice as that asks for. Default: no limit. */
  readonly memory?: number | string;
  /** Lines that are no examples. Default "refuse". */
  readonly badLines?: "refuse" | "skip";
  /** Examples longer than the context. Default "refuse". */
  readonly tooLong?: "refuse" | "skip" | "truncate";
  /** Looks at the evaluation examples every so many steps. Default: only after the last. */
  readonly evaluateEvery?: number;
  /** Ends the training after so many evaluations without a new least loss, and keeps the weights of the least. */
  readonly patience?: number;
  /** Saves a checkpoint every so many steps. Default 100. */
  readonly saveEvery?: number;
  /** Checkpoints that are kept. Default 2. */
  readonly keep?: number;
  /**
   * What the way back needs of the way forward is kept as; weights, gradients and the optimizer's states stay f32. With "f16" the loss is
   * scaled, and steps whose gradients overflow are left out. Default "f32".
   */
  readonly precision?: "f32" | "bf16" | "f16";
  /** Learns which of two answers is better, by DPO; examples are then {"prompt", "chosen", "rejected"}. */
  readonly preference?: { readonly beta?: number };
}

export interface Recipe extends TrainingSettings {
  /** A model to begin with, or the configuration (as config.json) of one that begins anew, with the folder of its tokenizer or one to be learned. */
  readonly model: string | { readonly config: Readonly<Record<string, unknown>>; readonly tokenizer?: string | NewTokenizer };
  /** JSONL files of examples, and files of plain texts. */
  readonly data: DataEntry | readonly DataEntry[];
  readonly evaluation?: DataEntry | readonly DataEntry[];
  /** Where the results go. */
  readonly out?: string;
  /** Which weights are trained and how. Default: all of them. */
  readonly technique?: string | ({ readonly name: string } & Readonly<Record<string, unknown>>);
}

const count = { kind: "number", from: 1, whole: true } as const;
const positive = { kind: "number", above: 0 } as const;
const named = (names: JsonField): JsonShape => ({
  kind: "either",
  of: [names, { kind: "object", open: true, fields: { name: { ...names, needed: true } } }],
});

export const settingShapes: Readonly<Record<keyof TrainingSettings, JsonField>> = {
  steps: count,
  epochs: positive,
  examplesPerStep: count,
  tokensPerStep: count,
  context: { kind: "number", from: 2, whole: true },
  rows: { kind: "number", from: 2, whole: true },
  learningRate: positive,
  schedule: { kind: "choice", of: scheduleKinds },
  warmUpSteps: { kind: "number", from: 0, whole: true },
  floor: { kind: "number", from: 0, to: 1 },
  optimizer: named({ kind: "choice", of: optimizerNames }),
  weightDecay: { kind: "number", from: 0 },
  clip: positive,
  order: { kind: "choice", of: ["file", "shuffled"] },
  seed: { kind: "number", from: 0, whole: true },
  recompute: { kind: "number", from: 2, whole: true },
  memory: { kind: "either", of: [{ kind: "text" }, { kind: "number", from: 1 }] },
  badLines: { kind: "choice", of: ["refuse", "skip"] },
  tooLong: { kind: "choice", of: ["refuse", "skip", "truncate"] },
  evaluateEvery: count,
  patience: count,
  saveEvery: count,
  keep: count,
  precision: { kind: "choice", of: ["f32", "bf16", "f16"] },
  preference: { kind: "object", fields: { beta: positive } },
};

const texts: JsonShape = {
  kind: "object",
  fields: {
    file: { kind: "text", needed: true },
    separator: { kind: "text" },
    shortest: count,
    longest: count,
    matches: { kind: "text" },
    nearDuplicates: { kind: "number", above: 0, to: 1 },
  } satisfies Record<keyof TextFile, JsonField>,
};
const entry: readonly JsonShape[] = [{ kind: "text" }, texts];
const files: JsonShape = { kind: "either", of: [...entry, { kind: "list", of: { kind: "either", of: entry }, least: 1 }] };

const newTokenizer: JsonShape = {
  kind: "object",
  fields: { vocabulary: { ...count, needed: true }, bos: { kind: "text" }, eos: { kind: "text" } } satisfies Record<
    keyof NewTokenizer,
    JsonField
  >,
};

const recipeShape: JsonShape = {
  kind: "object",
  fields: {
    model: {
      kind: "either",
      of: [
        { kind: "text" },
        {
          kind: "object",
          fields: {
            config: { kind: "object", open: true, fields: {}, needed: true },
            tokenizer: { kind: "either", of: [{ kind: "text" }, newTokenizer] },
          },
        },
      ],
      needed: true,
    },
    data: { ...files, needed: true },
    evaluation: files,
    out: { kind: "text" },
    technique: named({ kind: "text" }),
    ...settingShapes,
  },
};

/** Rejects with FRUGAL_BAD_FILE for what is no JSON (with line and column), FRUGAL_BAD_ARGUMENT naming the path of what is wrong. */
export function readRecipe(name: string, bytes: Uint8Array): Recipe {
  const value = parseJsonObject(name, bytes, { uniqueKeys: true });
  checkShape(name, value, recipeShape);
  return value as unknown as Recipe;
}
