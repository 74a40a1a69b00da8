/** All experiments, in the order of the page. */
import { allocation } from "./allocation.ts";
import { batching } from "./batching.ts";
import type { Experiment } from "./experiment.ts";
import { longPrompt } from "./long-prompt.ts";
import { overhead } from "./overhead.ts";
import { prefixes } from "./prefixes.ts";
import { samples } from "./samples.ts";

export const experiments: readonly Experiment[] = [allocation, samples, batching, longPrompt, prefixes, overhead];
