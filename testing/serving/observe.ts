/** A text written on an engine, with every row of logits that decided it, bit by bit: what tests of exactness compare. */
import { fileURLToPath } from "node:url";
import { type CacheFormat } from "../../src/backends/backend.ts";
import type { Engine } from "../../src/serving/engine.ts";
import { loadParts, type LoadOptions, type ModelParts, type StepLimits } from "../../src/serving/load-parts.ts";
import { choose } from "../../src/serving/sampler.ts";
import { sampling, type SamplingOptions } from "../../src/serving/sampling.ts";
import { createSequence, type Sequence } from "../../src/serving/sequence.ts";
import type { DecodeStrategy } from "../../src/serving/strategy.ts";
import { coreBackend } from "../backends.ts";

const place = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The embedded model and families with full attention, with windows, with windows and experts: files of a few kilobytes. */
export const models: Readonly<Record<string, string>> = {
  stories: place("models/stories/stories.gguf"),
  "llama-3": place("testing/fixtures/families/llama-3"),
  "gemma-3": place("testing/fixtures/families/gemma-3"),
  "mixtral-window": place("testing/fixtures/families/mixtral-window"),
};

export interface Setting extends StepLimits {
  /** The name of one of `coreBackends`. */
  readonly backend: string;
  readonly cache: CacheFormat;
  /** Default 1: threads that wait for each other are slow where others compute too. */
  readonly threads?: number;
  readonly options?: LoadOptions;
}

export const open = async (model: string, { backend, cache, threads = 1, options, ...limits }: Setting): Promise<ModelParts> =>
  loadParts(
    models[model]!,
    { backend: await coreBackend(backend, threads), cache, context: 120, sequences: 16, ...options },
    { wantsTokenizer: false, ...limits },
  );

export interface Text {
  readonly prompt: readonly number[];
  readonly count: number;
  readonly sampling?: SamplingOptions;
  readonly strategy?: DecodeStrategy;
  readonly sequence?: Sequence;
  readonly signal?: AbortSignal;
  readonly keep?: boolean;
}

export interface Observed {
  readonly ids: number[];
  /** The bits of the row of logits behind each id. */
  readonly rows: string[];
}

/** Writes a text, whatever would end it. */
export async function observe(engine: Engine, text: Text): Promise<Observed> {
  const sequence = text.sequence ?? createSequence(text.prompt);
  const chosen = sampling({ seed: 1, ...text.sampling }, engine.limits.vocabularySize);
  const observed: Observed = { ids: [], rows: [] };
  await engine.run({
    sequence,
    readFrom: Number.MAX_SAFE_INTEGER,
    ...(text.strategy === undefined ? {} : { strategy: text.strategy }),
    ...(text.signal === undefined ? {} : { signal: text.signal }),
    ...(text.keep === undefined ? {} : { keep: text.keep }),
    read(position, logits, likeliest) {
      if (position !== sequence.tokens.length - 1) return "more";
      observed.rows.push(Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength).toString("latin1"));
      const { id } = choose(logits, chosen, sequence.tokens, likeliest);
      sequence.tokens.push(id);
      observed.ids.push(id);
      return observed.ids.length < text.count ? "more" : "done";
    },
  });
  return observed;
}

/** Token ids that mean nothing, the same for the same salt. */
export const prompt = (length: number, salt: number, vocabularySize: number): number[] =>
  Array.from({ length }, (_, i) => 3 + ((i * i * 31 + i * 17 + salt * 101) % (vocabularySize - 3)));

/** Where two texts part: the first position with other bits, or undefined. For messages that say something. */
export function parting(a: Observed, b: Observed): string | undefined {
  const at = a.rows.findIndex((row, i) => row !== b.rows[i]);
  if (at >= 0 || a.rows.length !== b.rows.length) return `logits differ at written token ${at} of ${a.rows.length} and ${b.rows.length}`;
  const id = a.ids.findIndex((own, i) => own !== b.ids[i]);
  return id < 0 ? undefined : `id ${id} is ${a.ids[id]} and ${b.ids[id]}`;
}
