/** Writes adapters as PEFT loads them: our weights as tensors of its modules, and the configuration that belongs to them. */
import type { PeftConfig } from "../../formats/peft-config.ts";
import { encodePeft, type PeftContents, type PeftFiles, writePeft } from "../../formats/peft.ts";
import type { TensorToWrite } from "../../formats/sink.ts";
import type { Model } from "../../models/family.ts";
import { type ModuleTensor, moduleTensors } from "../../models/modules.ts";
import { FrugalError } from "../../tensor/error.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { type Adapter, type Numbers, putRowsInto, zerosOf } from "./adapter.ts";
import { fingerprintKey, fingerprintOf } from "./base-fingerprint.ts";
import { changedLinears } from "./linear-change.ts";
import { targetsFor } from "./peft-names.ts";
import { lowRankSideBySide } from "./side-by-side.ts";
import { writeVirtual } from "./virtual-files.ts";

/** A trained adapter: what `Adapter` says, but its scales may follow from alpha and rank, and nothing need be replaced. */
export type AdapterToWrite = Pick<Adapter, "config" | "weights"> & Partial<Adapter>;

/**
 * Writes `adapter_config.json` and `adapter_model.safetensors` into the directory. Targets, ranks and patterns are those of the weights; of
 * the configuration only what they do not say counts. Rejects with FRUGAL_UNSUPPORTED where PEFT has no words for the adapter, FRUGAL_NO_SPACE.
 */
export const writePeftAdapter = async (directory: string, model: Model, adapter: AdapterToWrite): Promise<void> =>
  writePeft(directory, await contentsOf(directory, model, adapter));

/** The same files in memory. */
export const encodePeftAdapter = async (model: Model, adapter: AdapterToWrite): Promise<PeftFiles> =>
  encodePeft(await contentsOf("adapter", model, adapter));

async function contentsOf(name: string, model: Model, adapter: AdapterToWrite): Promise<PeftContents> {
  const { config, tensors } = peftModules(name, model, adapter);
  const metadata = new Map([[fingerprintKey, JSON.stringify(await fingerprintOf(model))]]);
  const format = formatByName("F32");
  const written: TensorToWrite[] = [...tensors].map(([tensor, { shape, values }]) => ({
    name: tensor,
    shape,
    format,
    bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  }));
  for (const tensor of adapter.further?.values() ?? [])
    written.push({ ...tensor, name: named(tensor.name), bytes: await tensor.source.read(tensor.offset, tensor.byteLength) });
  return { config, tensors: written, metadata };
}

/** What a module's tensors are, and what the configuration must say of it. */
interface ModuleFile {
  readonly tensors: readonly (readonly [end: string, numbers: Numbers])[];
  readonly rank?: number;
  /** What B·A is multiplied by. */
  readonly scale?: number;
  readonly feedForward?: boolean;
}

const named = (name: string): string => `base_model.model.${name}`;

