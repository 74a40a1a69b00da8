/** Starts the texts that a request asks for, and tells the observers what becomes of each. */
import type { Generation } from "../serving/generation.ts";
import type { Prompt } from "../serving/prompt.ts";
import type { GenerateOptions } from "../serving/writer.ts";
import { observe, type ServerContext } from "./context.ts";
import { HttpError } from "./errors.ts";
import type { Target } from "./find-model.ts";
import type { RequestScope } from "./request-scope.ts";

/** One text of a request. It ends with the request's signal. */
export async function startText(
  context: ServerContext,
  scope: RequestScope,
  target: Target,
  prompt: Prompt,
  options: GenerateOptions,
): Promise<{ readonly generation: Generation }> {
  await checkLength(target, prompt);
  const adapter = target.adapter === undefined ? {} : { adapter: target.adapter };
  const started = performance.now();
  // In a record, since what is awaited would be the whole text.
  const generation = target.model.generate(prompt, { ...options, ...adapter, signal: scope.signal });
  const about = { model: target.name, maxTokens: options.maxTokens };
  generation.then(
    ({ finishReason, promptIds, ids, timings }) =>
      observe(context, (observer) =>
        observer.generationEnded?.({
          ...about,
          outcome: finishReason,
          promptTokens: promptIds.length,
          cachedTokens: timings.cachedTokens,
          generatedTokens: ids.length,
          queued: (timings as { readonly queued?: number }).queued,
          timeToFirstToken: ids.length > 0 ? timings.timeToFirstToken : undefined,
          total: performance.now() - started,
        }),
      ),
    () =>
      observe(context, (observer) =>
        observer.generationEnded?.({
          ...about,
          outcome: scope.signal.aborted ? "aborted" : "failed",
          promptTokens: 0,
          cachedTokens: 0,
          generatedTokens: 0,
          queued: undefined,
          timeToFirstToken: undefined,
          total: performance.now() - started,
        }),
      ),
  );
  if ([...context.observers].some((observer) => observer.tokenGap !== undefined)) void watchGaps(context, target, generation);
  return { generation };
}

async function watchGaps(context: ServerContext, target: Target, generation: Generation): Promise<void> {
  let last: number | undefined;
  try {
    for await (const _ of generation) {
      const now = performance.now();
      const gap = last === undefined ? undefined : now - last;
      last = now;
      if (gap !== undefined) observe(context, (observer) => observer.tokenGap?.(target.name, gap));
    }
  } catch {
    return; // whoever asked for the text hears of it
  }
}

/** Text that cannot fit however it is cut into tokens is refused before it is: that work would hold up everybody. */
async function checkLength({ model }: Target, prompt: Prompt): Promise<void> {
  const characters = charactersOf(prompt);
  if (characters <= model.contextLength) return;
  const most = model.contextLength * (await model.tokenizer()).maximumPieceBytes;
  if (characters > most)
    throw new HttpError(
      400,
      `prompt: has ${characters} characters, but the context holds ${model.contextLength} tokens, at most ${most} characters; shorten it`,
      { code: "context_length_exceeded" },
    );
}

function charactersOf(prompt: Prompt): number {
  if (typeof prompt === "string") return prompt.length;
  let sum = 0;
  for (const entry of prompt) if (typeof entry === "object") sum += typeof entry.content === "string" ? entry.content.length : 0;
  return sum;
}
