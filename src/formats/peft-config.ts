/** `adapter_config.json` as PEFT writes it, as a plain record and back. Format: https://huggingface.co/docs/peft (package_reference). */
import { FrugalError, nearest } from "../tensor/error.ts";
import { isJsonObject, type JsonObject } from "./json.ts";

interface PeftCommon {
  /** Whatever the base was called where the adapter was made. */
  readonly baseModel?: string | undefined;
  /** "CAUSAL_LM", "SEQ_CLS" */
  readonly taskType?: string | undefined;
  /** Ends of modules' names; a text is a pattern over whole names. */
  readonly targetModules?: readonly string[] | string | undefined;
  /** Modules of which the file holds all weights. */
  readonly modulesToSave?: readonly string[] | undefined;
  /** Only in these layers. */
  readonly layers?: readonly number[] | undefined;
  /** Whether the targets are stored as [inputs, outputs]; only written. */
  readonly fanInFanOut?: boolean | undefined;
}

export interface PeftLora extends PeftCommon {
  readonly type: "LORA";
  readonly rank: number;
  readonly alpha: number;
  /** By ends of modules' names: ranks and alphas where they differ. */
  readonly rankPattern?: Readonly<Record<string, number>> | undefined;
  readonly alphaPattern?: Readonly<Record<string, number>> | undefined;
  /** The product is scaled by alpha / √rank in place of alpha / rank. */
  readonly rslora?: boolean | undefined;
  readonly dora?: boolean | undefined;
  /** Which biases of the base are trained along. */
  readonly bias?: "none" | "all" | "lora_only" | undefined;
}

export interface PeftAdaLora extends PeftCommon {
  readonly type: "ADALORA";
  readonly alpha: number;
  /** At the beginning and on average in the end. */
  readonly initialRank: number;
  readonly targetRank: number;
  readonly orthogonalWeight?: number | undefined;
}

export interface PeftVera extends PeftCommon {
  readonly type: "VERA";
  readonly rank: number;
  readonly initialD?: number | undefined;
}

export interface PeftIa3 extends PeftCommon {
  readonly type: "IA3";
  /** Those of the targets whose inputs are multiplied. */
  readonly feedforwardModules?: readonly string[] | string | undefined;
}

export interface PeftPrompt extends PeftCommon {
  readonly type: "PROMPT_TUNING" | "PREFIX_TUNING" | "P_TUNING";
  readonly virtualTokens: number;
  /** Of the base: layers, heads (of keys, for a prefix) and the width of a row. */
  readonly numLayers: number;
  readonly heads: number;
  readonly width: number;
  /** Of the encoder of a P-tuning. */
  readonly encoderHidden?: number | undefined;
}

export interface PeftNorms extends PeftCommon {
  readonly type: "LN_TUNING";
}

export type PeftConfig = PeftLora | PeftAdaLora | PeftVera | PeftIa3 | PeftPrompt | PeftNorms;

/** What a key of the file means for those who read it: a number, a name, ...; "any" changes nothing once the adapter is trained; "none" must say nothing. */
type Meaning = "text" | "size" | "number" | "flag" | "names" | "sizes" | "pattern" | "any" | "none";
type Keys = Readonly<Record<string, Meaning>>;

const common: Keys = {
  peft_type: "text",
  auto_mapping: "any",
  peft_version: "any",
  base_model_name_or_path: "text",
  revision: "any",
  task_type: "text",
  inference_mode: "any",
};
const targeted: Keys = { target_modules: "names", exclude_modules: "any", modules_to_save: "names" };
const layered: Keys = { layers_to_transform: "sizes", layers_pattern: "any", bias: "text", fan_in_fan_out: "any" };
const loraKeys: Keys = {
  ...common,
  ...targeted,
  ...layered,
  r: "size",
  lora_alpha: "number",
  lora_dropout: "any",
  init_lora_weights: "any",
  rank_pattern: "pattern",
  alpha_pattern: "pattern",
  use_rslora: "flag",
  use_dora: "flag",
  eva_config: "any",
  loftq_config: "any",
  corda_config: "any",
  lora_ga_config: "any",
  megatron_config: "none",
  megatron_core: "any",
  ensure_weight_tying: "any",
  qalora_group_size: "any",
  runtime_config: "any",
  lora_bias: "none",
  layer_replication: "none",
  target_parameters: "none",
  trainable_token_indices: "none",
  alora_invocation_tokens: "none",
  arrow_config: "none",
  use_qalora: "none",
  use_bdlora: "none",
};
const prompted: Keys = {
  ...common,
  modules_to_save: "none",
  num_virtual_tokens: "size",
  token_dim: "size",
  num_layers: "size",
  num_attention_heads: "size",
  num_transformer_submodules: "any",
};

