/** What the engine refuses to run. */
import { FrugalError } from "../tensor/error.ts";

/** @throws FRUGAL_BAD_ARGUMENT, FRUGAL_CONTEXT_FULL for tokens that can't be run. */
export function checkTokens(
  tokens: readonly number[],
  { context, vocabularySize }: { readonly context: number; readonly vocabularySize: number },
): void {
  if (tokens.length === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "prompt: has no tokens, and the model has no token to begin with; give some text");
  if (tokens.length > context)
    throw new FrugalError(
      "FRUGAL_CONTEXT_FULL",
      `prompt: has ${tokens.length} tokens, but the context holds ${context}; shorten it or load with a larger context`,
      {
        tokens: tokens.length,
        context,
      },
    );
  const wrong = tokens.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (wrong !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `ids: ${wrong} is not a token; ids go from 0 to ${vocabularySize - 1}`, {
      id: wrong,
      vocabularySize,
    });
}

/** Too many wait: when to try again. */
export function busy(queue: number, seconds: number): FrugalError {
  const retryAfterSeconds = Math.max(1, Math.ceil(seconds));
  return new FrugalError("FRUGAL_BUSY", `engine: ${queue} texts wait already, as many as may; try again in ${retryAfterSeconds} s`, {
    queue,
    retryAfterSeconds,
  });
}
