"""The checkpoints as data: one row a fixture. `config` is what stands in config.json, in the spelling published files use.

Keys of a row: architecture, config, dtype of the weight file ("F32" or "BF16"), text (kind of toy vocabulary), twin (write a GGUF
of the same weights; False where that format cannot say what the row does), and for encoders pooling ("mean" or "cls").
`llama_cpp_differs`: cases in which llama.cpp is known to choose otherwise.
`cross` False: greedy continuation only from the short prompt (frequencies depend on the length, so a cache holds a mix).
"""

VOCAB = 131


def decoder(**changes):
    return {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "hidden_act": "silu", "use_cache": True,
            "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False, **changes}


def row(architecture, model_type, config, dtype="F32", text="bpe", twin=True, pooling=None, cross=True, llama_cpp_differs=()):
    return {"architecture": architecture, "dtype": dtype, "text": text, "twin": twin, "pooling": pooling, "cross": cross, "llama_cpp_differs": llama_cpp_differs,
            "config": {"architectures": [architecture], "model_type": model_type, **config,
                       "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[dtype], "transformers_version": "4.51.0"}}


def llama(config, **options):
    return row("LlamaForCausalLM", "llama", {"attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "pretraining_tp": 1,
                                             "initializer_range": 0.02, **config}, **options)


def gemma(**changes):
    config = decoder(head_dim=16, hidden_activation="gelu_pytorch_tanh", attention_bias=False, attention_dropout=0.0, rms_norm_eps=1e-6,
                     tie_word_embeddings=True, **{key: value for key, value in changes.items() if key not in ("head_dim", "rms_norm_eps")})
    config.update(changes)
    del config["hidden_act"]
    return config


def phi(**changes):
    return decoder(**{"attention_bias": False, "attention_dropout": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "rope_theta": 10000.0, "pad_token_id": 0, **changes})


def granite(**changes):
    return decoder(**{"attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0, "rope_theta": 1000.0, "rope_scaling": None, **changes})


def gpt2(**changes):
    return {"vocab_size": VOCAB, "n_ctx": 64, "n_embd": 48, "n_head": 4, "n_inner": None, "n_layer": 2, "n_positions": 64, "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1, "initializer_range": 0.02, "bos_token_id": 0, "eos_token_id": 0,
            "summary_type": "cls_index", "summary_use_proj": True, "summary_activation": None, "summary_proj_to_labels": True, "summary_first_dropout": 0.1,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}, **changes}


def opt(**changes):
    return {"vocab_size": VOCAB, "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
            "activation_function": "relu", "activation_dropout": 0.0, "attention_dropout": 0.0, "dropout": 0.1, "do_layer_norm_before": True,
            "_remove_final_layer_norm": False, "word_embed_proj_dim": changes.get("hidden_size", 32), "layerdrop": 0.0, "init_std": 0.02, "prefix": "</s>",
            "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "use_cache": True, **changes}


def neox(**changes):
    return {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64,
            "hidden_act": "gelu", "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": True, "initializer_range": 0.02,
            "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False, "use_cache": True, **changes}


def bloom(**changes):
    return {"vocab_size": VOCAB, "hidden_size": 48, "n_head": 6, "n_layer": 2, "layer_norm_epsilon": 1e-5, "apply_residual_connection_post_layernorm": False,
            "attention_dropout": 0.0, "hidden_dropout": 0.0, "attention_softmax_in_fp32": True, "masked_softmax_fusion": True, "bias_dropout_fusion": True,
            "pretraining_tp": 1, "slow_but_exact": False, "seq_length": 64, "unk_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
            "initializer_range": 0.02, "use_cache": True, **changes}


def mixtral(**changes):
    return decoder(**{"intermediate_size": 48, "head_dim": 8, "rope_theta": 1e6, "attention_dropout": 0.0, "output_router_logits": False, "router_aux_loss_coef": 0.02,
                      **changes})


def qwen3_moe(**changes):
    return decoder(**{"head_dim": 16, "moe_intermediate_size": 32, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_scaling": None, "attention_bias": False,
                      "decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False, "sliding_window": None, "max_window_layers": 2,
                      "output_router_logits": False, "router_aux_loss_coef": 0.001, "attention_dropout": 0.0, **changes})


def olmoe(**changes):
    return decoder(**{"intermediate_size": 32, "rope_theta": 10000.0, "rope_scaling": None, "attention_bias": False, "attention_dropout": 0.0,
                      "output_router_logits": False, "router_aux_loss_coef": 0.01, **changes})


def bert(**changes):
    return {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 48,
            "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
            "initializer_range": 0.02, "pad_token_id": 0, "position_embedding_type": "absolute", "use_cache": True, "classifier_dropout": None, **changes}


ROWS = {
    "llama-2": llama(decoder(hidden_size=64, intermediate_size=96, num_key_value_heads=4, rope_theta=10000.0, rope_scaling=None), text="spm"),
    "llama-3": llama(decoder(head_dim=16, num_hidden_layers=3, tie_word_embeddings=True, rope_theta=5000.0, rope_scaling={
        "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 32, "rope_type": "llama3"}), dtype="BF16"),
    "llama-linear-bias": llama(decoder(hidden_size=48, intermediate_size=80, num_attention_heads=6, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-3,
                                       rope_theta=777.0, rope_scaling={"type": "linear", "factor": 2.5}), dtype="BF16", text="spm"),
    "llama-yarn": llama(decoder(max_position_embeddings=64, rope_theta=1000.0, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
                                                               "beta_fast": 4.0, "beta_slow": 0.5}), dtype="BF16"),
    "llama-dynamic": llama(decoder(max_position_embeddings=24, tie_word_embeddings=True, rope_parameters={
        "rope_type": "dynamic", "factor": 3.0, "rope_theta": 500.0}), dtype="BF16", twin=False, cross=False),
    "mistral-window": row("MistralForCausalLM", "mistral", decoder(head_dim=16, rope_theta=1000.0, sliding_window=8, attention_dropout=0.0),
                          dtype="BF16", text="spm", twin=False),
    "mistral": row("MistralForCausalLM", "mistral", decoder(hidden_size=48, intermediate_size=72, num_attention_heads=3, num_key_value_heads=1, rope_theta=1e6,
                                                            sliding_window=None, attention_dropout=0.0), dtype="BF16", text="spm"),
    "qwen-2": row("Qwen2ForCausalLM", "qwen2", decoder(tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1e6, use_sliding_window=False, sliding_window=8,
                                                       max_window_layers=1, attention_dropout=0.0), dtype="BF16"),
    "qwen-2-window": row("Qwen2ForCausalLM", "qwen2", decoder(num_hidden_layers=3, rms_norm_eps=1e-3, rope_theta=100.0, use_sliding_window=True, sliding_window=8,
                                                              max_window_layers=1, attention_dropout=0.0), dtype="BF16", twin=False),
    "qwen-3": row("Qwen3ForCausalLM", "qwen3", decoder(head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1e6, rope_scaling=None,
                                                       attention_bias=False, use_sliding_window=False, sliding_window=None, max_window_layers=2,
                                                       attention_dropout=0.0)),
    "qwen-3-bias": row("Qwen3ForCausalLM", "qwen3", decoder(head_dim=8, num_attention_heads=6, num_key_value_heads=3, hidden_size=48, rope_theta=100.0, rms_norm_eps=1e-3,
                                                            attention_bias=True, use_sliding_window=False, sliding_window=None, attention_dropout=0.0,
                                                            rope_scaling={"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64}),
                       dtype="BF16", twin=False),
    "gemma-2": row("Gemma2ForCausalLM", "gemma2", gemma(num_hidden_layers=3, rope_theta=10000.0, attn_logit_softcapping=1.5, final_logit_softcapping=2.5,
                                                        query_pre_attn_scalar=16, sliding_window=8), dtype="BF16", text="spm"),
    "gemma-2-scalar": row("Gemma2ForCausalLM", "gemma2", gemma(rope_theta=1000.0, attn_logit_softcapping=5.0, final_logit_softcapping=3.0, head_dim=8,
                                                               query_pre_attn_scalar=24, sliding_window=6, rms_norm_eps=1e-4), dtype="BF16", text="spm", twin=False),
    "gemma-3": row("Gemma3ForCausalLM", "gemma3_text", gemma(
        num_hidden_layers=7, num_key_value_heads=1, attn_logit_softcapping=None, final_logit_softcapping=None, query_pre_attn_scalar=16,
        rope_theta=2000.0, rope_local_base_freq=50.0, rope_scaling=None, sliding_window=8, sliding_window_pattern=6), dtype="BF16", text="spm"),
    "gemma-3-types": row("Gemma3ForCausalLM", "gemma3_text", gemma(
        num_hidden_layers=3, query_pre_attn_scalar=24, rms_norm_eps=1e-3, rope_theta=2000.0, rope_local_base_freq=50.0, rope_scaling={"rope_type": "linear", "factor": 4.0},
        attn_logit_softcapping=None, final_logit_softcapping=None, sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"]), dtype="BF16", text="spm", twin=False),
    "phi-3": row("Phi3ForCausalLM", "phi3", phi(num_key_value_heads=4, sliding_window=64, rope_scaling=None, original_max_position_embeddings=128), dtype="BF16",
                 text="spm"),
    "phi-3-window": row("Phi3ForCausalLM", "phi3", phi(sliding_window=8, rope_theta=100.0, rope_scaling=None, original_max_position_embeddings=128), dtype="BF16",
                        text="spm", twin=False),
    "phi-3-long": row("Phi3ForCausalLM", "phi3", phi(
        max_position_embeddings=96, original_max_position_embeddings=24, sliding_window=64,
        rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.5], "long_factor": [1.05, 1.7, 2.9, 4.3]}),
        dtype="BF16", text="spm", cross=False, llama_cpp_differs=["short"]),
    "phi-4-mini": row("Phi3ForCausalLM", "phi3", phi(
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, partial_rotary_factor=0.75, sliding_window=None, max_position_embeddings=256,
        original_max_position_embeddings=256, rope_scaling={"type": "longrope", "short_factor": [1.0, 1.2, 1.4, 1.6, 1.8, 2.0], "long_factor": [3.0] * 6}),
        dtype="BF16", text="spm"),
    "smollm-3": row("SmolLM3ForCausalLM", "smollm3", decoder(
        num_hidden_layers=5, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=500.0, rope_scaling=None, attention_bias=False, mlp_bias=False,
        pad_token_id=0, attention_dropout=0.0, use_sliding_window=False, sliding_window=None, no_rope_layer_interval=4, no_rope_layers=[1, 1, 1, 0, 1],
        layer_types=["full_attention"] * 5, max_window_layers=28, pretraining_tp=2), dtype="BF16"),
    "smollm-3-window": row("SmolLM3ForCausalLM", "smollm3", decoder(
        num_hidden_layers=3, rms_norm_eps=1e-3, rope_theta=500.0, rope_scaling=None, attention_bias=True, mlp_bias=True, attention_dropout=0.0,
        pad_token_id=0, use_sliding_window=True, sliding_window=8, no_rope_layer_interval=2, no_rope_layers=[0, 1, 1],
        layer_types=["sliding_attention", "full_attention", "sliding_attention"]), dtype="BF16", twin=False),
    "granite": row("GraniteForCausalLM", "granite", granite(tie_word_embeddings=True, attention_multiplier=0.2, embedding_multiplier=6.0,
                                                            residual_multiplier=0.35, logits_scaling=1.7), dtype="BF16"),
    "granite-bias": row("GraniteForCausalLM", "granite", granite(hidden_size=48, intermediate_size=80, num_attention_heads=6, num_key_value_heads=3, attention_bias=True,
                                                                 mlp_bias=True, rms_norm_eps=1e-2, attention_multiplier=0.5, embedding_multiplier=2.0, residual_multiplier=0.8,
                                                                 logits_scaling=0.5), dtype="BF16"),
    "gpt-2": row("GPT2LMHeadModel", "gpt2", gpt2(), dtype="BF16"),
    "gpt-2-scaled": row("GPT2LMHeadModel", "gpt2", gpt2(n_embd=32, n_inner=80, n_layer=3, layer_norm_epsilon=1e-3, activation_function="gelu", scale_attn_by_inverse_layer_idx=True,
                                                        reorder_and_upcast_attn=True, tie_word_embeddings=False), dtype="BF16", twin=False),
    "opt": row("OPTForCausalLM", "opt", opt(), twin=False),
    "opt-post-norm": row("OPTForCausalLM", "opt", opt(do_layer_norm_before=False, word_embed_proj_dim=24), dtype="BF16", twin=False),
    "opt-plain": row("OPTForCausalLM", "opt", opt(enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu", tie_word_embeddings=False),
                     dtype="BF16", twin=False),
    "gpt-neox": row("GPTNeoXForCausalLM", "gpt_neox", neox()),
    "gpt-neox-serial": row("GPTNeoXForCausalLM", "gpt_neox", neox(use_parallel_residual=False, rotary_pct=0.5,
                                                                 layer_norm_eps=1e-3), dtype="BF16"),
    "gpt-neox-plain": row("GPTNeoXForCausalLM", "gpt_neox", neox(rotary_pct=1.0, hidden_act="gelu_fast", rotary_emb_base=500, attention_bias=False, tie_word_embeddings=True), dtype="BF16", twin=False),
    "bloom": row("BloomForCausalLM", "bloom", bloom(), dtype="BF16"),
    "bloom-post-residual": row("BloomForCausalLM", "bloom", bloom(hidden_size=32, n_head=4, apply_residual_connection_post_layernorm=True), dtype="BF16", twin=False),
    "mixtral": row("MixtralForCausalLM", "mixtral", mixtral(num_local_experts=4, num_experts_per_tok=2, sliding_window=None), dtype="BF16", text="spm"),
    "mixtral-window": row("MixtralForCausalLM", "mixtral", mixtral(num_local_experts=3, num_experts_per_tok=1, sliding_window=8), dtype="BF16", text="spm", twin=False),
    "qwen-3-moe": row("Qwen3MoeForCausalLM", "qwen3_moe", qwen3_moe(num_experts=6, num_experts_per_tok=2, norm_topk_prob=True, tie_word_embeddings=False), dtype="BF16"),
    "qwen-3-moe-mixed": row("Qwen3MoeForCausalLM", "qwen3_moe", qwen3_moe(num_hidden_layers=3, num_experts=5, num_experts_per_tok=3, norm_topk_prob=False, rms_norm_eps=1e-3,
                                                                         mlp_only_layers=[1], attention_bias=True), dtype="BF16", twin=False),
    "olmoe": row("OlmoeForCausalLM", "olmoe", olmoe(num_key_value_heads=4, num_experts=6, num_experts_per_tok=3, norm_topk_prob=False, clip_qkv=None), dtype="BF16"),
    "olmoe-clip": row("OlmoeForCausalLM", "olmoe", olmoe(num_experts=4, num_experts_per_tok=2, norm_topk_prob=True, clip_qkv=0.7, tie_word_embeddings=True),
                      dtype="BF16", twin=False),
    "bert": row("BertModel", "bert", bert(), text="wordpiece", pooling="mean"),
    "bert-cls": row("BertForMaskedLM", "bert", bert(hidden_size=48, intermediate_size=80, num_attention_heads=3, num_hidden_layers=3, layer_norm_eps=1e-3,
                                                    hidden_act="relu", type_vocab_size=3), dtype="BF16", text="wordpiece", pooling="cls", twin=False),
    "roberta": row("RobertaModel", "roberta", bert(max_position_embeddings=50, type_vocab_size=1, layer_norm_eps=1e-5, bos_token_id=0, pad_token_id=1,
                                                   eos_token_id=2), dtype="BF16", text="roberta", pooling="mean"),
    "distilbert": row("DistilBertForMaskedLM", "distilbert", {
        "vocab_size": VOCAB, "activation": "gelu", "attention_dropout": 0.1, "dim": 32, "dropout": 0.1, "hidden_dim": 64, "initializer_range": 0.02,
        "max_position_embeddings": 48, "n_heads": 4, "n_layers": 2, "pad_token_id": 0, "qa_dropout": 0.1, "seq_classif_dropout": 0.2, "tie_weights_": True,
        "sinusoidal_pos_embds": False}, dtype="BF16", text="wordpiece", pooling="cls"),
    "mpnet": row("MPNetModel", "mpnet", {key: value for key, value in bert(
        max_position_embeddings=50, layer_norm_eps=1e-5, bos_token_id=0, pad_token_id=1, eos_token_id=2, relative_attention_num_buckets=32).items()
        if key not in ("type_vocab_size", "position_embedding_type", "classifier_dropout", "use_cache")},
        dtype="BF16", text="roberta", pooling="mean", twin=False),
}
