/**
 * Speculative decoding with a draft model (Leviathan, Kalman, Matias 2023, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318): a smaller
 * model of the same vocabulary proposes what it would write itself.
 *
 * The papers accept a drawn token x with probability min(1, p(x) / q(x)). Here the draft draws with the numbers that the text itself will
 * draw with, which are keyed by (seed, position): both choose the same token about as often, and the text is not only alike in distribution
 * but the very text that the model writes alone.
 */
import type { ModelParts } from "../../serving/load-parts.ts";
import { choose } from "../../serving/sampler.ts";
import { createSequence } from "../../serving/sequence.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { DecodingTechnique } from "./technique.ts";

/** The drafts of several texts share the steps of the draft's engine. `draft` is disposed with the technique. */
export function draftModel(draft: ModelParts): DecodingTechnique {
  const { engine } = draft;
  if (engine === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `draft: ${draft.opened.name} is an encoder and writes no text; take a text model`, {
      kind: draft.model.kind,
    });
  return {
    name: "draft-model",
    paper: {
      title: "Fast Inference from Transformers via Speculative Decoding",
      authors: "Yaniv Leviathan, Matan Kalman, Yossi Matias",
      year: 2023,
      url: "https://arxiv.org/abs/2211.17192",
    },
    survey: "4.3 inference: opportunistic decoding",
    changes: "schedule",
    start(sampling) {
      const drawn = { ...sampling, logprobs: undefined };
      const ending = new AbortController();
      return {
        async propose(tokens, most) {
          // The last of them is proposed, not computed.
          const room = Math.min(most, engine.limits.context + 1 - tokens.length);
          if (room <= 0) return [];
          // What it computed of them is in its prefixes.
          const sequence = createSequence(tokens);
          const proposed: number[] = [];
          await engine.run({
            sequence,
            readFrom: Number.MAX_SAFE_INTEGER,
            signal: ending.signal,
            read(position, logits, likeliest) {
              if (position < sequence.tokens.length - 1) return "more";
              const { id } = choose(logits, drawn, sequence.tokens, likeliest);
              sequence.tokens.push(id);
              proposed.push(id);
              return proposed.length < room ? "more" : "done";
            },
          });
          return proposed;
        },
        judged() {},
        dispose: () => ending.abort(),
      };
    },
    dispose: () => draft.dispose(),
  };
}