const keysOf: Readonly<Record<PeftConfig["type"], Keys>> = {
  LORA: loraKeys,
  ADALORA: {
    ...loraKeys,
    rank_pattern: "any",
    init_r: "size",
    target_r: "size",
    tinit: "any",
    tfinal: "any",
    deltaT: "any",
    beta1: "any",
    beta2: "any",
    orth_reg_weight: "number",
    total_step: "any",
  },
  VERA: {
    ...common,
    ...targeted,
    ...layered,
    r: "size",
    projection_prng_key: "any",
    save_projection: "flag",
    vera_dropout: "any",
    d_initial: "number",
    init_weights: "any",
  },
  IA3: { ...common, ...targeted, feedforward_modules: "names", fan_in_fan_out: "any", init_ia3_weights: "any" },
  LN_TUNING: { ...common, ...targeted },
  PROMPT_TUNING: {
    ...prompted,
    prompt_tuning_init: "any",
    prompt_tuning_init_text: "any",
    tokenizer_name_or_path: "any",
    tokenizer_kwargs: "any",
  },
  PREFIX_TUNING: { ...prompted, encoder_hidden_size: "any", prefix_projection: "any", init_weights: "any" },
  P_TUNING: {
    ...prompted,
    encoder_reparameterization_type: "any",
    encoder_hidden_size: "size",
    encoder_num_layers: "any",
    encoder_dropout: "any",
  },
};

/** Beginnings that change the base itself, so that the file alone does not say what was trained. */
const changesBase = /^(pissa|olora|loftq|corda|lora_ga)/;
const mostNames = 100_000;

/** Reads the record. Throws FRUGAL_BAD_FILE naming the key, FRUGAL_UNSUPPORTED for a key or kind that Frugal cannot follow. */
export function readPeftConfig(name: string, json: JsonObject): PeftConfig {
  const type = json["peft_type"];
  const types = Object.keys(keysOf);
  if (typeof type !== "string" || !types.includes(type)) {
    const near = typeof type === "string" ? nearest(type, types) : undefined;
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${name}: peft_type is ${shown(type)}, which Frugal does not know${near === undefined ? "" : `; did you mean ${near}?`} Known: ${types.join(", ")}`,
      { key: "peft_type" },
    );
  }
  const kind = type as PeftConfig["type"];
  const keys = keysOf[kind];
  for (const [key, value] of Object.entries(json)) checkKey(name, kind, keys, key, value);
  return toConfig(kind, reading(name, json));
}

/** PEFT adds keys with every release; those that say nothing change nothing. */
const saysNothing = (value: unknown): boolean =>
  value === null || value === false || (typeof value === "object" && value !== null && Object.keys(value).length === 0);

function checkKey(name: string, type: string, keys: Keys, key: string, value: unknown): void {
  const meaning = Object.hasOwn(keys, key) ? keys[key] : undefined;
  if (meaning !== undefined && meaning !== "none") {
    if (key === "init_lora_weights" && typeof value === "string" && changesBase.test(value))
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `${name}: init_lora_weights is ${shown(value)}, which changes the base before training; save the adapter with path_initial_model_for_weight_conversion, which makes it a plain one`,
        { key },
      );
    return;
  }
  if (saysNothing(value)) return;
  const near = meaning === undefined ? nearest(key, Object.keys(keys)) : undefined;
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${name}: ${key.slice(0, 80)} is ${shown(value)}, which Frugal ${meaning === undefined ? `does not know for ${type}` : "cannot do"}${near === undefined ? "" : `; did you mean ${near}?`}; it may change results, so it is not ignored`,
    { key: key.slice(0, 80) },
  );
}

const shown = (value: unknown): string => (value === undefined ? "missing" : JSON.stringify(value)).slice(0, 80);

interface Reading {
  text(key: string): string | undefined;
  flag(key: string): boolean;
  size(key: string): number;
  number(key: string, usual?: number): number;
  names(key: string): readonly string[] | undefined;
  /** Names, or a pattern. */
  targets(key: string): readonly string[] | string | undefined;
  sizes(key: string): readonly number[] | undefined;
  pattern(key: string): Readonly<Record<string, number>> | undefined;
  wrong(key: string, wanted: string): FrugalError;
}

