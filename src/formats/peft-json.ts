/** A PEFT configuration as the JSON that PEFT loads: every key it needs, and those that readers of other programs look for. */
import type { PeftConfig } from "./peft-config.ts";

/** The object of `adapter_config.json`. */
export function peftJson(config: PeftConfig): Record<string, unknown> {
  return {
    auto_mapping: null,
    base_model_name_or_path: config.baseModel ?? null,
    inference_mode: true,
    ...particular(config),
    peft_type: config.type,
    revision: null,
    task_type: config.taskType ?? null,
  };
}

function particular(config: PeftConfig): Record<string, unknown> {
  const targets = { modules_to_save: listed(config.modulesToSave), target_modules: listed(config.targetModules) };
  const layers = { layers_pattern: null, layers_to_transform: config.layers ?? null };
  switch (config.type) {
    case "LORA":
      return {
        ...targets,
        ...layers,
        alpha_pattern: config.alphaPattern ?? {},
        bias: config.bias ?? "none",
        fan_in_fan_out: config.fanInFanOut ?? false,
        init_lora_weights: true,
        lora_alpha: config.alpha,
        lora_dropout: 0,
        r: config.rank,
        rank_pattern: config.rankPattern ?? {},
        use_dora: config.dora ?? false,
        use_rslora: config.rslora ?? false,
      };
    case "ADALORA":
      return {
        ...targets,
        ...layers,
        bias: "none",
        fan_in_fan_out: config.fanInFanOut ?? false,
        init_lora_weights: true,
        init_r: config.initialRank,
        lora_alpha: config.alpha,
        lora_dropout: 0,
        orth_reg_weight: config.orthogonalWeight ?? 0.5,
        // Not used; another number than this makes PEFT warn.
        r: 8,
        target_r: config.targetRank,
        // PEFT asks for them; they count in training alone.
        tfinal: 0,
        tinit: 0,
        total_step: 1,
      };
    case "VERA":
      return {
        ...targets,
        ...layers,
        bias: "none",
        d_initial: config.initialD ?? 0.1,
        fan_in_fan_out: config.fanInFanOut ?? false,
        init_weights: true,
        projection_prng_key: 0,
        r: config.rank,
        save_projection: true,
        vera_dropout: 0,
      };
    case "IA3":
      return {
        ...targets,
        fan_in_fan_out: config.fanInFanOut ?? false,
        feedforward_modules: listed(config.feedforwardModules) ?? [],
        init_ia3_weights: true,
      };
    case "LN_TUNING":
      return targets;
    default:
      return {
        num_attention_heads: config.heads,
        num_layers: config.numLayers,
        num_transformer_submodules: 1,
        num_virtual_tokens: config.virtualTokens,
        token_dim: config.width,
        ...promptKeys(config),
      };
  }
}

function promptKeys({ type, width, encoderHidden }: Extract<PeftConfig, { readonly virtualTokens: number }>): Record<string, unknown> {
  if (type === "PROMPT_TUNING") return { prompt_tuning_init: "RANDOM", prompt_tuning_init_text: null, tokenizer_name_or_path: null };
  if (type === "PREFIX_TUNING") return { encoder_hidden_size: width, prefix_projection: false };
  return { encoder_dropout: 0, encoder_hidden_size: encoderHidden ?? width, encoder_num_layers: 2, encoder_reparameterization_type: "MLP" };
}

const listed = (names: readonly string[] | string | undefined): readonly string[] | string | null =>
  names === undefined ? null : typeof names === "string" ? names : [...names];
