/** How well the model predicts a text: speed bought with wrong numbers would show here. */
import type { Claim } from "../claim.ts";
import * as frugal from "../contestants/frugal.ts";
import * as llamaCpp from "../contestants/llama-cpp.ts";

const context = 512;
const most = 0.005;

export const perplexity: Claim = {
  name: "perplexity",
  title: `perplexity, context ${context}`,
  unit: "perplexity",
  goal: {
    text: `within ${100 * most} % of the peer's`,
    reached: ({ ratio }) => (ratio === undefined ? undefined : Math.abs(ratio.median - 1) <= most),
  },
  isExact: true,
  entrants: [
    { contestant: "frugal", sample: (setting) => frugal.perplexity(setting, context) },
    { contestant: "llama.cpp", sample: (setting) => llamaCpp.perplexity(setting, context) },
  ],
};
