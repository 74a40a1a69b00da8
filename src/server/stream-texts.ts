/** Writes texts to a stream of events as they come, at the pace of their reader. */
import type { Generation, GenerationResult, Part } from "../serving/generation.ts";
import type { EventStream } from "./event-stream.ts";
import type { RequestScope } from "./request-scope.ts";

/** What becomes of a text's parts. */
export interface TextEvents {
  part(index: number, part: Part): void;
  finished(index: number, result: GenerationResult): void;
  /** After all texts. */
  completed(results: readonly GenerationResult[]): void;
}

/**
 * Returns when the stream has ended. A failure after its beginning ends it with an event that says so; before, it is thrown, so that it
 * becomes an ordinary answer.
 */
export async function streamTexts(
  scope: RequestScope,
  events: EventStream,
  texts: readonly { readonly generation: Generation }[],
  { part, finished, completed }: TextEvents,
): Promise<void> {
  const follow = async ({ generation }: { readonly generation: Generation }, index: number): Promise<GenerationResult> => {
    for await (const piece of generation) {
      // Looked at again after each wait: of many texts that waited, the first that goes on may fill the connection.
      while (events.isBehind()) await events.ready();
      part(index, piece);
    }
    const result = await generation;
    while (events.isBehind()) await events.ready();
    finished(index, result);
    return result;
  };
  try {
    completed(await Promise.all(texts.map(follow)));
    events.end();
  } catch (error) {
    if (!events.begun) throw error;
    scope.failure = error;
    scope.abort(error);
    events.fail(error);
  }
}
