/** What ops on chosen experts share: row t·k + j belongs to row t and its j-th expert. */
import { type Dim, type Dims, times } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import type { Builder } from "./op.ts";
import { fixed } from "./shapes.ts";

/** T·k, for ids or weights [T, k]. */
export const chosenRows = (op: string, chosen: Dims): Dim => times(chosen[0]!, fixed(op, "the number of chosen experts", chosen[1]!));

/** [T, k] as [T·k]. */
export const flattened = (b: Builder, chosen: Value): Value => b.reshape(chosen, { shape: [chosenRows(chosen.op, chosen.shape)] });

/** [T, N] as [T·k, N], each row k times. */
export function repeated(b: Builder, x: Value, count: number): Value {
  const [rows, width] = [x.shape[0]!, x.shape[1]!];
  const spread = b.broadcast(b.reshape(x, { shape: [rows, 1, width] }), { shape: [rows, count, width] });
  return b.reshape(spread, { shape: [times(rows, count), width] });
}
