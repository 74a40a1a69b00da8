/** From nothing to the first token: a whole process, from its start until it is gone, with the file in the page cache. */
import type { Claim } from "../claim.ts";
import * as frugal from "../contestants/frugal.ts";
import * as llamaCpp from "../contestants/llama-cpp.ts";
import * as nodeLlamaCpp from "../contestants/node-llama-cpp.ts";

/** 6 tokens for Gemma, its BOS included. */
export const shortPrompt = "The capital of France is";
const most = 0.5;

export const firstToken: Claim = {
  name: "first-token",
  title: "first token of a cold process, prompt of 6 tokens",
  unit: "s",
  goal: { text: `at most ${most} s`, isAbsolute: true, reached: ({ ours }) => ours <= most },
  warmsUp: true,
  entrants: [
    { contestant: "frugal", sample: async (setting) => (await frugal.writeOne(setting, shortPrompt)).seconds },
    { contestant: "llama.cpp", sample: async (setting) => (await llamaCpp.writeOne(setting, shortPrompt, { fits: true })).seconds },
    { contestant: "llama.cpp", variant: "-fit off", sample: async (setting) => (await llamaCpp.writeOne(setting, shortPrompt)).seconds },
    {
      contestant: "node-llama-cpp",
      sample: async (setting) => (await nodeLlamaCpp.writeOne(setting, shortPrompt, { context: 2048 })).seconds,
    },
  ],
};
