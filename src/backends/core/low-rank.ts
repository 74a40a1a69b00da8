/** Low-rank products of adapters in slots: those of the same rows are two steps, and a result takes the place of what it is added to. */
import { elements } from "../../graph/polynomial.ts";
import type { Value } from "../../graph/value.ts";
import { isShared, type Lowering } from "./lowering.ts";

/** At most so many in a step: what keeps steps of wide graphs short enough to check. */
const mostAtOnce = 16;

/** Of `lowRanks`, this one and those of the same rows whose summands are there already. */
export function besideIn(lowRanks: readonly Value[], value: Value, l: Lowering): readonly Value[] {
  const isReady = (other: Value): boolean =>
    other.inputs[1] === value.inputs[1] && other.inputs[5] === value.inputs[5] && !l.isPlaced(other) && l.isPlaced(other.inputs[0]!);
  return [value, ...lowRanks.filter((other) => other !== value && isReady(other)).slice(0, mostAtOnce - 1)];
}

/** Those of one x and one list of slots. */
export function lowerLowRanks(values: readonly Value[], l: Lowering): void {
  const [, x, , , , slots] = values[0]!.inputs;
  const parts = values.map((each) => {
    const [y, , a, b, ranks] = each.inputs as readonly [Value, Value, Value, Value, Value];
    const shape = [y.shape[0]!, a.shape[2]!];
    const before = l.operand(y);
    if (before.place.space === "arena" && !isShared(y) && l.outputOf(each) === undefined && !l.isNeededBeside(y, new Set([each])))
      l.place(each, before.place);
    return { a: l.operand(a), b: l.operand(b), ranks: l.operand(ranks), few: l.buffer(elements(shape), shape), before, each };
  });
  l.step("low_rank_down", [l.operand(x!), l.operand(slots!), ...parts.flatMap(({ a, ranks, few }) => [a, ranks, few])]);
  l.step("low_rank_up", [
    l.operand(slots!),
    ...parts.flatMap(({ few, b, ranks, before, each }) => [few, b, ranks, before, l.operand(each)]),
  ]);
}
