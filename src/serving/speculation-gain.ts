/**
 * How many proposed tokens a step should verify. With acceptance a, n proposed tokens are worth (1 - a^(n+1)) / (1 - a) tokens (Leviathan,
 * Kalman, Matias 2023, arXiv 2211.17192, equation 1); what they cost is measured, not assumed, so that speculation ends by itself where steps
 * are bound by arithmetic or many texts share them.
 */

/** Less is not worth the risk that the estimate is wrong. */
export const leastGain = 1.05;

export interface Outlook {
  /** Most tokens to verify. */
  readonly most: number;
  /** How likely a proposed token comes, where those before it came. */
  readonly acceptance: number;
  /** Rows of the step without this text's proposals, of all its texts. */
  readonly rows: number;
  /** Tokens that the step is expected to write without them. */
  readonly tokens: number;
  /** Milliseconds of a step of so many rows; undefined where nothing is measured. */
  stepTime(rows: number): number | undefined;
  /** Milliseconds that proposing one token takes. */
  readonly draftTime: number;
}

/** Tokens that a text gets from a step that verifies `drafts` of them, its own next one included. */
export const expectedTokens = (acceptance: number, drafts: number): number =>
  acceptance < 1 ? (1 - acceptance ** (drafts + 1)) / (1 - acceptance) : drafts + 1;

/** The number of proposals with the most expected tokens a millisecond of the whole step; 0 where none gains `leastGain`. */
export function draftsWorth({ most, acceptance, rows, tokens, stepTime, draftTime }: Outlook): number {
  const alone = stepTime(rows);
  // Before anything is measured only trying helps.
  if (alone === undefined || alone <= 0) return most;
  let [best, bestGain] = [0, leastGain];
  for (let drafts = 1; drafts <= most; drafts++) {
    const time = stepTime(rows + drafts)! + drafts * draftTime;
    const gain = (((tokens - 1 + expectedTokens(acceptance, drafts)) / tokens) * alone) / time;
    if (gain > bestGain) [best, bestGain] = [drafts, gain];
  }
  return best;
}
