/**
 * Decides for all texts of an engine how much speculation their steps bear: what texts that were asked before promised counts for those after,
 * and what steps took is learned from the engine's own reports.
 */
import { createSpeculation } from "./speculation.ts";
import type { StepReport } from "./serving-stats.ts";
import type { DecodeStrategy, SpeculationMode } from "./strategy.ts";
import { createVerifyTimes } from "./verify-times.ts";

export interface Steering {
  /** The strategy as the engine gets it: it proposes only where that is expected to pay. */
  steer(strategy: DecodeStrategy, mode: SpeculationMode): DecodeStrategy;
}

/** What it needs to know of an engine. */
export interface Steered {
  onStep(listener: (step: StepReport) => void): () => void;
}

export function createSteering(engine: Steered): Steering {
  const times = createVerifyTimes();
  /** Texts that the step before wrote. */
  let writing = 1;
  /** What others proposed for the step to come, and how much of what was proposed came lately. */
  let promised = 0;
  let comes = 0.5;
  let isListening = false;

  function listen(): void {
    if (isListening) return;
    isListening = true;
    engine.onStep(({ rows, decodeRows, draftRows, roundTokens, milliseconds }) => {
      promised = 0;
      writing = Math.max(1, decodeRows);
      // Where the head is put off, a token takes its share of the round: that is what proposals must be faster than.
      if (roundTokens > 0) times.record(1, milliseconds / roundTokens);
      else if (rows === decodeRows + draftRows) times.record(rows, milliseconds);
    });
  }
  const counted = (ids: readonly number[]): readonly number[] => {
    promised += ids.length;
    return ids;
  };

  return {
    steer(strategy, mode) {
      // Nobody listens before there is something to decide.
      listen();
      const speculation = createSpeculation(strategy, mode);
      return {
        propose(tokens, most) {
          const step = { rows: writing + promised, tokens: writing + comes * promised, stepTime: times.expected };
          const proposal = speculation.propose(tokens, most, step);
          return proposal instanceof Promise ? proposal.then(counted) : counted(proposal);
        },
        judged(proposed, accepted) {
          if (proposed > 0) comes += (accepted / proposed - comes) * 0.1;
          speculation.judged(proposed, accepted);
        },
        dispose: speculation.dispose,
      };
    },
  };
}
