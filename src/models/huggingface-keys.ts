/** Keys of config.json that no family needs: they describe training, generation defaults, labels or the program that wrote the file. */
import type { ConfigReader } from "./config-reader.ts";

const ignorable: readonly string[] = [
  // what the file is
  "architectures",
  "model_type",
  "_name_or_path",
  "name_or_path",
  "transformers_version",
  "torch_dtype",
  "dtype",
  "auto_map",
  "tokenizer_class",
  "_commit_hash",
  "_attn_implementation",
  "attn_implementation",
  "_attn_implementation_autoset",
  "_flash_attn_2_enabled",
  "unsloth_fixed",
  "unsloth_version",
  "torchscript",
  "use_bfloat16",
  "tf_legacy_loss",
  "model_max_length",
  "transformers.js_config",
  // training
  "initializer_range",
  "init_std",
  "initializer_factor",
  "gradient_checkpointing",
  "attention_dropout",
  "hidden_dropout",
  "dropout",
  "resid_pdrop",
  "embd_pdrop",
  "attn_pdrop",
  "attention_probs_dropout_prob",
  "hidden_dropout_prob",
  "activation_dropout",
  "classifier_dropout",
  "layerdrop",
  "output_router_logits",
  "router_aux_loss_coef",
  "pretraining_tp",
  "router_jitter_noise",
  // running
  "use_cache",
  "cache_implementation",
  "output_attentions",
  "output_hidden_states",
  "return_dict",
  "chunk_size_feed_forward",
  "is_decoder",
  "use_return_dict",
  // token ids and generation defaults: the tokenizer and generation_config.json speak of them
  "bos_token_id",
  "eos_token_id",
  "pad_token_id",
  "sep_token_id",
  "unk_token_id",
  "mask_token_id",
  "cls_token_id",
  "decoder_start_token_id",
  "forced_bos_token_id",
  "forced_eos_token_id",
  "max_length",
  "min_length",
  "do_sample",
  "early_stopping",
  "num_beams",
  "num_beam_groups",
  "diversity_penalty",
  "temperature",
  "top_k",
  "top_p",
  "typical_p",
  "repetition_penalty",
  "length_penalty",
  "no_repeat_ngram_size",
  "encoder_no_repeat_ngram_size",
  "bad_words_ids",
  "num_return_sequences",
  "prefix",
  "suppress_tokens",
  "begin_suppress_tokens",
  "remove_invalid_values",
  "exponential_decay_length_penalty",
  "max_new_tokens",
  "return_dict_in_generate",
  "output_scores",
  // tasks
  "id2label",
  "label2id",
  "problem_type",
  "num_labels",
  "finetuning_task",
  "task_specific_params",
];

/** Marks the ignorable keys, and refuses values of general keys that would change results. */
export function settleCommonKeys(config: ConfigReader): void {
  config.ignore(...ignorable);
  config.expect("is_encoder_decoder", false);
  config.expect("add_cross_attention", false);
  config.expect("cross_attention_hidden_size");
  config.expect("tie_encoder_decoder", false);
  config.expect("pruned_heads", {});
  config.expect("quantization_config");
  config.expect("compression_config");
}