function reading(name: string, json: JsonObject): Reading {
  const wrong = (key: string, wanted: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_FILE", `${name}: ${key} is ${shown(json[key])}, not ${wanted}; correct it or fetch the file again`, {
      key,
    });
  const given = (key: string): unknown => json[key] ?? undefined;
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  const names = (key: string): readonly string[] | undefined => {
    const value = given(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length > mostNames || !value.every((each) => typeof each === "string"))
      throw wrong(key, "a list of names");
    return value as string[];
  };
  return {
    wrong,
    names,
    text(key) {
      const value = given(key);
      if (value === undefined || typeof value === "string") return value;
      throw wrong(key, "a text");
    },
    flag(key) {
      const value = given(key) ?? false;
      if (typeof value === "boolean") return value;
      throw wrong(key, "true or false");
    },
    size(key) {
      const value = given(key);
      if (isSize(value) && value < 2 ** 31) return value;
      throw wrong(key, "a whole number from 1 on");
    },
    number(key, usual) {
      const value = given(key) ?? usual;
      if (typeof value === "number" && Number.isFinite(value)) return value;
      throw wrong(key, "a number");
    },
    targets: (key) => (typeof given(key) === "string" ? (given(key) as string) : names(key)),
    sizes(key) {
      const value = given(key);
      const list = value === undefined ? undefined : Array.isArray(value) ? (value as unknown[]) : [value];
      if (list === undefined) return undefined;
      if (list.length > mostNames || !list.every((each) => Number.isSafeInteger(each) && (each as number) >= 0))
        throw wrong(key, "a list of whole numbers");
      return list as number[];
    },
    pattern(key) {
      const value = given(key);
      if (value === undefined) return undefined;
      if (
        !isJsonObject(value) ||
        Object.keys(value).length > mostNames ||
        !Object.values(value).every((each) => typeof each === "number" && Number.isFinite(each))
      )
        throw wrong(key, "numbers by the names of modules");
      return Object.keys(value).length === 0 ? undefined : (value as Record<string, number>);
    },
  };
}

function toConfig(type: PeftConfig["type"], read: Reading): PeftConfig {
  const shared = {
    baseModel: read.text("base_model_name_or_path"),
    taskType: read.text("task_type"),
    targetModules: read.targets("target_modules"),
    modulesToSave: read.names("modules_to_save"),
    layers: read.sizes("layers_to_transform"),
  };
  switch (type) {
    case "LORA":
      return {
        ...shared,
        type,
        rank: read.size("r"),
        alpha: read.number("lora_alpha", 8),
        rankPattern: read.pattern("rank_pattern"),
        alphaPattern: read.pattern("alpha_pattern"),
        rslora: read.flag("use_rslora"),
        dora: read.flag("use_dora"),
        bias: biasOf(read),
      };
    case "ADALORA":
      expectPlainBias(read);
      return {
        ...shared,
        type,
        alpha: read.number("lora_alpha", 8),
        initialRank: read.size("init_r"),
        targetRank: read.size("target_r"),
        orthogonalWeight: read.number("orth_reg_weight", 0.5),
      };
    case "VERA":
      expectPlainBias(read);
      return { ...shared, type, rank: read.size("r"), initialD: read.number("d_initial", 0.1) };
    case "IA3":
      return { ...shared, type, feedforwardModules: read.targets("feedforward_modules") };
    case "LN_TUNING":
      return { ...shared, type };
    default:
      return {
        ...shared,
        type,
        virtualTokens: read.size("num_virtual_tokens"),
        numLayers: read.size("num_layers"),
        heads: read.size("num_attention_heads"),
        width: read.size("token_dim"),
        ...(type === "P_TUNING" ? { encoderHidden: read.size("encoder_hidden_size") } : {}),
      };
  }
}

function biasOf(read: Reading): NonNullable<PeftLora["bias"]> {
  const bias = read.text("bias") ?? "none";
  if (bias === "none" || bias === "all" || bias === "lora_only") return bias;
  throw read.wrong("bias", "none, all or lora_only");
}

function expectPlainBias(read: Reading): void {
  if (biasOf(read) !== "none") throw read.wrong("bias", "none, the only one that Frugal reads here");
}
