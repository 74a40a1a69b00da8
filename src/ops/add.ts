/** add — y = a + b, b spread over a. */
import { binary } from "./binary.ts";
import type { Op } from "./op.ts";

export const add: Op<2, {}> = binary({ name: "add", formula: (a, b) => a + b, gradient: ({ dy }) => [dy, dy] });
