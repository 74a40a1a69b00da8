/** POST /v1/completions: goes on with texts. */
import { Hono } from "hono";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { z } from "zod";
import type { GenerationResult, Part } from "../../serving/generation.ts";
import type { GenerateOptions } from "../../serving/writer.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { answerId, seconds, timingsOf, usageOf } from "../answer.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { eventStream } from "../event-stream.ts";
import { findModel, type Target } from "../find-model.ts";
import { type TextLogprobs, textLogprobs } from "../logprobs.ts";
import { constraintOf, type FormatFields, formatFields } from "../output-format.ts";
import { readJson } from "../read-json.ts";
import type { RequestScope } from "../request-scope.ts";
import { type StartedText, startTexts } from "../run-text.ts";
import { type BodyShape, flag, type Maybe, record, whole } from "../schema.ts";
import { streamTexts } from "../stream-texts.ts";
import { mostChoices, optionsOf, refusedFields, type TextFields, textFields } from "../text-fields.ts";

/** A request for a completion. */
export interface CompletionRequest extends TextFields, FormatFields {
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly max_tokens?: Maybe<number>;
  readonly echo?: Maybe<boolean>;
  readonly logprobs?: Maybe<number>;
  readonly best_of?: Maybe<number>;
}

const id = z
  .int()
  .min(0)
  .max(2 ** 31);

export const completionRequest: BodyShape<CompletionRequest> = {
  schema: record<CompletionRequest>({
    prompt: z.union([
      z.string(),
      z.array(z.string()).min(1).max(mostChoices),
      z.array(id).min(1),
      z.array(z.array(id).min(1)).min(1).max(mostChoices),
    ]),
    ...textFields,
    ...formatFields,
    max_tokens: whole(0, 2 ** 31),
    echo: flag,
    logprobs: whole(0, 20),
    best_of: whole(1, mostChoices),
  }),
  refused: {
    ...refusedFields,
    suffix: "texts are written to the end; put what follows into the prompt",
    max_completion_tokens: "take max_tokens",
    messages: "take /v1/chat/completions",
  },
};

export function completions(context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>().post("/v1/completions", async (c) => {
    const scope = c.get("scope");
    const request = await readJson(scope, completionRequest, context.settings.bodyLimit);
    const work = await start(context, scope, request);
    if (request.stream !== true) return c.json(await answer(work, request));
    await stream(context, scope, work, request);
    return RESPONSE_ALREADY_SENT;
  });
}

interface Work {
  readonly head: { readonly id: string; readonly object: "text_completion"; readonly created: number; readonly model: string };
  readonly fingerprint: string;
  readonly tokenizer: Tokenizer;
  /** Texts that are written for each prompt, of which the `kept` best are answered. */
  readonly perPrompt: number;
  readonly kept: number;
  readonly texts: readonly StartedText[];
  /** With echo, by prompt: how it reads, and how likely the model finds it where that is asked for. */
  readonly echoes: readonly Echo[];
}

interface Echo {
  readonly text: string;
  readonly logprobs: TextLogprobs | null;
  /** The same as JSON, since each of many texts repeats it. */
  readonly json: string;
  /** Where the text after it begins. */
  readonly end: number;
}

const noEcho: Echo = { text: "", logprobs: null, json: "null", end: 0 };

async function start(context: ServerContext, scope: RequestScope, request: CompletionRequest): Promise<Work> {
  const target = findModel(context, request.model);
  const prompts = promptsOf(request.prompt);
  const kept = request.n ?? 1;
  const perPrompt = request.best_of ?? kept;
  if (perPrompt < kept)
    throw new HttpError(400, `best_of: is ${perPrompt}, less than n, ${kept}; give at least as many`, { param: "best_of" });
  if (perPrompt > kept && request.stream === true)
    throw new HttpError(400, "best_of: the best is known only at the end; leave out stream or best_of", { param: "best_of" });
  if (prompts.length * perPrompt > mostChoices)
    throw new HttpError(400, `prompt: ${prompts.length} prompts of ${perPrompt} texts each are more than ${mostChoices}; send fewer`, {
      param: "prompt",
    });
  const tokenizer = await target.model.tokenizer();
  const wantsLogprobs = typeof request.logprobs === "number" || perPrompt > kept;
  const constraint = constraintOf(request);
  const shared: GenerateOptions = {
    ...(constraint === undefined ? {} : { constraint }),
    maxTokens: request.max_tokens ?? 16,
    ...(wantsLogprobs ? { logprobs: request.logprobs ?? 0 } : {}),
  };
  const texts = await startTexts(context, scope, target, {
    prompts,
    choices: perPrompt,
    options: (choice) => ({ ...optionsOf(request, scope, choice), ...shared }),
  });
  const echoes = request.echo === true ? prompts.map((prompt) => echoOf(scope, target, tokenizer, prompt, request)) : [];
  return {
    head: { id: answerId("cmpl"), object: "text_completion", created: seconds(), model: target.name },
    fingerprint: context.fingerprint,
    tokenizer,
    perPrompt,
    kept,
    texts,
    echoes: await Promise.all(echoes),
  };
}

