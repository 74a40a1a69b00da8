/** A loaded model as people use it. */
import type { ModelFiles } from "../formats/folder.ts";
import type { BaseModel } from "../models/base-model.ts";
import { FrugalError } from "../tensor/error.ts";
import type { ConstraintCompiler } from "../text/constraint.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Adapters } from "./adapter-slots.ts";
import { type EmbedInput, embedTexts, type EmbedOptions } from "./embed.ts";
import type { Engine } from "./engine.ts";
import type { Generation } from "./generation.ts";
import { inspectModel, type Inspection } from "./inspect.ts";
import { loadParts, type LoadOptions, type ModelParts, type StepLimits } from "./load-parts.ts";
import { checkOptions, wholeNumber } from "../tensor/options.ts";
import type { ChatMessage, Prompt } from "./prompt.ts";
import { promptLogprobs, type TokenScore } from "./prompt-logprobs.ts";
import { readLogits } from "./read-logits.ts";
import { rerankTexts, type RerankOptions } from "./rerank.ts";
import { createSequence } from "./sequence.ts";
import type { ServingStats, StepReport } from "./serving-stats.ts";
import { createSession, type Session } from "./session.ts";
import { createWriter, withoutSlots, type GenerateOptions, type Writer } from "./writer.ts";

/** Options of `logits`. */
export interface LogitsOptions {
  /** The logits after every token, not only after the last. Default false. */
  readonly all?: boolean;
  readonly signal?: AbortSignal;
}

/** Names and files of adapters; see `Adapters` for the rules. */
export type ModelAdapters = Pick<Adapters, "load" | "unload" | "list">;

/** Options of `logprobs`. */
export interface LogprobsOptions {
  /** How many of the likeliest tokens to name in each place, up to 100. Default 0. */
  readonly alternatives?: number;
  readonly signal?: AbortSignal;
}

