/** Reading a prompt. */
import { type Claim, timesPeer } from "../claim.ts";
import * as frugal from "../contestants/frugal.ts";
import * as llamaCpp from "../contestants/llama-cpp.ts";
import * as nodeLlamaCpp from "../contestants/node-llama-cpp.ts";
import { arithmeticLimit } from "../measure/shares.ts";

const tokens = 512;

export const prefill: Claim = {
  name: "prefill",
  title: `prefill, ${tokens} tokens`,
  unit: "tokens/s",
  goal: timesPeer(2.2),
  entrants: [
    { contestant: "frugal", sample: (setting) => frugal.prefillSpeed(setting, tokens) },
    { contestant: "llama.cpp", sample: (setting) => llamaCpp.prefillSpeed(setting, tokens) },
    { contestant: "node-llama-cpp", sample: (setting) => nodeLlamaCpp.prefillSpeed(setting, tokens) },
  ],
  limit: arithmeticLimit,
};
