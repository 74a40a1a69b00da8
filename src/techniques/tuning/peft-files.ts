/** Reads PEFT's adapters: PEFT's modules and names to our weights, for every family, from whatever file the base itself was opened. */
import type { PeftFile } from "../../formats/peft.ts";
import type { PeftConfig } from "../../formats/peft-config.ts";
import type { Model } from "../../models/family.ts";
import { type ModuleTensor, moduleTensors } from "../../models/modules.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { size } from "../../tensor/shape.ts";
import type { StoredTensor } from "../../tensor/stored.ts";
import { type Adapter, held, type Numbers, numbersOf, takeRows } from "./adapter.ts";
import { isPlainKey, isTarget, ofPattern, parsePeftName, type PeftPart } from "./peft-names.ts";
import { readVirtual } from "./virtual-files.ts";

export interface ReadAdapterOptions {
  /** Of a file without a configuration: what is divided by the rank to give the scale of B·A. */
  readonly alpha?: number | undefined;
}

type Parts = Map<PeftPart, StoredTensor>;

/**
 * The adapter for this model. Rejects with FRUGAL_BAD_ARGUMENT where it belongs to another base (a module, a layer or a shape that this one
 * lacks), FRUGAL_UNSUPPORTED for a tensor that Frugal cannot use, FRUGAL_BAD_FILE where tensors and configuration disagree.
 */
export async function readPeftAdapter(name: string, file: PeftFile, model: Model, options: ReadAdapterOptions = {}): Promise<Adapter> {
  if (file.config !== undefined && options.alpha !== undefined) throw ownAlpha(name);
  const modules = adaptedModules(name, file);
  const config = file.config ?? inferredConfig(name, modules, options);
  const known = knownModules(model);
  const weights = new Map<string, Numbers>();
  const scales = new Map<string, number>();
  const replaced = new Map<string, Numbers>();
  const further = new Map<string, StoredTensor>();
  for (const [tensorName, tensor] of file.tensors) {
    if (tensorName === "vera_A" || tensorName === "vera_B") weights.set(tensorName.replace("_", "."), await numbersOf(tensor));
    if (tensorName === "prompt_embeddings")
      for (const [own, numbers] of readVirtual(name, config, await numbersOf(tensor), model)) weights.set(own, numbers);
  }
  const linears: string[] = [];
  const sharedRows = new Map<string, Int32Array>();
  const feedForward = new Set<string>();
  for (const [module, parts] of modules) {
    for (const kind of ["weight", "bias"] as const) {
      const tensor = parts.get(kind);
      const target = known(`${module}.${kind}`);
      if (tensor === undefined) continue;
      if (target === undefined) further.set(`${module}.${kind}`, { ...(await held(tensor)), name: `${module}.${kind}` });
      else for (const [own, numbers] of await replacing(name, target, tensor)) replaced.set(own, numbers);
      parts.delete(kind);
    }
    if (parts.size === 0) continue;
    linears.push(module);
    const target = known(`${module}.weight`);
    if (target === undefined) throw unknownModule(name, module, model);
    const scale = scaleOf(name, config, module, parts);
    const isInput = multipliesInput(config, target, module, parts);
    for (const { weight, rows } of target.parts) {
      if (isInput) feedForward.add(weight);
      if (scale !== undefined) scales.set(weight, scale);
      if (config.type === "VERA") sharedRows.set(weight, rows);
    }
    for (const [own, numbers] of await adapting(name, config, target, module, parts, isInput)) weights.set(own, numbers);
  }
  expectWhole(name, config, linears, model);
  if (config.type === "VERA") expectProjection(name, weights);
  return { config, weights, scales, replaced, further, sharedRows, feedForward };
}

export const ownAlpha = (name: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `${name}: says its own alpha; leave the other one away`, { option: "alpha" });

