/** Techniques by name and options. The engine makes the real ones, so that a page need not load them. */
import type { techniques as all } from "../techniques/index.ts";

export interface TechniqueDescription {
  /** As recipes have it: "lora-plus". */
  readonly name: string;
  readonly options: object;
}

/** `techniques.lora({ rank: 8 })` and so on, with the options that they have in Node. */
export type TechniqueDescriptions = {
  readonly [Name in keyof typeof all]: (...options: Parameters<(typeof all)[Name]>) => TechniqueDescription;
};

const names: Readonly<Record<keyof TechniqueDescriptions, string>> = {
  lora: "lora",
  rslora: "rslora",
  loraPlus: "lora-plus",
  dora: "dora",
  pissa: "pissa",
  adalora: "adalora",
  vera: "vera",
  qlora: "qlora",
  loftq: "loftq",
  adapters: "adapters",
  parallelAdapters: "parallel-adapters",
  ia3: "ia3",
  prompt: "prompt",
  prefix: "prefix",
  pTuning: "p-tuning",
  bitfit: "bitfit",
  lnTuning: "ln-tuning",
  freezeLayers: "freeze-layers",
  selective: "selective",
};

export const techniques: TechniqueDescriptions = Object.fromEntries(
  Object.entries(names).map(([key, name]) => [key, (options: object = {}): TechniqueDescription => ({ name, options })]),
) as TechniqueDescriptions;
