/** One generation on the engine: sample, decode, look for the end. */
import { streamText } from "../text/stream.ts";
import type { TokenMatcher } from "../text/constraint.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Engine, Request, Verdict } from "./engine.ts";
import type { GenerationResult, Part } from "./generation.ts";
import { adjusts } from "./adjust.ts";
import { guessToken } from "./guess.ts";
import { choose } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";
import type { Sequence } from "./sequence.ts";
import { stopFilter } from "./stop-filter.ts";

export interface Writing {
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  /** Holds the prompt; grows by what is written. */
  readonly sequence: Sequence;
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** The text does not end before so many tokens. */
  readonly minTokens: number;
  readonly stop: readonly string[];
  /** Ids that end the text. */
  readonly endIds: ReadonlySet<number>;
  /** The text continues another: a space at its start belongs to it. */
  readonly continues: boolean;
  readonly skipSpecial: boolean;
  /** What the text must be: follows it from its start. */
  readonly matcher: TokenMatcher | undefined;
  /** When the call was made, by performance.now(). */
  readonly started: number;
  /** What the engine is to know of the request beside. */
  readonly request: Pick<Request, "priority" | "tenant" | "namespace" | "adapter" | "strategy">;
}

export async function writeText(w: Writing, emit: (part: Part) => void, signal: AbortSignal): Promise<GenerationResult> {
  const { engine, sequence, sampling, matcher } = w;
  const stream = streamText(w.continues ? { ...w.tokenizer, dropsFirstSpace: false } : w.tokenizer, { skipSpecial: w.skipSpecial });
  const filter = stopFilter(w.stop);
  const promptIds = sequence.tokens.slice();
  const parts: Part[] = [];
  let finish: { readonly reason: "stop" | "length"; readonly stop?: string } = { reason: "length" };
  let firstToken = performance.now();

  const read = (position: number, logits: Float32Array, likeliest: number): Verdict => {
    if (position !== sequence.tokens.length - 1) return "more";
    const known = parts.length < w.minTokens ? without(logits, w.endIds) : likeliest;
    const choice = choose(logits, sampling, sequence.tokens, known, matcher?.allowed());
    matcher?.accept(choice.id);
    if (parts.length === 0) firstToken = performance.now();
    sequence.tokens.push(choice.id);
    const isEnd = w.endIds.has(choice.id);
    const passed = filter.push(isEnd ? "" : stream.push(choice.id));
    const isFull = parts.length + 1 >= w.maxTokens || sequence.tokens.length > engine.limits.context;
    // What no token may follow is whole, and the model need not be asked to say so.
    const isWhole = matcher?.over === true;
    const isOver = isEnd || isWhole || passed.stop !== undefined || isFull;
    let text = passed.text;
    if (isOver && passed.stop === undefined) {
      const rest = filter.push(stream.end());
      text += rest.text;
      if (rest.stop !== undefined) finish = { reason: "stop", stop: rest.stop };
      else text += filter.end();
    }
    if (passed.stop !== undefined) finish = { reason: "stop", stop: passed.stop };
    else if (isEnd || isWhole) finish = { reason: "stop" };
    const part: Part = { text, ...choice };
    parts.push(part);
    emit(part);
    return isOver ? "done" : "more";
  };

  const guess = (position: number, ids: Int32Array, logits: Float32Array): number | undefined => {
    const count = parts.length + position + 2 - sequence.tokens.length;
    const id = guessToken(ids, logits, sampling, position + 1);
    return count >= w.maxTokens || w.endIds.has(id) ? undefined : id;
  };
  const canGuess = !adjusts(sampling) && sampling.logprobs === undefined && w.minTokens === 0 && matcher === undefined;

  let begun = w.started;
  const request = {
    ...w.request,
    sequence,
    readFrom: Number.MAX_SAFE_INTEGER,
    read,
    signal,
    begun: () => (begun = performance.now()),
    ...(canGuess ? { guess } : {}),
  };
  try {
    if (w.maxTokens > 0) await engine.run(request);
  } finally {
    matcher?.dispose();
    await w.request.strategy?.dispose?.();
  }
  const ended = performance.now();
  const perSecond = (count: number, milliseconds: number): number => (count > 0 && milliseconds > 0 ? (count * 1000) / milliseconds : 0);
  return {
    text: parts.map((part) => part.text).join(""),
    ids: parts.map((part) => part.id),
    promptIds,
    finishReason: finish.reason,
    ...(finish.stop === undefined ? {} : { stop: finish.stop }),
    seed: sampling.seed,
    parts,
    timings: {
      cachedTokens: sequence.cached,
      queued: begun - w.started,
      timeToFirstToken: firstToken - w.started,
      prefillTokensPerSecond: perSecond(promptIds.length - sequence.cached, firstToken - begun),
      decodeTokensPerSecond: perSecond(parts.length - 1, ended - firstToken),
    },
  };
}

/** Forbids these ids; which other is the likeliest must then be looked for. */
function without(logits: Float32Array, ids: ReadonlySet<number>): undefined {
  for (const id of ids) logits[id] = -Infinity;
}