function peftModules(name: string, model: Model, adapter: AdapterToWrite): { config: PeftConfig; tensors: Map<string, Numbers> } {
  const { config, weights } = adapter;
  const tensors = new Map<string, Numbers>();
  const taskType = config.taskType ?? taskOf(model, adapter);
  if ("virtualTokens" in config) {
    tensors.set("prompt_embeddings", writeVirtual(name, config, weights, model));
    return { config: { ...config, taskType }, tensors };
  }
  // A class without a head names its modules from there on.
  const base = taskType === "FEATURE_EXTRACTION" ? model.huggingface.basePrefix : "";
  const moduleOf = (tensor: string): string => tensor.replace(/\.(?:weight|bias)$/, "").slice(tensor.startsWith(base) ? base.length : 0);
  const files = new Map<string, ModuleFile>();
  const adapted = new Set(changedLinears({ ...adapter, scales: new Map(), replaced: new Map(), further: new Map() }));
  const all = [...moduleTensors(model).values()];
  const transposed = new Set<boolean>();
  for (const module of all) {
    if (!module.parts.some(({ weight }) => adapted.has(weight))) continue;
    for (const { weight } of module.parts) adapted.delete(weight);
    transposed.add(module.transposed);
    files.set(moduleOf(module.name), moduleFile(adapter, module));
  }
  for (const weight of adapted)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: PEFT has no module for the weight "${weight}"; leave it out of the targets`, {
      weight,
    });
  for (const [module, file] of files) for (const [end, numbers] of file.tensors) tensors.set(named(`${module}.${end}`), numbers);
  if (config.type === "VERA") for (const shared of ["A", "B"]) tensors.set(`base_model.vera_${shared}`, weights.get(`vera.${shared}`)!);
  const whole = wholeModules(name, config, all, adapter);
  const isBias = (tensor: string): boolean => trainsBiases(config) && !whole.has(`${tensor.replace(/\.bias$/, "")}.weight`);
  for (const [tensor, numbers] of whole) {
    const own = config.type === "LN_TUNING" ? ".ln_tuning_layers" : isBias(tensor) && files.has(moduleOf(tensor)) ? ".base_layer" : "";
    tensors.set(named(`${moduleOf(tensor)}${own}.${lastPart(tensor)}`), numbers);
  }
  const saved = [
    ...new Set([
      ...[...whole.keys()].filter((tensor) => !isBias(tensor)).map(moduleOf),
      ...[...(adapter.further?.keys() ?? [])].map(moduleOf),
    ]),
  ];
  const chosen = config.type === "LN_TUNING" ? saved : [...files.keys()];
  const others = [...new Set(all.map(({ name: tensor }) => moduleOf(tensor)))].filter((module) => !chosen.includes(module));
  const settled: PeftConfig = {
    ...config,
    taskType,
    targetModules: targetsFor(chosen, others),
    modulesToSave: config.type === "LN_TUNING" ? undefined : savedModules(config, saved),
    layers: undefined,
    fanInFanOut: transposed.size === 1 && transposed.has(true),
  };
  return { config: withRanks(name, settled, files, others), tensors };
}

/** As the configuration has them where it names all that is saved: PEFT takes any end of a name, and puts a head of several modules under one. */
function savedModules({ modulesToSave }: PeftConfig, saved: readonly string[]): readonly string[] | undefined {
  const isNamed = (module: string): boolean =>
    (modulesToSave ?? []).some((name) => module.endsWith(name) || `.${module}.`.includes(`.${name}.`));
  if (saved.every(isNamed)) return modulesToSave;
  return [...new Set(saved.map((module) => module.replace(/^classifier\..*/, "classifier")))];
}

const trainsBiases = (config: PeftConfig): boolean => config.type === "LORA" && (config.bias ?? "none") !== "none";
const lastPart = (name: string): string => name.slice(name.lastIndexOf(".") + 1);

function taskOf(model: Model, { further }: AdapterToWrite): string {
  if (model.kind === "text") return "CAUSAL_LM";
  return model.weights.has("classifier") || (further?.size ?? 0) > 0 ? "SEQ_CLS" : "FEATURE_EXTRACTION";
}

/** The tensors of one module, from the parts of its rows that our weights are. */
function moduleFile(adapter: AdapterToWrite, module: ModuleTensor): ModuleFile {
  const { config, weights, scales } = adapter;
  const present = module.parts.filter(({ weight }) => [...weights.keys()].some((name) => name.startsWith(`${weight}.`)));
  const own = (weight: string, part: string): Numbers => {
    const found = weights.get(`${weight}.${part}`);
    if (found !== undefined) return found;
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `adapter: has no "${weight}.${part}"; give all of its weights`, {
      weight: `${weight}.${part}`,
    });
  };
  const onlyWhole = (what: string): void => {
    if (present.length === module.parts.length) return;
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `adapter: PEFT keeps ${module.parts.map(({ weight }) => weight).join(", ")} in one module, whose ${what} needs all of them; tune all or none`,
      { module: module.name },
    );
  };
  /** [outputs, ...] of the module, from the rows of the parts. */
  const joined = (part: string, missing: number): Numbers => {
    const target: Numbers = zerosOf(module.outputs);
    target.values.fill(missing);
    for (const { weight, rows } of present) putRowsInto(target, { ...own(weight, part), shape: [rows.length] }, rows);
    return target;
  };
  switch (config.type) {
    case "IA3": {
      const isInput = present.map(({ weight, shape }) => multipliesInput(adapter, weight, own(weight, "ia3"), shape));
      if (isInput.some(Boolean)) {
        const { values } = own(present[0]!.weight, "ia3");
        if (module.parts.length > 1) onlyOne(module, "IA3 of its inputs");
        return { tensors: [["ia3_l", { shape: [1, values.length], values }]], feedForward: true };
      }
      return { tensors: [["ia3_l", { ...joined("ia3", 1), shape: [module.outputs, 1] }]], feedForward: false };
    }
    case "VERA": {
      const [part] = module.parts;
      if (module.parts.length > 1 || !part!.rows.every((row, i) => row === i)) onlyOne(module, "VeRA");
      return {
        tensors: [
          ["vera_lambda_b", own(part!.weight, "veraB")],
          ["vera_lambda_d", own(part!.weight, "veraD")],
        ],
      };
    }
    case "ADALORA": {
      const [part] = module.parts;
      if (module.parts.length > 1) onlyOne(module, "AdaLoRA");
      const b = own(part!.weight, "loraB");
      const placed = zerosOf(...b.shape);
      putRowsInto(placed, b, part!.rows);
      const [a, e] = [own(part!.weight, "loraA"), own(part!.weight, "loraE")];
      return {
        tensors: [
          ["lora_A", a],
          ["lora_B", placed],
          ["lora_E", { shape: [a.shape[0]!, 1], values: e.values }],
        ],
        rank: a.shape[0]!,
      };
    }
    case "LORA": {
      const scaleOf = (weight: string, rank: number): number =>
        scales?.get(weight) ?? config.alpha / (config.rslora ? Math.sqrt(rank) : rank);
      const scale = scaleOf(present[0]!.weight, own(present[0]!.weight, "loraA").shape[0]!);
      const parts = present.map(({ weight, rows }) => {
        const [a, b] = [own(weight, "loraA"), own(weight, "loraB")];
        const factor = scaleOf(weight, a.shape[0]!) / scale;
        return { a, b: factor === 1 ? b : { ...b, values: b.values.map((value) => value * factor) }, rows };
      });
      const { a, b } = lowRankSideBySide(parts, module.outputs);
      const pair = [["lora_A.weight", a] as const, ["lora_B.weight", b] as const];
      if (config.dora !== true) return { tensors: pair, rank: a.shape[0]!, scale };
      onlyWhole("magnitude");
      return { tensors: [...pair, ["lora_magnitude_vector", joined("magnitude", 0)]], rank: a.shape[0]!, scale };
    }
    default:
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `adapter: an adapter of kind ${config.type} has no weight beside "${present[0]?.weight}"`,
      );
  }
}

function onlyOne(module: ModuleTensor, what: string): never {
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `adapter: PEFT cannot say ${what} for ${module.parts.map(({ weight }) => weight).join(", ")}, whose rows lie otherwise in its module; leave them out, or take LoRA`,
    { module: module.name },
  );
}

/** As the adapter says; else by the vector's length; else by the configuration's list, where names may be ours. */
function multipliesInput(
  { config, feedForward }: AdapterToWrite,
  weight: string,
  { values }: Numbers,
  [outputs, inputs]: readonly number[],
): boolean {
  if (feedForward !== undefined) return feedForward.has(weight);
  if (outputs !== inputs) return values.length === inputs;
  const listed = config.type === "IA3" ? config.feedforwardModules : undefined;
  const names = Array.isArray(listed) ? (listed as readonly string[]) : ["mlp.down"];
  return names.some((name) => weight === name || weight.endsWith(`.${name}`));
}

/** Tensors of modules that the adapter replaces whole. */
function wholeModules(name: string, config: PeftConfig, all: readonly ModuleTensor[], { replaced }: AdapterToWrite): Map<string, Numbers> {
  const whole = new Map<string, Numbers>();
  const left = new Set(replaced?.keys());
  for (const module of all) {
    const present = module.parts.filter(({ weight }) => left.delete(weight));
    if (present.length === 0) continue;
    if (present.length < module.parts.length || module.transposed)
      throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: PEFT saves ${module.name} whole or not at all; tune all of it, or a LoRA`, {
        module: module.name,
      });
    const target = zerosOf(module.outputs, ...present[0]!.shape.slice(1));
    for (const { weight, rows } of present) putRowsInto(target, replaced!.get(weight)!, rows);
    whole.set(module.name, { ...target, values: target.values.map((value) => value - module.offset) });
  }
  for (const weight of left)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: PEFT has no module for the weight "${weight}"; save the whole model`, { weight });
  for (const module of whole.keys())
    if (module.endsWith(".bias") && config.type !== "LN_TUNING" && !trainsBiases(config) && !whole.has(module.replace(/bias$/, "weight")))
      throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: PEFT saves no bias by itself (${module}); save the whole model`, { module });
  return whole;
}

