/** The fields that all requests for text share, and what they become as options of `generate`. */
import { z } from "zod";
import type { GenerateOptions } from "../serving/writer.ts";
import { HttpError } from "./errors.ts";
import type { RequestScope } from "./request-scope.ts";
import { type Fields, flag, type Maybe, number, only, record, text, whole } from "./schema.ts";

export interface StreamOptions {
  readonly include_usage?: Maybe<boolean>;
  readonly include_obfuscation?: Maybe<boolean>;
}

/** OpenAI's names first, then those that vLLM added. */
export interface TextFields {
  readonly model?: Maybe<string>;
  readonly stream?: Maybe<boolean>;
  readonly stream_options?: Maybe<StreamOptions>;
  readonly temperature?: Maybe<number>;
  readonly top_p?: Maybe<number>;
  readonly n?: Maybe<number>;
  readonly stop?: Maybe<string | readonly string[]>;
  readonly seed?: Maybe<number>;
  readonly presence_penalty?: Maybe<number>;
  readonly frequency_penalty?: Maybe<number>;
  readonly logit_bias?: Maybe<Readonly<Record<string, number>>>;
  readonly user?: Maybe<string>;
  readonly top_k?: Maybe<number>;
  readonly min_p?: Maybe<number>;
  readonly repetition_penalty?: Maybe<number>;
  readonly stop_token_ids?: Maybe<readonly number[]>;
  readonly ignore_eos?: Maybe<boolean>;
  readonly min_tokens?: Maybe<number>;
  readonly skip_special_tokens?: Maybe<boolean>;
  readonly include_stop_str_in_output?: Maybe<boolean>;
  readonly priority?: Maybe<number>;
  readonly cache_salt?: Maybe<string>;
}

/** Most texts that one request may ask for. */
export const mostChoices = 128;

export const textFields: Fields<TextFields> = {
  model: text,
  stream: flag,
  stream_options: record<StreamOptions>({ include_usage: flag, include_obfuscation: flag }).nullish(),
  temperature: number(0, 100),
  top_p: number(0, 1),
  n: whole(1, mostChoices),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish(),
  seed: whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/, "the keys are token ids"), z.number().min(-100).max(100)).nullish(),
  user: text,
  top_k: whole(-1, 2 ** 31),
  min_p: number(0, 1),
  repetition_penalty: number(0.01, 100),
  stop_token_ids: z.array(z.int().min(0)).max(1024).nullish(),
  ignore_eos: flag,
  min_tokens: whole(0, 2 ** 31),
  skip_special_tokens: flag,
  include_stop_str_in_output: only(false, "stop strings are never part of the text; leave the field out"),
  priority: whole(-(2 ** 31), 2 ** 31),
  cache_salt: z.string().min(1).max(1024).nullish(),
};

/** Fields that neither kind of request supports. */
export const refusedFields: Readonly<Record<string, string>> = {
  use_beam_search: "there is no beam search; take n with a temperature",
  length_penalty: "there is no beam search; leave it out",
  best_of_beams: "there is no beam search; leave it out",
  prompt_logprobs: "take /v1/completions with echo and logprobs",
  truncate_prompt_tokens: "prompts are never cut; shorten it",
  logits_processors: "take logit_bias or structured_outputs",
  bad_words: "take logit_bias",
  allowed_token_ids: "take structured_outputs",
  prompt_embeds: "give the prompt as text or ids",
  kv_transfer_params: "there is no transfer of caches between servers; leave it out",
};

/** Negative seeds count back from the largest. */
const seedOf = (seed: number, choice: number): number => (((seed + choice) % 2 ** 53) + 2 ** 53) % 2 ** 53;

/** Options for text number `choice` of the request. */
export function optionsOf(fields: TextFields, scope: RequestScope, choice: number): GenerateOptions {
  const given = {
    temperature: fields.temperature ?? 1,
    topP: fields.top_p,
    topK: fields.top_k === -1 ? 0 : fields.top_k,
    minP: fields.min_p,
    repetitionPenalty: fields.repetition_penalty,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    logitBias: fields.logit_bias,
    seed: typeof fields.seed === "number" ? seedOf(fields.seed, choice) : undefined,
    stop: fields.stop,
    stopIds: fields.stop_token_ids,
    ignoreEnd: fields.ignore_eos,
    minTokens: fields.min_tokens,
    skipSpecial: fields.skip_special_tokens,
    priority: fields.priority,
    cacheSalt: fields.cache_salt,
    tenant: scope.tenant,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined)) as GenerateOptions;
}

/** The most tokens to write, of the two names it has. */
export function tokenLimit(completion: Maybe<number>, older: Maybe<number>): number | undefined {
  if (typeof completion === "number" && typeof older === "number" && completion !== older)
    throw new HttpError(400, `max_tokens: is ${older}, but max_completion_tokens is ${completion}; give one of them`, {
      param: "max_tokens",
    });
  return completion ?? older ?? undefined;
}
