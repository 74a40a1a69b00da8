/** Starts the texts that a request asks for, and tells the observers what becomes of each. */
import type { Generation } from "../serving/generation.ts";
import type { Prompt } from "../serving/prompt.ts";
import type { GenerateOptions } from "../serving/writer.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkCharacters } from "./check-length.ts";
import { observe, type ServerContext } from "./context.ts";
import type { Target } from "./find-model.ts";
import type { RequestScope } from "./request-scope.ts";

/** A text under way. In a record, since what is awaited would be the whole text. */
export interface StartedText {
  readonly generation: Generation;
}

/** What a request asks for: `choices` texts of each prompt, and the options of each. */
export interface TextRequest {
  readonly prompts: readonly Prompt[];
  readonly choices: number;
  options(choice: number): GenerateOptions;
}

/** The texts, those of one prompt in a row. They end with the request's signal. */
export async function startTexts(
  context: ServerContext,
  scope: RequestScope,
  target: Target,
  { prompts, choices, options }: TextRequest,
): Promise<readonly StartedText[]> {
  for (const prompt of prompts) await checkCharacters(target.model, prompt);
  observe(context, (observer) => observer.generationStarted?.(target.name, choices, options(0).maxTokens));
  return prompts.flatMap((prompt) =>
    Array.from({ length: choices }, (_, choice) => startText(context, scope, target, prompt, options(choice))),
  );
}

function startText(context: ServerContext, scope: RequestScope, target: Target, prompt: Prompt, options: GenerateOptions): StartedText {
  const adapter = target.adapter === undefined ? {} : { adapter: target.adapter };
  const started = performance.now();
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
          queued: timings.queued,
          timeToFirstToken: ids.length > 0 ? timings.timeToFirstToken : undefined,
          total: performance.now() - started,
        }),
      ),
    (error: unknown) =>
      observe(context, (observer) =>
        observer.generationEnded?.({
          ...about,
          outcome: scope.signal.aborted ? "aborted" : "failed",
          ...(error instanceof FrugalError ? { errorCode: error.code } : {}),
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