/** The file's tensors by module. Throws FRUGAL_UNSUPPORTED for one that is no part of an adapter. */
function adaptedModules(name: string, file: PeftFile): Map<string, Parts> {
  const modules = new Map<string, Parts>();
  for (const [tensorName, tensor] of file.tensors) {
    if (tensorName === "prompt_embeddings" || tensorName === "vera_A" || tensorName === "vera_B") continue;
    const parsed = parsePeftName(tensorName);
    if (parsed === undefined || parsed.part === "loraBias" || parsed.part === "embedding")
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `${name}: tensor "${tensorName.slice(0, 200)}" is ${parsed === undefined ? "no part of an adapter that Frugal knows" : parsed.part === "embedding" ? "LoRA of a table of embeddings, which Frugal cannot do; tune linears, or save the whole table" : "a bias of LoRA itself, which Frugal cannot do"}`,
        { tensor: tensorName.slice(0, 200) },
      );
    const parts: Parts = modules.get(parsed.module) ?? new Map<PeftPart, StoredTensor>();
    if (parts.has(parsed.part))
      throw new FrugalError("FRUGAL_BAD_FILE", `${name}: has two tensors for the ${parsed.part} of ${parsed.module}; keep one`, {
        tensor: tensorName,
      });
    modules.set(parsed.module, parts.set(parsed.part, tensor));
  }
  return modules;
}

/** Names as the file has them: with the start that some classes of a family put before them, another family's, or none. */
function knownModules(model: Model): (tensor: string) => ModuleTensor | undefined {
  const tensors = moduleTensors(model);
  const { basePrefix } = model.huggingface;
  return (tensor) => tensors.get(tensor) ?? tensors.get(basePrefix + tensor) ?? tensors.get(basePrefix + tensor.replace(/^[a-z]\w*\./, ""));
}

/** What a lone file of tensors is, without a configuration. */
function inferredConfig(name: string, modules: ReadonlyMap<string, Parts>, { alpha }: ReadAdapterOptions): PeftConfig {
  const all = [...modules.values()];
  const first = all.find((parts) => parts.has("loraA"))?.get("loraA");
  if (first === undefined || all.some((parts) => parts.has("loraE") || parts.has("ia3") || parts.has("veraB")))
    throw new FrugalError("FRUGAL_NOT_FOUND", `${name}: has no adapter_config.json beside it; only LoRA can be read without one`);
  if (alpha === undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${name}: has no adapter_config.json, so nothing says how LoRA is scaled; give its alpha (it is divided by the rank, ${first.shape[0]})`,
      { rank: first.shape[0] },
    );
  return { type: "LORA", rank: first.shape[0] ?? 0, alpha, dora: all.some((parts) => parts.has("magnitude")), bias: "none" };
}

function scaleOf(name: string, config: PeftConfig, module: string, parts: Parts): number | undefined {
  if (config.type === "ADALORA") return config.alpha / (config.initialRank + 1e-5);
  if (config.type !== "LORA") return undefined;
  const odd = [...Object.keys(config.rankPattern ?? {}), ...Object.keys(config.alphaPattern ?? {})].find((key) => !isPlainKey(key));
  if (odd !== undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${name}: rank_pattern or alpha_pattern has the key ${JSON.stringify(odd.slice(0, 80))}; only names of modules and their ends are read`,
      { key: odd.slice(0, 80) },
    );
  const rank = ofPattern(config.rankPattern, module) ?? config.rank;
  const stored = parts.get("loraA")?.shape[0];
  if (stored !== undefined && stored !== rank)
    throw new FrugalError(
      "FRUGAL_BAD_FILE",
      `${name}: the rank of ${module} is ${stored}, but the configuration says ${rank}; they do not belong together`,
      {
        module,
      },
    );
  const alpha = ofPattern(config.alphaPattern, module) ?? config.alpha;
  return alpha / (config.rslora === true ? Math.sqrt(rank) : rank);
}

