/** Writing several texts together: tokens of all of them, after prompts of 128 tokens. */
import { type Claim, timesPeer } from "../claim.ts";
import * as frugal from "../contestants/frugal.ts";
import * as llamaCpp from "../contestants/llama-cpp.ts";
import * as nodeLlamaCpp from "../contestants/node-llama-cpp.ts";

const texts = 8;
const tokens = 64;

export const together: Claim = {
  name: "together",
  title: `${texts} sequences decoded together, ${tokens} tokens each, total`,
  unit: "tokens/s",
  goal: timesPeer(2),
  entrants: [
    { contestant: "frugal", sample: (setting) => frugal.togetherSpeed(setting, texts, tokens) },
    { contestant: "llama.cpp", sample: (setting) => llamaCpp.togetherSpeed(setting, texts, tokens) },
    { contestant: "node-llama-cpp", sample: (setting) => nodeLlamaCpp.togetherSpeed(setting, texts, tokens) },
  ],
};
