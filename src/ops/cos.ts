/** cos — y = cos x. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const cos: Op<1, {}> = unary({
  name: "cos",
  formula: Math.cos,
  gradient: ({ b, x, dy }) => b.scale(b.mul(dy, b.sin(x)), { by: -1 }),
  flops: 12,
});
