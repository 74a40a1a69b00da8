/** Every tuning technique, once, by the name that recipes and the command line give it. Adding one is its file and its three lines here. */
import { FrugalError, nearest } from "../tensor/error.ts";
import type { TuningTechnique } from "../training/technique.ts";
import { adalora } from "./tuning/adalora.ts";
import { bitFit } from "./tuning/bitfit.ts";
import { dora } from "./tuning/dora.ts";
import { ia3 } from "./tuning/ia3.ts";
import { layerFreezing } from "./tuning/layer-freezing.ts";
import { loftq } from "./tuning/loftq.ts";
import { lora } from "./tuning/lora.ts";
import { loraPlus } from "./tuning/lora-plus.ts";
import { normTuning } from "./tuning/norm-tuning.ts";
import { pTuning } from "./tuning/p-tuning.ts";
import { parallelAdapters } from "./tuning/parallel-adapters.ts";
import { pissa } from "./tuning/pissa.ts";
import { prefixTuning } from "./tuning/prefix-tuning.ts";
import { promptTuning } from "./tuning/prompt-tuning.ts";
import { qlora } from "./tuning/qlora.ts";
import { rslora } from "./tuning/rslora.ts";
import { serialAdapters } from "./tuning/serial-adapters.ts";
import { surgicalTuning } from "./tuning/surgical-tuning.ts";
import { vera } from "./tuning/vera.ts";

export interface TechniqueEntry {
  /** Throws FRUGAL_BAD_ARGUMENT for options that it does not have. */
  make(options: object): TuningTechnique;
  /** Options with which it fits small language models: what must be said, and no more. */
  readonly example: object;
}

function entry<Options extends object>(make: (options: Options) => TuningTechnique, example: Options): TechniqueEntry {
  return { make: (options) => ({ ...make(options as Options), options }), example };
}

export const tuningTechniques: Readonly<Record<string, TechniqueEntry>> = {
  lora: entry(lora, {}),
  rslora: entry(rslora, {}),
  "lora-plus": entry(loraPlus, {}),
  dora: entry(dora, {}),
  pissa: entry(pissa, {}),
  adalora: entry(adalora, {}),
  vera: entry(vera, {}),
  qlora: entry(qlora, { format: "Q8_0" }),
  loftq: entry(loftq, { format: "Q8_0" }),
  adapters: entry(serialAdapters, {}),
  "parallel-adapters": entry(parallelAdapters, {}),
  ia3: entry(ia3, {}),
  prompt: entry(promptTuning, { virtualTokens: 4 }),
  prefix: entry(prefixTuning, { virtualTokens: 4 }),
  "p-tuning": entry(pTuning, { virtualTokens: 4 }),
  bitfit: entry(bitFit, {}),
  "ln-tuning": entry(normTuning, {}),
  "freeze-layers": entry(layerFreezing, { layers: 1 }),
  selective: entry(surgicalTuning, { layers: [0] }),
};

/** The same as functions of programs: `techniques.lora({ rank: 8 })`; names of several words as JavaScript writes them. */
export const techniques: Techniques = Object.fromEntries(
  Object.entries(tuningTechniques).map(([name, { make }]) => [
    name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    (options: object = {}): TuningTechnique => make(options),
  ]),
) as unknown as Techniques;

interface Techniques {
  readonly lora: typeof lora;
  readonly rslora: typeof rslora;
  readonly loraPlus: typeof loraPlus;
  readonly dora: typeof dora;
  readonly pissa: typeof pissa;
  readonly adalora: typeof adalora;
  readonly vera: typeof vera;
  readonly qlora: typeof qlora;
  readonly loftq: typeof loftq;
  readonly adapters: typeof serialAdapters;
  readonly parallelAdapters: typeof parallelAdapters;
  readonly ia3: typeof ia3;
  readonly prompt: typeof promptTuning;
  readonly prefix: typeof prefixTuning;
  readonly pTuning: typeof pTuning;
  readonly bitfit: typeof bitFit;
  readonly lnTuning: typeof normTuning;
  readonly freezeLayers: typeof layerFreezing;
  readonly selective: typeof surgicalTuning;
}

/**
 * A technique by its name, with options as a recipe has them. Throws FRUGAL_BAD_ARGUMENT for a name that none has, naming the nearest, and for
 * options that the technique does not have.
 * @example const technique = tuningTechnique("lora", { rank: 8, alpha: 16 });
 */
export function tuningTechnique(name: string, options: object = {}): TuningTechnique {
  if (Object.hasOwn(tuningTechniques, name)) return tuningTechniques[name]!.make(options);
  const known = Object.keys(tuningTechniques);
  const near = nearest(name, known);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `techniques: there is no "${name}"${near === undefined ? "" : `, did you mean "${near}"?`}; there are ${known.join(", ")}`,
    { technique: name },
  );
}