/** A model in memory. Calls may run together; `dispose` (or `await using`) ends them and gives the memory back. */
export interface FrugalModel extends AsyncDisposable {
  readonly name: string;
  readonly family: string;
  readonly kind: "text" | "encoder";
  /** Tokens a text may have, prompt included. */
  readonly contextLength: number;
  /** Which backend runs it, and why. */
  readonly backend: { readonly name: string; readonly description: string };
  /** The opened checkpoint beneath, for `tune`. */
  readonly base: BaseModel;
  /**
   * Goes on with a text, or answers a conversation. What goes wrong rejects what is returned: FRUGAL_BAD_ARGUMENT, FRUGAL_CONTEXT_FULL where
   * the prompt alone does not fit, FRUGAL_NUMERIC, or the signal's reason; an encoder or a disposed model throws at once.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("model.gguf");
   * const run = model.generate("Once upon a time", { maxTokens: 64, temperature: 0.7, seed: 7 });
   * for await (const part of run) process.stdout.write(part.text);
   * const { finishReason, timings } = await run;
   * ```
   */
  generate(prompt: Prompt, options?: GenerateOptions): Generation;
  /**
   * Answers a conversation by the model's own template; special tokens written in messages stay text. Errors as `generate`.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("hf:bartowski/SmolLM2-135M-Instruct-GGUF:SmolLM2-135M-Instruct-Q4_K_M.gguf");
   * const { text } = await model.chat([{ role: "user", content: "Name three rivers." }], { signal: AbortSignal.timeout(60_000) });
   * ```
   */
  chat(messages: readonly ChatMessage[], options?: GenerateOptions): Generation;
  /**
   * A text or conversation that keeps what was computed of it, so that each call reads only what is new.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("model.gguf");
   * using session = model.session();
   * await session.generate("The first line.", { maxTokens: 20 });
   * const { timings } = await session.generate(" The second line.", { maxTokens: 20 });
   * console.log(timings.cachedTokens);
   * ```
   */
  session(): Session;
  /**
   * One vector a text; encoders only. Rejects with FRUGAL_CONTEXT_FULL for texts too long, FRUGAL_UNSUPPORTED for
   * models that write text. A text may also be its token ids, special ones included.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("all-MiniLM-L6-v2");
   * const [a, b] = await model.embed(["a cat", "a dog"], { normalize: true });
   * const similarity = a!.reduce((sum, x, i) => sum + x * b![i]!, 0);
   * ```
   */
  embed(texts: string | readonly EmbedInput[], options?: EmbedOptions): Promise<Float32Array[]>;
  /**
   * How well each document answers the query: higher is better. A cross-encoder (a classifier of text pairs with one label) gives its logit
   * through the logistic function, 0 to 1, as sentence-transformers' CrossEncoder does; any other encoder gives the cosine of the two
   * embeddings, -1 to 1. Rejects with FRUGAL_CONTEXT_FULL for texts too long, FRUGAL_UNSUPPORTED for models that write text and for
   * classifiers with several labels.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("ms-marco-MiniLM-L6-v2");
   * const scores = await model.rerank("what do cats eat?", ["Cats eat meat.", "The moon is far."]);
   * ```
   */
  rerank(query: string, documents: readonly string[], options?: RerankOptions): Promise<number[]>;
  /**
   * The logits that follow the last of `ids` (one row of a number for each token of the vocabulary), or each of them.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("model.gguf");
   * const ids = (await model.tokenizer()).encode("Once upon a");
   * const [row] = await model.logits(ids);
   * console.log(row!.indexOf(Math.max(...row!)));
   * ```
   */
  logits(ids: readonly number[] | Int32Array, options?: LogitsOptions): Promise<Float32Array[]>;
  /**
   * How likely the model finds each token of a text that is given: ln of its probability after those before it, and the likeliest in its
   * place. Errors as `logits`.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("model.gguf");
   * const scores = await model.logprobs((await model.tokenizer()).encode("Once upon a time"), { alternatives: 3 });
   * console.log(scores.reduce((sum, { logprob = 0 }) => sum + logprob, 0));
   * ```
   */
  logprobs(ids: readonly number[] | Int32Array, options?: LogprobsOptions): Promise<readonly TokenScore[]>;
  /** Rejects with FRUGAL_NOT_FOUND where the checkpoint has none. */
  tokenizer(): Promise<Tokenizer>;
  /** What the model is made of, and the memory it holds. */
  inspect(): Inspection;
  /**
   * Adapters that texts may name, for models loaded with `adapterSlots`; else each call rejects with FRUGAL_UNSUPPORTED. Texts of
   * different adapters share steps, and one text's numbers do not depend on the others'.
   * ```ts
   * import { load } from "frugal";
   * await using model = await load("model.gguf", { adapterSlots: { count: 4, rank: 16 } });
   * await model.adapters.load("polite", "adapters/polite");
   * const [polite, plain] = await Promise.all([model.generate("Hello", { adapter: "polite" }), model.generate("Hello")]);
   * await model.adapters.unload("polite");
   * ```
   */
  readonly adapters: ModelAdapters;
  /** What was run so far, and what waits. Text models only. */
  stats(): ServingStats;
  /** Calls `listener` after each step of the model, until the function that is returned is called. Text models only. */
  onStep(listener: (step: StepReport) => void): () => void;
  /** Ends what runs and gives all memory back; later calls fail with FRUGAL_DISPOSED. */
  dispose(): Promise<void>;
}

/** `load` of the public interface, for those who open the model in their own way. */
export async function load(source: string | ModelFiles, options: LoadOptions = {}, limits: StepLimits = {}): Promise<FrugalModel> {
  return frugalModel(await loadParts(source, options, limits));
}

