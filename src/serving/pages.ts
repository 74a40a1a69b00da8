/** Which pages of the cache are free, and how many hold each of the others. */
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
}

export function createPages(total: number): Pages {
  const holders = new Int32Array(total);
  const free = Array.from({ length: total }, (_, i) => total - 1 - i);
  const held = (page: number): void => {
    if (!(holders[page]! > 0))
      throw new FrugalError("FRUGAL_INTERNAL", `pages: page ${page} of ${total} is not held by anybody; report this`);
  };
  return {
    total,
    free: () => free.length,
    take() {
      const page = free.pop();
      if (page !== undefined) holders[page] = 1;
      return page;
    },
    share(page) {
      held(page);
      holders[page]!++;
    },
    giveBack(page) {
      held(page);
      if (--holders[page]! === 0) free.push(page);
    },
  };
}
