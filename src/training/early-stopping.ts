/** Ends a training whose evaluation loss no longer falls, and keeps the weights of its least (Prechelt 1998, "Early stopping, but when?"). */
import { type Best, type Kept, readAll } from "./checkpoint.ts";

export interface EarlyStopping {
  readonly best: Best | undefined;
  /** Notes an evaluation; true where `patience` of them in a row brought nothing. */
  see(step: number, loss: number): Promise<boolean>;
}

/** Does nothing without a patience. `current` are the trained weights as they are now. */
export function earlyStopping(patience: number | undefined, resumed: Best | undefined, current: () => Kept): EarlyStopping {
  let best = resumed;
  return {
    get best() {
      return best;
    },
    async see(step, loss) {
      if (patience === undefined) return false;
      // A loss that is no number is never the least.
      if (best === undefined || loss < best.loss) best = { step, loss, failures: 0, weights: await readAll(current()) };
      else best = { ...best, failures: best.failures + 1 };
      return best.failures >= patience;
    },
  };
}