export function frugalModel(parts: ModelParts): FrugalModel {
  const { opened, model, backend, loaded, context } = parts;
  const sessions = new Set<Session>();
  let disposed: Promise<void> | undefined;
  const check = (): void => {
    if (disposed !== undefined) throw new FrugalError("FRUGAL_DISPOSED", `model: ${opened.name} has been disposed; load it again`);
  };
  const engine = (): Engine => {
    check();
    if (parts.engine !== undefined) return parts.engine;
    throw new FrugalError("FRUGAL_UNSUPPORTED", `model: ${opened.name} is an encoder and writes no text; use embed, or load a text model`, {
      kind: model.kind,
    });
  };
  const adaptersOf = (): Adapters => {
    check();
    if (parts.adapters !== undefined) return parts.adapters;
    throw withoutSlots();
  };
  let compiler: Promise<ConstraintCompiler> | undefined;
  const makeCompiler = async (): Promise<ConstraintCompiler> => {
    // Loaded where a constraint is asked for.
    const [{ createConstraintCompiler }, tokenizer] = await Promise.all([import("../text/constraint.ts"), opened.tokenizer()]);
    return createConstraintCompiler(tokenizer, model.vocabularySize, opened.endIds);
  };
  let made: Writer | undefined;
  const writer = (): Writer =>
    (made ??= createWriter({
      engine: engine(),
      adapters: parts.adapters,
      tokenizer: opened.tokenizer,
      template: opened.chatTemplate,
      endIds: opened.endIds,
      vocabularySize: model.vocabularySize,
      strategies: parts.strategies,
      constraints: () => (compiler ??= makeCompiler()),
    }));

  const self: FrugalModel = {
    name: opened.name,
    family: model.family,
    kind: model.kind,
    contextLength: context,
    backend: { name: backend.name, description: backend.description },
    base: { opened, model, backend },
    generate(prompt, options = {}) {
      engine();
      return writer()(prompt, options, {
        afterOthers: false,
        prepare: ({ ids }) => createSequence(ids),
      });
    },
    chat: (messages, options) => self.generate(messages, options),
    session() {
      const session = createSession(engine(), writer(), () => sessions.delete(session));
      sessions.add(session);
      return session;
    },
    async embed(texts, options = {}) {
      check();
      checkOptions("embed", options, ["normalize", "truncate", "signal"]);
      const list: unknown = typeof texts === "string" ? [texts] : texts;
      const isInput = (text: unknown): text is EmbedInput => typeof text === "string" || Array.isArray(text) || text instanceof Int32Array;
      if (!Array.isArray(list) || !list.every(isInput))
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", "embed: texts are neither a string nor a list of strings; give one of these");
      return embedTexts(parts, list, options);
    },
    async rerank(query, documents, options = {}) {
      check();
      checkOptions("rerank", options, ["truncate", "signal"]);
      if (typeof query !== "string" || !Array.isArray(documents) || !documents.every((text) => typeof text === "string"))
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", "rerank: the query is no string, or documents are no list of strings; give these");
      return rerankTexts(parts, query, documents, options);
    },
    async logits(ids, options = {}) {
      checkOptions("logits", options, ["all", "signal"]);
      checkIds("logits", ids);
      const rows: Float32Array[] = [];
      await readLogits(engine(), ids, options.all === true ? 0 : ids.length - 1, (_, row) => rows.push(row.slice()), options.signal);
      return rows;
    },
    async logprobs(ids, options = {}) {
      checkOptions("logprobs", options, ["alternatives", "signal"]);
      wholeNumber("logprobs", "alternatives", options.alternatives, 0, Math.min(100, model.vocabularySize));
      checkIds("logprobs", ids);
      return promptLogprobs(engine(), ids, options.alternatives ?? 0, options.signal);
    },
    async tokenizer() {
      check();
      return opened.tokenizer();
    },
    adapters: {
      load: async (name, path, signal) => adaptersOf().load(name, path, signal),
      unload: async (name) => adaptersOf().unload(name),
      list: () => parts.adapters?.list() ?? [],
    },
    stats: () => engine().stats(),
    onStep: (listener) => engine().onStep(listener),
    inspect() {
      check();
      return inspectModel(opened, model, loaded.memory, parts.cacheFormat);
    },
    dispose() {
      disposed ??= (async () => {
        for (const session of sessions) session.dispose();
        await (await compiler)?.dispose();
        await parts.dispose();
      })();
      return disposed;
    },
    [Symbol.asyncDispose]: () => self.dispose(),
  };
  return self;
}

function checkIds(call: string, ids: unknown): void {
  if (!Array.isArray(ids) && !(ids instanceof Int32Array))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: ids are no list of numbers; give token ids`);
}