/** The most frequent rank and scale stand for all, the others in patterns. */
function withRanks(name: string, config: PeftConfig, files: ReadonlyMap<string, ModuleFile>, others: readonly string[]): PeftConfig {
  const forward = [...files].flatMap(([module, file]) => (file.feedForward === true ? [module] : []));
  if (config.type === "IA3") {
    const rest = [...files.keys()].filter((module) => !forward.includes(module));
    return { ...config, feedforwardModules: targetsFor(forward, [...others, ...rest]) };
  }
  const ranks = [...files.values()].flatMap(({ rank }) => rank ?? []);
  const rank = mostFrequent(ranks);
  if (config.type === "ADALORA") {
    if (ranks.some((each) => each !== rank))
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `${name}: AdaLoRA's modules have ranks ${[...new Set(ranks)].join(", ")}; PEFT begins with one`,
      );
    return { ...config, initialRank: rank, targetRank: Math.min(config.targetRank, rank) };
  }
  if (config.type !== "LORA") return config;
  const alphaOf = ({ rank: own = 1, scale = 1 }: ModuleFile): number => tidy(scale * (config.rslora === true ? Math.sqrt(own) : own));
  const alpha = mostFrequent([...files.values()].map(alphaOf));
  return {
    ...config,
    rank,
    alpha,
    rankPattern: Object.fromEntries([...files].flatMap(([module, file]) => (file.rank === rank ? [] : [[module, file.rank!]]))),
    alphaPattern: Object.fromEntries([...files].flatMap(([module, file]) => (alphaOf(file) === alpha ? [] : [[module, alphaOf(file)]]))),
  };
}

/** An alpha that was divided by the rank and multiplied again is what it was. */
const tidy = (alpha: number): number => Number(alpha.toPrecision(12));

function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 1;
}