type OnePrompt = string | readonly number[];

function promptsOf(prompt: CompletionRequest["prompt"]): readonly OnePrompt[] {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as readonly number[]] : (prompt as readonly OnePrompt[]);
}

async function echoOf(
  scope: RequestScope,
  target: Target,
  tokenizer: Tokenizer,
  prompt: OnePrompt,
  request: CompletionRequest,
): Promise<Echo> {
  const skipSpecial = request.skip_special_tokens ?? true;
  const text = typeof prompt === "string" ? prompt : tokenizer.decode(prompt, { skipSpecial });
  if (typeof request.logprobs !== "number") return { ...noEcho, text };
  const { promptIds } = await target.model.generate(prompt, { maxTokens: 0, signal: scope.signal });
  const scores = await target.model.logprobs(promptIds, { alternatives: request.logprobs, signal: scope.signal });
  const { logprobs, end } = textLogprobs(tokenizer, scores, 0);
  return { text, logprobs, json: JSON.stringify(logprobs), end };
}

/** The echo's lists and those of what was written. */
const joined = (echo: TextLogprobs | null, own: TextLogprobs): TextLogprobs =>
  echo === null
    ? own
    : {
        tokens: [...echo.tokens, ...own.tokens],
        token_logprobs: [...echo.token_logprobs, ...own.token_logprobs],
        top_logprobs: [...echo.top_logprobs, ...own.top_logprobs],
        text_offset: [...echo.text_offset, ...own.text_offset],
      };

async function answer({ head, fingerprint, tokenizer, perPrompt, kept, texts, echoes }: Work, request: CompletionRequest): Promise<object> {
  const results = await Promise.all(texts.map(({ generation }) => generation));
  const choices: object[] = [];
  for (let prompt = 0; prompt * perPrompt < results.length; prompt++) {
    const echo = echoes[prompt] ?? noEcho;
    const own = results.slice(prompt * perPrompt, (prompt + 1) * perPrompt);
    const best = perPrompt > kept ? own.toSorted((a, b) => likelihood(b) - likelihood(a)).slice(0, kept) : own;
    for (const result of best) {
      choices.push({
        index: choices.length,
        text: echo.text + result.text,
        logprobs:
          typeof request.logprobs === "number" ? joined(echo.logprobs, textLogprobs(tokenizer, result.parts, echo.end).logprobs) : null,
        finish_reason: result.finishReason,
      });
    }
  }
  return { ...head, system_fingerprint: fingerprint, choices, usage: usageOf(results, perPrompt), timings: timingsOf(results[0]!) };
}

/** Mean of the tokens' log probabilities. */
const likelihood = ({ parts }: GenerationResult): number =>
  parts.reduce((sum, { logprob = 0 }) => sum + logprob, 0) / Math.max(1, parts.length);

async function stream(context: ServerContext, scope: RequestScope, work: Work, request: CompletionRequest): Promise<void> {
  const { texts, echoes, perPrompt, tokenizer } = work;
  const events = eventStream(scope, context.settings);
  const wantsUsage = request.stream_options?.include_usage === true;
  const head = `${JSON.stringify({ ...work.head, system_fingerprint: work.fingerprint }).slice(0, -1)},"choices":[`;
  const usage = wantsUsage ? ',"usage":null' : "";
  const choice = (index: number, text: string, logprobs: string, finish: string, more = ""): void =>
    events.send(
      `${head}{"index":${index},"text":${JSON.stringify(text)},"logprobs":${logprobs},"finish_reason":${finish}}]${usage}${more}}`,
    );
  const echoFor = (index: number): Echo => echoes[Math.floor(index / perPrompt)] ?? noEcho;
  const offsets = texts.map((_, index) => echoFor(index).end);
  const waiting: Part[][] = texts.map(() => []);
  const logprobs = (index: number): string => {
    if (typeof request.logprobs !== "number" || waiting[index]!.length === 0) return "null";
    const found = textLogprobs(tokenizer, waiting[index]!, offsets[index]!);
    offsets[index] = found.end;
    waiting[index] = [];
    return JSON.stringify(found.logprobs);
  };
  const begun = texts.map(() => echoes.length === 0);
  const begin = (index: number): void => {
    const { text, json } = echoFor(index);
    if (!begun[index]) choice(index, text, json, "null");
    begun[index] = true;
  };
  await streamTexts(scope, events, texts, {
    part(index, part) {
      begin(index);
      waiting[index]!.push(part);
      if (part.text !== "") choice(index, part.text, logprobs(index), "null");
    },
    finished(index, result) {
      begin(index);
      choice(index, "", logprobs(index), `"${result.finishReason}"`, `,"timings":${JSON.stringify(timingsOf(result))}`);
    },
    completed(results) {
      if (wantsUsage) events.send(`${head}],"usage":${JSON.stringify(usageOf(results, perPrompt))}}`);
    },
  });
}
