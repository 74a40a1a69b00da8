/**
 * The page tables of a model and the pages of sequences in them. Layers that see everything share one table; layers with a sliding window have
 * their own, in which a sequence keeps only the pages that its window still reaches.
 */
import { pageSize } from "../ops/cache.ts";
import type { Pages } from "./pages.ts";
import type { Sequence } from "./sequence.ts";

export interface PageTable {
  /** The input of the program that it fills. */
  readonly name: string;
  /** Positions that its layers see back, their own included; undefined: all. */
  readonly window: number | undefined;
  readonly pages: Pages;
}

/** In a sequence's pages: the window has passed it, or it was never there. */
export const noPage = -1;

export const pagesFor = (tokens: number): number => Math.ceil(tokens / pageSize);

/** The first page that a query at `position` still sees. */
export const firstSeen = ({ window }: Pick<PageTable, "window">, position: number): number =>
  window === undefined ? 0 : Math.floor(Math.max(0, position - window + 1) / pageSize);

/** Pages of each table that a sequence lacks so that tokens up to `end` have a place. */
export const lacking = (sequence: Sequence, end: number, tables: readonly PageTable[]): number[] =>
  tables.map((table, t) => {
    const held = sequence.pages[t] ?? [];
    return pagesFor(end) - Math.max(held.length, held.length === 0 ? firstSeen(table, sequence.computed) : 0);
  });

/** Takes the pages that tokens up to `end` need, by `take`; false, with what was taken kept, where they run out. */
export function grow(sequence: Sequence, end: number, tables: readonly PageTable[], take: (table: number) => number | undefined): boolean {
  for (const [t, table] of tables.entries()) {
    const held = (sequence.pages[t] ??= []);
    const first = firstSeen(table, sequence.computed);
    while (held.length < pagesFor(end)) {
      const page = held.length < first ? noPage : take(t);
      if (page === undefined) return false;
      held.push(page);
    }
  }
  return true;
}

/** Gives back what the windows have passed. */
export function dropPassed(sequence: Sequence, tables: readonly PageTable[]): void {
  for (const [t, table] of tables.entries()) {
    const held = sequence.pages[t];
    if (table.window === undefined || held === undefined) continue;
    for (let i = Math.min(firstSeen(table, sequence.computed), held.length) - 1; i >= 0 && held[i] !== noPage; i--) {
      table.pages.giveBack(held[i]!);
      held[i] = noPage;
    }
  }
}

/** Gives all pages back; nothing is computed any more. */
export function releasePages(sequence: Sequence, tables: readonly PageTable[]): void {
  for (const [t, { pages }] of tables.entries()) for (const page of sequence.pages[t] ?? []) if (page !== noPage) pages.giveBack(page);
  sequence.pages.length = 0;
  sequence.computed = 0;
}
