/**
 * Which values a training step computes again on its way back instead of keeping them (Chen et al. 2016, arXiv 1604.06174).
 * A graph is cut where one value alone carries everything on, as between the layers of a transformer; what lies between two cuts is
 * computed again from the first of them.
 */
import { elements, evaluatePolynomial } from "../graph/polynomial.ts";
import type { Symbols } from "../graph/dim.ts";
import { inOrder, sourceOps, type Value } from "../graph/value.ts";

/**
 * Sets of values between cuts, for `differentiate`; about `segments` of them, equal in bytes. All but the last part, which the way back
 * reaches at once: computing that again would save nothing.
 */
export function recomputedSets(loss: Value, symbols: Symbols, segments: number): ReadonlySet<Value>[] {
  const order = inOrder([loss]).filter(({ op }) => !sourceOps.includes(op));
  const cuts = cutsOf(order);
  const bytes = (value: Value): number => 4 * evaluatePolynomial(elements(value.shape), symbols);
  const total = order.reduce((sum, value) => sum + bytes(value), 0);
  const sets: Set<Value>[] = [];
  let open = new Set<Value>();
  let done = 0;
  for (const [i, value] of order.entries()) {
    done += bytes(value);
    // The value at a cut is kept: what follows is computed from it.
    if (!cuts.has(i) || done < (total * (sets.length + 1)) / segments) open.add(value);
    else {
      sets.push(open);
      open = new Set();
    }
  }
  return sets;
}

/** Places in the order after which one value alone is still needed. */
function cutsOf(order: readonly Value[]): ReadonlySet<number> {
  const lastUse = new Map<Value, number>();
  order.forEach(({ inputs }, i) => inputs.forEach((input) => lastUse.set(input, i)));
  const cuts = new Set<number>();
  const live = new Set<Value>();
  order.forEach((value, i) => {
    for (const input of value.inputs) if (lastUse.get(input) === i) live.delete(input);
    if (lastUse.has(value)) live.add(value);
    if (live.size === 1 && live.has(value)) cuts.add(i);
  });
  return cuts;
}
