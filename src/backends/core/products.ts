/** Products with packed weights, as the kernel "linear" takes them. */
import type { Product } from "./fold.ts";
import type { Lowering } from "./lowering.ts";
import { gates, nothing } from "./words.ts";

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
  state.step(
    "linear",
    [state.operand(x), codes, ...parts.flatMap(({ operands }) => operands)],
    parts.map(({ gate }) => gate),
  );
}
