/** `load`: a model, and an adapter beside its weights where one is named. */
import { isFiles, type ModelFiles } from "../formats/folder.ts";
import { type AdapterSlotOptions, type LoadOptions as ServingOptions, loadOptionNames, type StepLimits } from "../serving/load-parts.ts";
import { type FrugalModel, load as loadModel } from "../serving/model.ts";
import { checkMode, type SpeculationMode } from "../serving/strategy.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";
import { chooseStrategy } from "./decoding/choose-strategy.ts";

/** Options of `load`. */
export interface LoadOptions extends ServingOptions {
  /**
   * A directory with a PEFT adapter (LoRA, DoRA, AdaLoRA, VeRA, IA3, LN-tuning), one of its `.safetensors` files alone, or a GGUF file of a LoRA.
   * Where there is no file system, the files of one. It must have been made for this model: another base is refused.
   */
  readonly adapter?: string | ModelFiles | AdapterSource;
  /**
   * A smaller model of the same vocabulary, which proposes what the model then verifies several tokens at a time (`speculation` of `generate`). It
   * changes the speed alone, and takes memory of its own. Default: what followed the last tokens where they stood before is proposed.
   */
  readonly draft?: string;
  /** What `speculation` of `generate` is for texts that don't say. Default "auto". */
  readonly speculation?: SpeculationMode;
}

/** An adapter that needs more said than its path. */
export interface AdapterSource {
  readonly path: string | ModelFiles;
  /** Of a `.safetensors` file of a LoRA without `adapter_config.json`: what is divided by the rank to give the scale. */
  readonly alpha?: number;
}

/**
 * Loads a model: a `.gguf` file (of a split one, any part), a directory in Hugging Face layout, a llama2.c `.bin` file, or
 * `hf:owner/name[:file]`, which is downloaded once; or the files of a model, as sources by name, where there is no file system.
 *
 * With `adapter`, the model answers as that adapter taught it; its own weights stay as they are stored.
 *
 * Rejects with FRUGAL_NOT_FOUND, FRUGAL_BAD_FILE, FRUGAL_BAD_CONFIG, FRUGAL_UNSUPPORTED, FRUGAL_OUT_OF_MEMORY, FRUGAL_BAD_ARGUMENT, or the
 * signal's reason.
 * ```ts
 * import { load } from "frugal";
 * await using model = await load("model.gguf", { memory: "512MB", onProgress: ({ stage, done, total }) => console.error(stage, done / total) });
 * console.log(model.family, model.contextLength, model.backend.description);
 * await using tuned = await load("model.gguf", { adapter: "my-adapter" });
 * ```
 */
export async function load(source: string | ModelFiles, options: LoadOptions = {}): Promise<FrugalModel> {
  checkOptions("load", options, [...loadOptionNames, "adapter", "draft", "speculation"]);
  const { adapter: given, draft, speculation = "auto", ...others } = options;
  checkMode("load", speculation);
  if (draft !== undefined && (typeof draft !== "string" || draft === ""))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `load: draft is ${JSON.stringify(draft)}; give the name of a model`, { option: "draft" });
  const slots = others.adapterSlots === undefined ? {} : await slotLimits(others.adapterSlots, given);
  const limits = { ...slots, speculation: chooseStrategy(draft, speculation, others) };
  if (given === undefined) return loadModel(source, others, limits);
  const adapter: AdapterSource = typeof given === "string" || isFiles(given) ? { path: given } : given;
  if (
    typeof adapter !== "object" ||
    adapter === null ||
    !(isFiles(adapter.path) || (typeof adapter.path === "string" && adapter.path !== ""))
  )
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `load: adapter is ${JSON.stringify(given)}; give the path of one`, { option: "adapter" });
  checkOptions("load: adapter", adapter, ["path", "alpha"]);
  const { openAdaptedModel } = await import("./tuning/open-adapter.ts");
  return loadModel(source, others, {
    ...limits,
    open: (checkpoint) => openAdaptedModel(adapter.path, checkpoint, { alpha: adapter.alpha, signal: options.signal }),
  });
}

/** Who serves many adapters knows nothing of their files: it is told here. */
async function slotLimits(slots: AdapterSlotOptions, adapter: LoadOptions["adapter"]): Promise<StepLimits> {
  if (adapter !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      "load: adapter and adapterSlots are given; give one: a slot's adapter is for the base alone",
      {
        option: "adapterSlots",
      },
    );
  const { adapterRoom } = await import("./tuning/slot-adapters.ts");
  return { adapterRoom: (checkpoint, model) => adapterRoom(checkpoint, model, slots) };
}
