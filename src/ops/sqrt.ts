/** sqrt — y = √x, for x > 0. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const sqrt: Op<1, {}> = unary({
  name: "sqrt",
  formula: Math.sqrt,
  gradient: ({ b, y, dy }) => b.scale(b.div(dy, y), { by: 0.5 }),
  flops: 4,
  domain: "positive",
});
