/** tanh — y = tanh x. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const tanh: Op<1, {}> = unary({
  name: "tanh",
  formula: Math.tanh,
  gradient: ({ b, y, dy }) => b.mul(dy, b.scale(b.mul(y, y), { by: -1, plus: 1 })), // 1 − y²
  flops: 12,
});
