/** What proposes tokens for a model's texts: the draft model that is named, else prompt lookup. */
import { type LoadOptions, loadParts, type StepLimits } from "../../serving/load-parts.ts";
import type { SpeculationMode } from "../../serving/strategy.ts";
import { checkVocabularies, draftModel } from "./draft-model.ts";
import { promptLookup } from "./prompt-lookup.ts";

/** Options of the model that hold for its draft too. A draft's context is its own: beyond it nothing is proposed. */
const shared = ["backend", "threads", "cache", "hub", "signal", "sequences", "cacheTokens"] as const;

/** For `StepLimits.speculation`. Rejects with what loading the draft rejects with, and with FRUGAL_UNSUPPORTED for a draft with another vocabulary. */
export function chooseStrategy(
  draft: string | undefined,
  mode: SpeculationMode,
  options: LoadOptions,
): NonNullable<StepLimits["speculation"]> {
  return async (opened) => {
    if (draft === undefined) return { ...promptLookup(), mode };
    const given = Object.entries(options).filter(([name]) => (shared as readonly string[]).includes(name));
    const parts = await loadParts(draft, Object.fromEntries(given), { textFor: "draft" });
    try {
      checkVocabularies(await opened.tokenizer(), await parts.opened.tokenizer(), parts.opened.name);
      return { ...draftModel(parts), mode };
    } catch (error) {
      await parts.dispose();
      throw error;
    }
  };
}
