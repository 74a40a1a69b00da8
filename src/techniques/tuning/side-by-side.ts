/** Adapters of linears that a file keeps in one matrix, such as queries, keys and values: one adapter of that matrix. */
import { type Numbers, putRowsInto, zerosOf } from "./adapter.ts";

/** The adapter of one of them; its rows are these of the matrix. B is scaled already. */
export interface LowRankPart {
  readonly a: Numbers;
  readonly b: Numbers;
  readonly rows: Int32Array;
}

/**
 * A [rank, inputs] and B [outputs, rank] of the whole matrix. Where all parts have the same A, it is theirs; else the parts' ranks stand one after
 * the other, and B is zero where a row belongs to another part.
 */
export function lowRankSideBySide(parts: readonly LowRankPart[], outputs: number): { readonly a: Numbers; readonly b: Numbers } {
  const [first, ...others] = parts as [LowRankPart, ...LowRankPart[]];
  const rank = first.a.shape[0]!;
  if (others.every(({ a }) => isSame(a, first.a))) {
    const b = zerosOf(outputs, rank);
    for (const part of parts) putRowsInto(b, part.b, part.rows);
    return { a: first.a, b };
  }
  const total = parts.reduce((sum, { a }) => sum + a.shape[0]!, 0);
  const a = zerosOf(total, first.a.shape[1]!);
  const b = zerosOf(outputs, total);
  let before = 0;
  for (const part of parts) {
    const own = part.a.shape[0]!;
    a.values.set(part.a.values, before * a.shape[1]!);
    part.rows.forEach((row, i) => b.values.set(part.b.values.subarray(i * own, (i + 1) * own), row * total + before));
    before += own;
  }
  return { a, b };
}

const isSame = (x: Numbers, y: Numbers): boolean =>
  x === y || (x.shape.join() === y.shape.join() && x.values.every((value, i) => value === y.values[i]));
