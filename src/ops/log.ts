/** log — y = ln x, for x > 0. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const log: Op<1, {}> = unary({
  name: "log",
  formula: Math.log,
  gradient: ({ b, x, dy }) => b.div(dy, x),
  flops: 10,
  domain: "positive",
});
