/** A text being written: an awaitable of the whole result, and an iterable of its parts as they come. */
import { type Awaitable, startAwaitable } from "../tensor/awaitable.ts";
import type { Alternative } from "./logprobs.ts";

export interface Part {
  /** What this token adds to the text; empty where it is special, or is only a piece of a character or of a possible stop string. */
  readonly text: string;
  readonly id: number;
  /** With `logprobs`: ln of the token's probability under the model's own distribution. */
  readonly logprob?: number;
  /** With `logprobs`: the likeliest tokens in its place, likeliest first. */
  readonly alternatives?: readonly Alternative[];
}

export interface Timings {
  /** Tokens of the prompt whose keys and values were there from an earlier text. */
  readonly cachedTokens: number;
  /** From the call until the text was begun, in milliseconds. */
  readonly queued: number;
  /** From the call to the first token, in milliseconds. */
  readonly timeToFirstToken: number;
  /** Of the prompt's tokens that were not cached. */
  readonly prefillTokensPerSecond: number;
  /** Of the tokens after the first; 0 where there are none. */
  readonly decodeTokensPerSecond: number;
}

export interface GenerationResult {
  readonly text: string;
  /** All tokens written, the one that ended the text included. */
  readonly ids: readonly number[];
  readonly promptIds: readonly number[];
  /** "stop": the model ended the text, or a stop string did; "length": `maxTokens` are written or the context is full. */
  readonly finishReason: "stop" | "length";
  /** The stop string that ended the text. */
  readonly stop?: string;
  /** Give it as an option to get the same text again. */
  readonly seed: number;
  readonly parts: readonly Part[];
  readonly timings: Timings;
}

/**
 * Await it for the whole result, or iterate over its parts; both may be done, and more than once. Leaving the loop early stops the writing:
 * awaiting it then rejects with an AbortError, as it does with the signal's reason after an abort.
 */
export interface Generation extends Awaitable<Part, GenerationResult> {
  /** The text as it comes, as a web stream; cancelling it stops the writing. */
  toReadableStream(): ReadableStream<string>;
}

/** Starts `write`, which calls `emit` for each part and resolves to the result. */
export function startGeneration(
  write: (emit: (part: Part) => void, signal: AbortSignal) => Promise<GenerationResult>,
  signal?: AbortSignal,
): Generation {
  const started = startAwaitable(write, signal);
  return {
    ...started,
    toReadableStream() {
      const iterator = started[Symbol.asyncIterator]();
      return new ReadableStream<string>({
        async pull(controller) {
          for (;;) {
            const { done, value } = await iterator.next();
            if (done === true) return controller.close();
            if (value.text !== "") return controller.enqueue(value.text);
          }
        },
        async cancel() {
          await iterator.return?.();
        },
      });
    },
  };
}
