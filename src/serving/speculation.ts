/**
 * Speculation of one text: asks its strategy when that pays, and learns from what came of it. Where it does not pay, proposals are compared
 * with the text as it is written anyway, which costs no rows, and now and then verified, since times change too.
 */
import { draftsWorth } from "./speculation-gain.ts";
import type { DecodeStrategy, SpeculationMode } from "./strategy.ts";

/** The step that proposals would join. */
export interface StepOutlook {
  /** Rows without them, of all texts, this one's included. */
  readonly rows: number;
  /** Tokens it is expected to write without them. */
  readonly tokens: number;
  /** Milliseconds of a step of so many rows; undefined where nothing is measured. */
  stepTime(rows: number): number | undefined;
}

export interface Speculation {
  /**
   * What to verify after `tokens`, at most `most` tokens. Throws, or rejects with, what the strategy throws.
   */
  propose(tokens: readonly number[], most: number, step: StepOutlook): readonly number[] | Promise<readonly number[]>;
  judged(proposed: number, accepted: number): void;
  dispose(): Promise<void> | void;
}

/** What is known of a strategy before it has proposed anything: even odds, soon outweighed. */
const prior = { hits: 1, trials: 2 } as const;
/** How much of what was learned is kept from one judgement to the next. */
const memory = 0.85;
/** Tokens compared with the text where none are verified. */
const shadowLength = 4;
/** Comparing may take this share of the time of steps. */
const shadowShare = 0.01;
/** Where it does not pay, every so many proposals one is verified all the same. */
const probeEvery = 64;

export function createSpeculation(strategy: DecodeStrategy, mode: SpeculationMode): Speculation {
  let { hits, trials } = prior as { hits: number; trials: number };
  let draftTime = 0;
  /** What would have been proposed after `at` tokens. */
  let shadow: { readonly at: number; readonly ids: readonly number[] } | undefined;
  /** Steps without verification since the last comparison, and since the last probe. */
  let [uncompared, unprobed] = [0, 0];

  const learn = (proposed: number, accepted: number): void => {
    hits = hits * memory + accepted;
    trials = trials * memory + Math.min(proposed, accepted + 1);
  };

  /** Compares the last proposal that nobody verified with what was written. */
  function settleShadow(tokens: readonly number[]): void {
    if (shadow === undefined) return;
    const { at, ids } = shadow;
    let accepted = 0;
    while (accepted < ids.length && at + accepted < tokens.length && ids[accepted] === tokens[at + accepted]) accepted++;
    // Neither refuted nor wholly written yet.
    if (accepted < ids.length && at + accepted >= tokens.length) return;
    learn(ids.length, accepted);
    shadow = undefined;
  }

  function ask(tokens: readonly number[], most: number): readonly number[] | Promise<readonly number[]> {
    const started = performance.now();
    const noted = (ids: readonly number[]): readonly number[] => {
      if (ids.length > 0) draftTime += ((performance.now() - started) / ids.length - draftTime) * 0.2;
      return ids;
    };
    const proposal = strategy.propose(tokens, most);
    return isPromise(proposal) ? proposal.then(noted) : noted(proposal);
  }

  return {
    propose(tokens, most, { rows, tokens: expected, stepTime }) {
      if (mode === "off" || most <= 0) return [];
      if (mode === "always") return ask(tokens, most);
      settleShadow(tokens);
      const worth = draftsWorth({ most, acceptance: hits / trials, rows, tokens: expected, stepTime, draftTime });
      if (worth > 0) return ask(tokens, worth);
      if (++unprobed >= probeEvery) {
        unprobed = 0;
        return ask(tokens, Math.min(most, shadowLength));
      }
      const affordable = shadowShare * (stepTime(rows) ?? 0);
      if (shadow !== undefined || ++uncompared * affordable < shadowLength * draftTime) return [];
      uncompared = 0;
      const remember = (ids: readonly number[]): readonly number[] => {
        if (ids.length > 0) shadow = { at: tokens.length, ids };
        return [];
      };
      const at = tokens.length;
      const ids = ask(tokens, shadowLength);
      return isPromise(ids) ? ids.then((found) => (tokens.length === at ? remember(found) : [])) : remember(ids);
    },
    judged(proposed, accepted) {
      if (proposed === 0) return;
      learn(proposed, accepted);
      strategy.judged(proposed, accepted);
    },
    dispose: () => strategy.dispose?.(),
  };
}

const isPromise = <T>(value: T | Promise<T>): value is Promise<T> => value instanceof Promise;
