/** What proposes tokens for a model's texts: the draft model that is named, else prompt lookup. */
import { type LoadOptions, loadParts, type StepLimits } from "../../serving/load-parts.ts";
import type { SpeculationMode } from "../../serving/strategy.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkVocabularies } from "./check-vocabularies.ts";
import { drafting, lookingBack } from "./index.ts";
import type { DecodingTechnique } from "./technique.ts";

/** Options of the model that hold for its draft too. A draft's context is its own: beyond it nothing is proposed. */
const shared = ["backend", "threads", "cache", "hub", "signal", "sequences", "cacheTokens"] as const;

/** For `StepLimits.speculation`. Rejects with what loading the draft rejects with, and with FRUGAL_UNSUPPORTED for a draft with another vocabulary. */
export function chooseStrategy(
  draft: string | undefined,
  mode: SpeculationMode,
  options: LoadOptions,
): NonNullable<StepLimits["speculation"]> {
  return async (opened) => {
    if (draft === undefined) return { ...named(lookingBack, "prompt-lookup")(), mode };
    const given = Object.entries(options).filter(([name]) => (shared as readonly string[]).includes(name));
    const parts = await loadParts(draft, Object.fromEntries(given), { textFor: "draft" });
    try {
      checkVocabularies(await opened.tokenizer(), await parts.opened.tokenizer(), parts.opened.name);
      return { ...named(drafting, "draft-model")(parts), mode };
    } catch (error) {
      await parts.dispose();
      throw error;
    }
  };
}

function named<Make extends (draft: never) => DecodingTechnique>(list: Readonly<Record<string, Make>>, name: string): Make {
  const make = list[name];
  if (make === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `speculation: there is no "${name}" in this build; choose another`, { name });
  return make;
}
