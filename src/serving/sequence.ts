/** One text as the engine sees it. A few counters say everything: tokens known, tokens proposed beyond them, tokens computed. */

export interface Sequence {
  /** Prompt and answer so far. */
  readonly tokens: number[];
  /** Tokens that may follow, computed with the others and then confirmed or dropped. */
  readonly drafts: number[];
  /** How many tokens, from the first, have their keys and values in `pages`. */
  computed: number;
  /** Of each page table: page i holds tokens i * pageSize and on, or is `noPage`. */
  readonly pages: number[][];
  /** Tokens whose keys and values were there already when it was first run. */
  cached: number;
}

export const createSequence = (tokens: readonly number[] = []): Sequence => ({
  tokens: [...tokens],
  drafts: [],
  computed: 0,
  pages: [],
  cached: 0,
});

/** Tokens that the next steps must compute, proposed ones included. */
export const missing = ({ tokens, drafts, computed }: Sequence): number => tokens.length + drafts.length - computed;

export const tokenAt = ({ tokens, drafts }: Sequence, position: number): number =>
  position < tokens.length ? tokens[position]! : drafts[position - tokens.length]!;
