/**
 * Mixed precision: what a training step keeps from its way forward for its way back is kept in 16 bits (Micikevicius et al. 2018,
 * arXiv 1710.03740), or computed again where that is cheap, while sums, weights and their updates stay in f32. The planner then sees, and
 * says, less than half the memory.
 */
import type { Value } from "../graph/value.ts";
import { type HalfKind, isRows } from "../ops/half-stored.ts";
import { allOps } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";

export interface Keeping {
  /** For `differentiate`: what the way back reads in place of a value. */
  kept(value: Value): Value;
  /** Puts each storing right behind the value it stores, so that the value itself need not live on. */
  inOrder(order: readonly Value[]): Value[];
}

export function keepingHalves(b: Builder, kind: HalfKind): Keeping {
  const stored = new Map<Value, Value>();
  const loaded = new Map<Value, Value>();
  const keeping: Keeping = {
    kept(value) {
      if (!isRows(value)) return value;
      const known = loaded.get(value);
      if (known !== undefined) return known;
      if (allOps[value.op]!.cheapAgain) {
        const calls = b as unknown as Readonly<Record<string, (...args: unknown[]) => Value>>;
        const again = calls[value.op]!(...value.inputs.map((input) => keeping.kept(input)), value.attributes);
        loaded.set(value, again);
        return again;
      }
      const half = b.storeHalf(value, { kind });
      const back = b.loadHalf(half, { kind, channels: value.shape[1] as number });
      stored.set(value, half);
      loaded.set(value, back);
      return back;
    },
    inOrder(order) {
      const halves = new Set(stored.values());
      return order.flatMap((value) => {
        if (halves.has(value)) return [];
        const half = stored.get(value);
        return half === undefined ? [value] : [value, half];
      });
    },
  };
  return keeping;
}
