/** Products with packed weights, as the kernel "linear" takes them. */
import type { Product } from "./fold.ts";
import type { Lowering } from "./lowering.ts";
import { evaluate } from "../../graph/dim.ts";
import { gates, nothing } from "./words.ts";

/** Bytes for an input that native/kernels/pairs.h lays rows in, with the format that takes most; with less it multiplies another way. */
const pairedBytes = 21;

/** Products of one x as one step. */
export function lowerProducts(products: readonly Product[], state: Lowering): void {
  const { x } = products[0]!;
  const parts = products.map(({ weight, up, bias, residual, result, gate }) => {
    const first = state.matrix(weight);
    const second = up && state.matrix(up);
    const operands = [
      first.operand,
      second?.operand ?? nothing,
      state.operand(result),
      bias ? state.operand(bias) : nothing,
      residual ? state.operand(residual) : nothing,
    ];
    return { operands, gate: gate === undefined ? -1 : gates.indexOf(gate), quantized: first.quantized || second?.quantized === true };
  });
  const codes = parts.some(({ quantized }) => quantized) ? state.quantized(x) : nothing;
  if (codes !== nothing) state.scratch(pairedBytes * evaluate(x.shape.at(-1)!, { T: 0, S: 0, C: 0, R: 0 }));
  state.step(
    "linear",
    [state.operand(x), codes, ...parts.flatMap(({ operands }) => operands)],
    parts.map(({ gate }) => gate),
  );
}
