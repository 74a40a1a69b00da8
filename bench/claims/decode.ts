/** Writing one text, token by token. */
import { type Claim, timesPeer } from "../claim.ts";
import * as frugal from "../contestants/frugal.ts";
import * as llamaCpp from "../contestants/llama-cpp.ts";
import * as nodeLlamaCpp from "../contestants/node-llama-cpp.ts";
import { memoryLimit } from "../measure/shares.ts";

const tokens = 128;

export const decode: Claim = {
  name: "decode",
  title: `decode, ${tokens} tokens`,
  unit: "tokens/s",
  goal: timesPeer(1.6),
  entrants: [
    { contestant: "frugal", sample: (setting) => frugal.decodeSpeed(setting, tokens) },
    { contestant: "llama.cpp", sample: (setting) => llamaCpp.decodeSpeed(setting, tokens) },
    { contestant: "node-llama-cpp", sample: (setting) => nodeLlamaCpp.decodeSpeed(setting, tokens) },
  ],
  limit: memoryLimit,
};
