/** Names in PEFT's files: which module a tensor belongs to and which part of an adapter it is; and which names a list of targets needs. */

/** The part of an adapter that a tensor is; "weight" and "bias" are the module's own, with other numbers. */
export type PeftPart =
  | "loraA"
  | "loraB"
  | "loraE"
  | "magnitude"
  | "veraD"
  | "veraB"
  | "ia3"
  | "weight"
  | "bias"
  | "embedding" // of a table of embeddings
  | "loraBias";

/** Of the end of a name. The first that fits counts. */
const ends: readonly (readonly [end: RegExp, part: PeftPart])[] = [
  [/\.lora_A(?:\.weight)?$/, "loraA"],
  [/\.lora_B(?:\.weight)?$/, "loraB"],
  [/\.lora_B\.bias$/, "loraBias"],
  [/\.lora_E$/, "loraE"],
  [/\.lora_embedding_[AB]$/, "embedding"],
  [/\.lora_magnitude_vector(?:\.weight)?$/, "magnitude"],
  [/\.vera_lambda_d$/, "veraD"],
  [/\.vera_lambda_b$/, "veraB"],
  [/\.ia3_l$/, "ia3"],
  [/(?:\.base_layer|\.ln_tuning_layers|\.modules_to_save)?\.weight$/, "weight"],
  [/(?:\.base_layer|\.ln_tuning_layers|\.modules_to_save)?\.bias$/, "bias"],
];

/** Undefined where the name has none of the ends. */
export function parsePeftName(name: string): { readonly module: string; readonly part: PeftPart } | undefined {
  for (const [end, part] of ends) if (end.test(name)) return { module: name.replace(end, ""), part };
  return undefined;
}

/** As PEFT matches an end of a module's name. */
export const isTarget = (module: string, target: string): boolean => module === target || module.endsWith(`.${target}`);

/** What a pattern says of a module: keys are ends of names, with a dot that may be written "\."; undefined where none fits. */
export function ofPattern(pattern: Readonly<Record<string, number>> | undefined, module: string): number | undefined {
  for (const [key, value] of Object.entries(pattern ?? {})) {
    const plain = key.replace(/^\^/, "").replace(/\$$/, "").replaceAll("\\.", ".");
    if (key.startsWith("^") ? module === plain : isTarget(module, plain)) return value;
  }
  return undefined;
}

/** Keys of a pattern that are more than ends of names. */
export const isPlainKey = (key: string): boolean => !/[*+?()[\]{}|]|\\(?!\.)/.test(key);

/** The shortest list of ends of names that names these modules and none of the others. */
export function targetsFor(chosen: readonly string[], others: readonly string[]): string[] {
  const targets = new Set<string>();
  for (const module of chosen) {
    if ([...targets].some((target) => isTarget(module, target))) continue;
    const parts = module.split(".");
    const end = parts
      .map((_, i) => parts.slice(parts.length - 1 - i).join("."))
      .find((each) => !others.some((other) => isTarget(other, each)));
    targets.add(end ?? module);
  }
  return [...targets];
}
