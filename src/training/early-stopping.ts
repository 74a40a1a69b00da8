/** Ends a training whose evaluation loss no longer falls, and keeps the weights of its least (Prechelt 1998, "Early stopping, but when?"). */
import { type Best, type Kept, readAll } from "./checkpoint.ts";

export interface EarlyStopping {
  readonly best: Best | undefined;
  /** Whether the patience is at its end. */
  readonly isOver: boolean;
  /** Notes an evaluation. */
  see(step: number, loss: number): Promise<void>;
}

/** Does nothing without a patience. `current` are the trained weights as they are now. */
export function earlyStopping(patience: number | undefined, resumed: Best | undefined, current: () => Kept): EarlyStopping {
  let best = resumed;
  const isOver = (): boolean => patience !== undefined && best !== undefined && best.failures >= patience;
  return {
    get isOver() {
      return isOver();
    },
    get best() {
      return best;
    },
    async see(step, loss) {
      if (patience === undefined) return;
      // A loss that is no number is never the least.
      if (best === undefined || loss < best.loss) best = { step, loss, failures: 0, weights: await readAll(current()) };
      else best = { ...best, failures: best.failures + 1 };
    },
  };
}
