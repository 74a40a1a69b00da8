/** A draft proposes ids: they must mean the same to the model. */
import { FrugalError } from "../../tensor/error.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";

/** Throws FRUGAL_UNSUPPORTED, naming the first token that differs, for a draft whose ids mean something else. */
export function checkVocabularies(model: Tokenizer, draft: Tokenizer, draftName: string): void {
  const refuse = (difference: string): never => {
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `draft: ${draftName} has another vocabulary: ${difference}; take a draft of the same family`,
      {
        draft: draftName,
      },
    );
  };
  if (model.vocabularySize !== draft.vocabularySize) refuse(`${draft.vocabularySize} tokens, the model ${model.vocabularySize}`);
  for (let id = 0; id < model.vocabularySize; id++) {
    const [own, its] = [model.pieceText(id), draft.pieceText(id)];
    if (own !== its) refuse(`token ${id} is ${JSON.stringify(its)}, the model's ${JSON.stringify(own)}`);
  }
}
