/** maximum — the larger of a and b, b spread over a; where they are equal the gradient goes to a. */
import { binary } from "./binary.ts";
import type { Op } from "./op.ts";

export const maximum: Op<2, {}> = binary({
  name: "maximum",
  formula: (a, b) => (a < b ? b : a),
  gradient: ({ b, x: [a, c], dy }) => {
    const second = b.less(a, c);
    return [b.mul(dy, b.scale(second, { by: -1, plus: 1 })), b.mul(dy, second)];
  },
});
