/** exp — y = eˣ. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const exp: Op<1, {}> = unary({ name: "exp", formula: Math.exp, gradient: ({ b, y, dy }) => b.mul(dy, y), flops: 10 });
