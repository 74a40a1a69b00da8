/** Text that cannot fit however it is cut into tokens is refused before it is: that work would hold up everybody. */
import type { FrugalModel } from "../serving/model.ts";
import type { Prompt } from "../serving/prompt.ts";
import { HttpError } from "./errors.ts";

/** The most characters that the model's context can hold. */
export const mostCharacters = async (model: FrugalModel): Promise<number> =>
  model.contextLength * (await model.tokenizer()).maximumPieceBytes;

/** @throws HttpError 400 with the counts. */
export async function checkCharacters(model: FrugalModel, prompt: Prompt): Promise<void> {
  const characters = charactersOf(prompt);
  if (characters <= model.contextLength) return;
  const most = await mostCharacters(model);
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
