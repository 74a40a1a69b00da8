/** sin — y = sin x. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const sin: Op<1, {}> = unary({ name: "sin", formula: Math.sin, gradient: ({ b, x, dy }) => b.mul(dy, b.cos(x)), flops: 12 });
