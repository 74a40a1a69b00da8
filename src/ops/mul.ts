/** mul — y = a · b, b spread over a. */
import { binary } from "./binary.ts";
import type { Op } from "./op.ts";

export const mul: Op<2, {}> = binary({
  name: "mul",
  formula: (a, b) => a * b,
  gradient: ({ b, x: [a, c], dy }) => [b.mul(dy, c), b.mul(dy, a)],
});
