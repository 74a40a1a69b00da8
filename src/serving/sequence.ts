/** One text as the engine sees it. Three counters say everything: tokens known, tokens computed, tokens scheduled to be computed now. */
import type { Pages } from "./pages.ts";

export interface Sequence {
  /** Prompt and answer so far. */
  readonly tokens: number[];
  /** How many tokens, from the first, have their keys and values in `pages`. */
  computed: number;
  /** How many more the step under way computes. */
  scheduled: number;
  /** Page i holds tokens i * pageSize and on. */
  readonly pages: number[];
}

export const createSequence = (tokens: readonly number[] = []): Sequence => ({ tokens: [...tokens], computed: 0, scheduled: 0, pages: [] });

export const pagesFor = (tokens: number, pageSize: number): number => Math.ceil(tokens / pageSize);

/** Takes pages until `tokens` tokens have a place; false, with what was taken kept, where the pages run out. */
export function grow(sequence: Sequence, tokens: number, pageSize: number, pages: Pages): boolean {
  while (sequence.pages.length < pagesFor(tokens, pageSize)) {
    const page = pages.take();
    if (page === undefined) return false;
    sequence.pages.push(page);
  }
  return true;
}

/** Gives pages back that hold nothing of the first `tokens` tokens, and counts no more than those as computed. */
export function shrink(sequence: Sequence, tokens: number, pageSize: number, pages: Pages): void {
  sequence.computed = Math.min(sequence.computed, tokens);
  while (sequence.pages.length > pagesFor(tokens, pageSize)) pages.giveBack(sequence.pages.pop()!);
}

/** Makes the sequence hold `tokens`, keeping what was computed of the common beginning. Returns how many tokens were kept. */
export function replace(sequence: Sequence, tokens: readonly number[], pageSize: number, pages: Pages): number {
  let common = 0;
  while (common < tokens.length && common < sequence.tokens.length && tokens[common] === sequence.tokens[common]) common++;
  sequence.tokens.length = common;
  for (let i = common; i < tokens.length; i++) sequence.tokens.push(tokens[i]!);
  // The last token is computed again where all are cached: its logits are wanted.
  const kept = Math.max(0, Math.min(sequence.computed, common, tokens.length - 1));
  shrink(sequence, kept, pageSize, pages);
  return kept;
}
