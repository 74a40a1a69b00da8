/**
 * Who runs in the next step, as a pure function. There is no prefill phase and no decode phase: each sequence catches up from what is
 * computed to what is known. Those that lack one token go first, so that a long prompt doesn't hold up texts being written.
 */
import { pagesFor, type Sequence } from "./sequence.ts";

/** A sequence that wants to catch up. */
export interface Demand {
  readonly sequence: Sequence;
  /** Logits are read after every token from this position on; those of the last token always. */
  readonly readFrom: number;
}

export interface Budget {
  /** Most tokens in a step. */
  readonly rows: number;
  /** Most tokens in a step that also writes texts, so that these wait less; single tokens are not counted. */
  readonly rowsBesideTexts: number;
  readonly sequences: number;
  /** Most logits rows read in a step. */
  readonly outputRows: number;
  readonly freePages: number;
  readonly pageSize: number;
}

/** Tokens `first` to `first + count` of a demand's sequence; logits are read from `readFrom` on. */
export interface Part<D extends Demand = Demand> {
  readonly demand: D;
  readonly first: number;
  readonly count: number;
  readonly readFrom: number;
}

/** Chooses from demands in order of arrival. An empty result means that pages must be freed first (or that there is nothing to do). */
export function plan<D extends Demand>(demands: readonly D[], budget: Budget): Part<D>[] {
  const missing = (demand: D): number => demand.sequence.tokens.length - demand.sequence.computed;
  const writing = demands.filter((demand) => missing(demand) === 1);
  const reading = demands.filter((demand) => missing(demand) > 1);
  const started = demands.filter(({ sequence }) => sequence.computed > 0).length;

  const parts: Part<D>[] = [];
  let { outputRows, freePages } = budget;
  let rows = budget.rows;
  const add = (demand: D, most: number): void => {
    const { sequence } = demand;
    if (parts.length >= budget.sequences || outputRows === 0) return;
    // A text that starts while others run must leave each of them a page, or it would soon be thrown out again.
    const needed = pagesFor(sequence.tokens.length, budget.pageSize) - sequence.pages.length;
    if (sequence.computed === 0 && started > 0 && needed + started > freePages) return;
    const room = (sequence.pages.length + freePages) * budget.pageSize - sequence.computed;
    let count = Math.min(missing(demand), most, rows, room);
    const readFrom = Math.max(sequence.computed, Math.min(demand.readFrom, sequence.tokens.length - 1));
    count = Math.min(count, Math.max(0, readFrom - sequence.computed) + outputRows);
    if (count <= 0) return;
    const end = sequence.computed + count;
    parts.push({ demand, first: sequence.computed, count, readFrom: Math.min(readFrom, end) });
    freePages -= Math.max(0, pagesFor(end, budget.pageSize) - sequence.pages.length);
    outputRows -= Math.max(0, end - readFrom);
    rows -= count;
  };
  for (const demand of writing) add(demand, 1);
  if (parts.length > 0) rows = Math.min(rows, budget.rowsBesideTexts);
  for (const demand of reading) add(demand, rows);
  return parts;
}