/** The numbers of a module's weights, where the file has them all. */
async function replacing(name: string, target: ModuleTensor, tensor: StoredTensor): Promise<[string, Numbers][]> {
  if (target.transposed)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: holds all of ${target.name}, which is stored transposed; tune it with LoRA`, {
      tensor: tensor.name,
    });
  const numbers = await numbersOf(tensor);
  return target.parts.map(({ weight, shape, rows }) => {
    if (tensor.shape[0] !== target.outputs || tensor.shape.slice(1).join() !== shape.slice(1).join())
      throw otherShape(name, tensor, [target.outputs, ...shape.slice(1)]);
    const taken = takeRows(numbers, rows);
    return [weight, { ...taken, values: taken.values.map((value) => value + target.offset) }];
  });
}

/** What each part of a module has of the module's adapter. */
async function adapting(
  name: string,
  config: PeftConfig,
  target: ModuleTensor,
  module: string,
  parts: Parts,
  isInput: boolean,
): Promise<[string, Numbers][]> {
  const { outputs } = target;
  const inputs = target.parts[0]!.shape[1] ?? 1;
  const rank = parts.get("loraA")?.shape[0] ?? parts.get("veraD")?.shape[0] ?? 0;
  const shapes: Record<PeftPart, readonly number[] | undefined> = {
    loraA: [rank, inputs],
    loraB: [outputs, rank],
    loraE: [rank, 1],
    magnitude: [outputs],
    veraD: [rank],
    veraB: [outputs],
    ia3: isInput ? [1, inputs] : [outputs, 1],
    weight: undefined,
    bias: undefined,
    embedding: undefined,
    loraBias: undefined,
  };
  for (const part of neededParts(config))
    if (!parts.has(part))
      throw new FrugalError("FRUGAL_BAD_FILE", `${name}: the ${part} of ${module} is missing; fetch the file again`, { module });
  const found: [string, Numbers][] = [];
  for (const [part, tensor] of parts) {
    const shape = shapes[part];
    if (!neededParts(config).includes(part))
      throw new FrugalError("FRUGAL_BAD_FILE", `${name}: has tensor "${tensor.name}", which an adapter of kind ${config.type} has not`, {
        tensor: tensor.name,
      });
    if (shape === undefined || size(shape) === 0 || tensor.shape.join() !== shape.join()) throw otherShape(name, tensor, shape ?? []);
    const numbers = await numbersOf(tensor);
    const byRow = shape[0] === outputs && part !== "loraA" && part !== "loraE" && part !== "veraD" && !(part === "ia3" && isInput);
    for (const { weight, rows } of target.parts) {
      const own = byRow ? takeRows(numbers, rows) : numbers;
      found.push([`${weight}.${part}`, part === "ia3" ? { shape: [own.values.length], values: own.values } : own]);
    }
  }
  return found;
}

function neededParts(config: PeftConfig): readonly PeftPart[] {
  switch (config.type) {
    case "LORA":
      return config.dora === true ? ["loraA", "loraB", "magnitude"] : ["loraA", "loraB"];
    case "ADALORA":
      return ["loraA", "loraB", "loraE"];
    case "VERA":
      return ["veraD", "veraB"];
    case "IA3":
      return ["ia3"];
    default:
      return [];
  }
}

/** Of IA3: whether the vector multiplies what the module reads. */
function multipliesInput(config: PeftConfig, target: ModuleTensor, module: string, parts: Parts): boolean {
  if (config.type !== "IA3") return false;
  const targets = config.feedforwardModules;
  if (Array.isArray(targets)) return targets.some((each: string) => isTarget(module, each));
  // Of a pattern the shape tells as much: [1, inputs] or [outputs, 1].
  const [rows, columns] = parts.get("ia3")?.shape ?? [];
  return rows === 1 && columns === (target.parts[0]!.shape[1] ?? 1) && target.outputs !== 1;
}

/** A layer of which the file has nothing was not tuned, or was cut off. */
function expectWhole(name: string, config: PeftConfig, linears: readonly string[], model: Model): void {
  const layerOf = (module: string): number => Number(/\.(\d+)\./.exec(module)?.[1] ?? -1);
  const most = linears.reduce((last, module) => Math.max(last, layerOf(module)), -1);
  const targets = config.targetModules;
  if (!Array.isArray(targets)) return;
  if (config.layers !== undefined || most < 0 || most === model.layers - 1) return;
  if (targets.some((target: string) => /\.\d+\./.test(target))) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${name}: adapts ${most + 1} layers, but the model has ${model.layers}; it was made for another base`,
    { layers: most + 1 },
  );
}

function expectProjection(name: string, weights: ReadonlyMap<string, Numbers>): void {
  if (weights.has("vera.A") && weights.has("vera.B")) return;
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${name}: was saved without VeRA's shared matrices, which only PyTorch can draw again; save it with save_projection`,
  );
}

function unknownModule(name: string, module: string, model: Model): FrugalError {
  const known = [...moduleTensors(model).values()].flatMap((tensor) => tensor.name.replace(/\.(weight|bias)$/, ""));
  const near = nearest(module, known);
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${name}: adapts ${module.slice(0, 200)}, which this model has not${near === undefined ? "" : ` (the nearest is ${near})`}; it was made for another base, or adapts a part that Frugal does not`,
    { module: module.slice(0, 200) },
  );
}

const otherShape = (name: string, tensor: StoredTensor, wanted: readonly number[]): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${name}: tensor "${tensor.name}" is [${tensor.shape.join(", ")}], but this model needs [${wanted.join(", ")}]; the adapter was made for another base`,
    { tensor: tensor.name },
  );
