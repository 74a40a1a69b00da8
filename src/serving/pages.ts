/** Which pages of a page table's cache are free, and how many hold each of the others. */
import { FrugalError } from "../tensor/error.ts";

export interface Pages {
  readonly total: number;
  free(): number;
  /** A free page, now held once; undefined where there is none. */
  take(): number | undefined;
  /** One more holder. */
  share(page: number): void;
  /** One holder less; the last one frees the page. */
  giveBack(page: number): void;
  holders(page: number): number;
}

/** Costs memory only for pages that were ever taken: a cache may be as large as somebody asks for. */
export function createPages(total: number): Pages {
  /** Of the pages taken so far; those behind them are free. */
  const holders: number[] = [];
  const returned: number[] = [];
  const held = (page: number): void => {
    if (!(holders[page]! > 0))
      throw new FrugalError("FRUGAL_INTERNAL", `pages: page ${page} of ${total} is not held by anybody; report this`);
  };
  return {
    total,
    free: () => total - holders.length + returned.length,
    take() {
      const page = returned.pop() ?? (holders.length < total ? holders.length : undefined);
      if (page !== undefined) holders[page] = 1;
      return page;
    },
    share(page) {
      held(page);
      holders[page]!++;
    },
    giveBack(page) {
      held(page);
      if (--holders[page]! === 0) returned.push(page);
    },
    holders: (page) => holders[page] ?? 0,
  };
}
