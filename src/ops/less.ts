/** less — 1 where a < b, else 0; b spread over a. A step, so without a gradient. */
import { binary } from "./binary.ts";
import type { Op } from "./op.ts";

export const less: Op<2, {}> = binary({ name: "less", formula: (a, b) => (a < b ? 1 : 0), gradient: "none" });
