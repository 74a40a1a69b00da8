/**
 * Who runs in the next step, as a pure function. There is no prefill phase and no decode phase, and none of verification: each sequence catches
 * up from what is computed to what is known or proposed. Those that write go first, so that a long prompt doesn't hold up texts being written;
 * of the step's time they leave, prompts get what the latency goal allows, and always some.
 */
import { pageSize } from "../ops/cache.ts";
import { lacking, type PageTable } from "./page-tables.ts";
import { missing, type Sequence } from "./sequence.ts";

/** A sequence that wants to catch up. */
export interface Demand {
  readonly sequence: Sequence;
  /** Logits are read after every token from this position on; those of the last token always. */
  readonly readFrom: number;
  /** Lower goes first. */
  readonly priority: number;
  /** Computed already what its tenant got so far, when it is asked; lower goes first among those that wait. */
  readonly service: number;
  /** It has begun, and holds pages (here or on disk). */
  readonly started: boolean;
}

export interface Budget {
  /** Most tokens in a step. */
  readonly rows: number;
  /** Most tokens of prompts in a step that also writes texts, so that these wait less. */
  readonly rowsBesideTexts: number;
  readonly sequences: number;
  /** Most logits rows read in a step. */
  readonly outputRows: number;
  /** Pages of each table that are free or can be made so. */
  readonly freePages: readonly number[];
  readonly tables: readonly PageTable[];
}

/** Tokens `first` to `first + count` of a demand's sequence; logits are read from `readFrom` on. */
export interface Part<D extends Demand = Demand> {
  readonly demand: D;
  readonly first: number;
  readonly count: number;
  readonly readFrom: number;
}

/** Who goes first: by priority, then those that have begun, then the tenant that got least, then who came first. */
export function inTurn<D extends Demand>(demands: readonly D[]): D[] {
  const order = (a: D, b: D): number =>
    a.priority - b.priority || Number(b.started) - Number(a.started) || (a.started ? 0 : a.service - b.service);
  return [...demands].sort(order);
}

/** Whether the sequence writes: what it lacks is the last token, and what was proposed after it. */
export const isWriting = ({ sequence }: Demand): boolean => missing(sequence) === 1 + sequence.drafts.length;

/** Chooses from demands in turn. An empty result means that pages must be freed first (or that there is nothing to do). */
export function plan<D extends Demand>(demands: readonly D[], budget: Budget): Part<D>[] {
  const chosen = demands.slice(0, budget.sequences);
  const started = chosen.filter((demand) => demand.started).length;
  const parts: Part<D>[] = [];
  const freePages = [...budget.freePages];
  let { outputRows, rows } = budget;
  const add = (demand: D, most: number): void => {
    const { sequence } = demand;
    if (outputRows === 0) return;
    const known = sequence.tokens.length;
    // A text that starts while others run must leave each of them a page, or it would soon have to wait for them.
    if (!demand.started && started > 0 && !fits(lacking(sequence, known, budget.tables), freePages, started)) return;
    let count = Math.min(missing(sequence), most, rows);
    const readFrom = Math.max(sequence.computed, Math.min(demand.readFrom, known - 1));
    count = Math.min(count, Math.max(0, readFrom - sequence.computed) + outputRows);
    // Fewer tokens where pages are short: down to what the pages that it has hold.
    while (count > 0 && !fits(lacking(sequence, sequence.computed + count, budget.tables), freePages, 0))
      count = Math.min(count - 1, Math.ceil((sequence.computed + count) / pageSize - 1) * pageSize - sequence.computed);
    if (count <= 0) return;
    const end = sequence.computed + count;
    parts.push({ demand, first: sequence.computed, count, readFrom: Math.min(readFrom, end) });
    lacking(sequence, end, budget.tables).forEach((pages, t) => (freePages[t]! -= Math.max(0, pages)));
    outputRows -= Math.max(0, end - readFrom);
    rows -= count;
  };
  // Every text gets its next token before any gets room for what was proposed beyond it.
  const writing = chosen.filter(isWriting);
  for (const [i, demand] of writing.entries()) add(demand, Math.max(1, outputRows - (writing.length - 1 - i)));
  if (parts.length > 0) rows = Math.min(rows, budget.rowsBesideTexts);
  for (const demand of chosen) if (!isWriting(demand)) add(demand, rows);
  return parts;
}

const fits = (needed: readonly number[], free: readonly number[], spare: number): boolean =>
  needed.every((pages, t) => pages <= 0 || pages + spare <= free[t]!);
