/** What the samples of one claim say: medians, ratios, the share of the machine's limit, and whether the goal is reached. */
import type { Claim, Limit } from "./claim.ts";
import { labelOf, type Row } from "./measure/interleave.ts";
import type { ModelFacts } from "./measure/model-facts.ts";
import { pairwiseRatios, summarize, type Summary } from "./measure/statistics.ts";

export interface ResultRow {
  readonly label: string;
  readonly samples: readonly number[];
  /** Absent where no sample was taken. */
  readonly summary?: Summary;
  readonly failure?: string;
  /** Ours to this one's. */
  readonly ratioOfMedians?: number;
  readonly pairwiseRatio?: Summary;
}

export interface Share {
  /** What is held against what. */
  readonly of: string;
  readonly unit: Limit["unit"];
  /** Billions of bytes or operations that a token takes. */
  readonly perToken: number;
  /** What our median speed comes to. */
  readonly reached: number;
  readonly limit: Summary;
  /** Of the limit, round by round. */
  readonly share: Summary;
}

export interface ClaimResult {
  readonly name: string;
  readonly title: string;
  readonly unit: Claim["unit"];
  readonly goal: string;
  /** Whom the goal was judged against. */
  readonly peer?: string;
  readonly isReached?: boolean;
  readonly rows: readonly ResultRow[];
  readonly share?: Share;
  /** Why nothing was measured. */
  readonly skipped?: string;
}

export const skippedResult = ({ name, title, unit, goal }: Claim, why: string): ClaimResult => ({
  name,
  title,
  unit,
  goal: goal.text,
  rows: [],
  skipped: why,
});

/** `rows` of the claim's entrants, ours first; `limitRow` of its limit. */
export function judge(
  claim: Claim,
  rows: readonly Row[],
  limited?: { readonly limit: Limit; readonly row: Row; readonly facts: ModelFacts },
): ClaimResult {
  const [ours, ...theirs] = rows.map((row) => describe(row, rows[0]!)) as [ResultRow, ...ResultRow[]];
  // The goal names the first peer; others stand in where it is not there.
  const peer = theirs.find(({ summary }) => summary !== undefined);
  const isReached =
    ours.summary === undefined
      ? undefined
      : claim.goal.reached({
          ours: ours.summary.median,
          ...(peer?.summary && { peer: peer.summary.median }),
          ...(peer?.pairwiseRatio && { ratio: peer.pairwiseRatio }),
        });
  const share = limited && shareOf(ours, limited);
  return {
    name: claim.name,
    title: claim.title,
    unit: claim.unit,
    goal: claim.goal.text,
    ...(peer && claim.goal.isAbsolute !== true && { peer: peer.label }),
    ...(isReached === undefined ? {} : { isReached }),
    rows: [ours, ...theirs],
    ...(share && { share }),
  };
}

function describe(row: Row, first: Row): ResultRow {
  const { entrant, samples, failure } = row;
  const summary = samples.length > 0 ? summarize(samples) : undefined;
  const ratios = row === first ? [] : pairwiseRatios(first.samples, samples);
  return {
    label: labelOf(entrant),
    samples,
    ...(summary && { summary }),
    ...(failure === undefined ? {} : { failure }),
    ...(summary &&
      ratios.length > 0 && { ratioOfMedians: summarize(first.samples).median / summary.median, pairwiseRatio: summarize(ratios) }),
  };
}

function shareOf(
  ours: ResultRow,
  { limit, row, facts }: { readonly limit: Limit; readonly row: Row; readonly facts: ModelFacts },
): Share | undefined {
  const perToken = limit.perToken(facts);
  const shares = pairwiseRatios(
    ours.samples.map((speed) => speed * perToken),
    row.samples,
  );
  if (ours.summary === undefined || shares.length === 0) return undefined;
  return {
    of: limit.name,
    unit: limit.unit,
    perToken,
    reached: ours.summary.median * perToken,
    limit: summarize(row.samples),
    share: summarize(shares),
  };
}
