/** What the engine counts, for metrics and for people. */
import type { PageReport } from "./cache-keeper.ts";

/** Totals since loading, but for the first four. */
export interface ServingStats {
  /** Texts that have begun. */
  readonly running: number;
  readonly waiting: number;
  /** Most texts that may wait. */
  readonly queueLimit: number;
  /** By page table. */
  readonly pages: Readonly<Record<string, PageReport>>;
  readonly steps: number;
  /** Tokens of prompts, cached ones included. */
  readonly promptTokens: number;
  /** Of these, tokens whose keys and values were there already. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** Tokens that were proposed, and those of them that came. */
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  /** Tokens that were guessed from shortlists (the deferred head), and those of them that the whole head confirmed. */
  readonly guessedTokens: number;
  readonly confirmedTokens: number;
  /** Times a text made room for others. */
  readonly preemptions: number;
  /** Pages written to disk for that. */
  readonly spilledPages: number;
  /** Prefixes given up. */
  readonly evictedPrefixes: number;
  /** When a new text would be begun, by how long texts took so far. */
  readonly predictedWaitSeconds: number;
}

/** One step of the engine. */
export interface StepReport {
  /** Of the model's run. */
  readonly milliseconds: number;
  readonly rows: number;
  readonly sequences: number;
  /** Rows whose logits were read. */
  readonly outputRows: number;
  /** Rows of texts being written, without what was proposed. */
  readonly decodeRows: number;
  /** Rows of proposed tokens. */
  readonly draftRows: number;
  /** Of a round of the deferred head, whose rows are computed one after the other: the tokens it brought. 0 for other steps. */
  readonly roundTokens: number;
  /** Between the run before and this one, where there was one: choosing tokens and planning. */
  readonly overheadMilliseconds: number;
}
