/** The most memory of a process that writes one token with room for 2048, less the model file's size. */
import { statSync } from "node:fs";
import type { Claim, Setting } from "../claim.ts";
import * as frugal from "../contestants/frugal.ts";
import * as llamaCpp from "../contestants/llama-cpp.ts";
import * as nodeLlamaCpp from "../contestants/node-llama-cpp.ts";
import type { Finished } from "../measure/child.ts";
import { shortPrompt } from "./first-token.ts";

const context = 2048;
const options = { context, measuresMemory: true };
const aboveFile = async ({ model }: Setting, running: Promise<Finished>): Promise<number> =>
  ((await running).peakBytes! - statSync(model).size) / 1e6;

export const memory: Claim = {
  name: "memory",
  title: `peak memory above the file's size, context ${context}`,
  unit: "MB",
  goal: { text: "at most the peer's", reached: ({ ours, peer }) => (peer === undefined ? undefined : ours <= peer) },
  warmsUp: true,
  entrants: [
    { contestant: "frugal", sample: (setting) => aboveFile(setting, frugal.writeOne(setting, shortPrompt, options)) },
    { contestant: "llama.cpp", sample: (setting) => aboveFile(setting, llamaCpp.writeOne(setting, shortPrompt, options)) },
    { contestant: "node-llama-cpp", sample: (setting) => aboveFile(setting, nodeLlamaCpp.writeOne(setting, shortPrompt, options)) },
  ],
};
