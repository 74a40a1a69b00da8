/** div — y = a / b, b spread over a. */
import { binary } from "./binary.ts";
import type { Op } from "./op.ts";

export const div: Op<2, {}> = binary({
  name: "div",
  formula: (a, b) => a / b,
  gradient: ({ b, x: [, c], y, dy }) => [b.div(dy, c), b.scale(b.div(b.mul(dy, y), c), { by: -1 })],
  domain: "positive",
});
