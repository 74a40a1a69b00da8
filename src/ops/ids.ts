/** Row numbers in i32 inputs come from outside, so the references check each. */
import { FrugalError } from "../tensor/error.ts";

/** The id at `i`, which must be in 0..count-1. */
export function idAt(op: string, ids: ArrayLike<number>, i: number, count: number): number {
  const id = ids[i]!;
  if (id >= 0 && id < count) return id;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${op}: id ${id} of row ${i} is not in 0 to ${count - 1}`, { id, row: i, count });
}
