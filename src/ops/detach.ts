/** detach — the same numbers, through which no gradient flows: to differentiation they are constants. */
import type { Op } from "./op.ts";

export const detach: Op<1, {}> = {
  name: "detach",
  arity: 1,
  attributes: {},
  sharesInput: true,
  shape: ([x]) => x,
  gradient: "none",
  cost: () => ({ flops: 0, bytesMoved: 0 }),
  reference([x], y) {
    y.data.set(x.data);
  },
  samples: [
    { shapes: [[2, 3]], attributes: {} },
    { shapes: [[7]], attributes: {} },
  ],
};
