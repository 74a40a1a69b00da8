/** The ways to propose tokens, by name: with a model of their own, or from the text itself. */
import type { ModelParts } from "../../serving/load-parts.ts";
import { draftModel } from "./draft-model.ts";
import { promptLookup } from "./prompt-lookup.ts";
import type { DecodingTechnique } from "./technique.ts";

export const drafting: Readonly<Record<string, (draft: ModelParts) => DecodingTechnique>> = {
  "draft-model": (draft) => draftModel(draft),
};

export const lookingBack: Readonly<Record<string, () => DecodingTechnique>> = {
  "prompt-lookup": () => promptLookup(),
};
