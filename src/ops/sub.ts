/** sub — y = a − b, b spread over a. */
import { binary } from "./binary.ts";
import type { Op } from "./op.ts";

export const sub: Op<2, {}> = binary({ name: "sub", formula: (a, b) => a - b, gradient: ({ b, dy }) => [dy, b.scale(dy, { by: -1 })] });
