"""The checkpoints as data: one row a fixture. `config` is what stands in config.json, in the spelling published files use.

Keys of a row: architecture, config, dtype of the weight file ("F32" or "BF16"), text (kind of toy vocabulary), twin (write a GGUF
of the same weights; False where that format cannot say what the row does), and for encoders pooling ("mean" or "cls").
`cross` False: greedy continuation only from the short prompt (frequencies depend on the length, so a cache holds a mix).
"""

VOCAB = 131


def decoder(**changes):
    return {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "hidden_act": "silu", "use_cache": True,
            "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False, **changes}


def row(architecture, model_type, config, dtype="F32", text="bpe", twin=True, pooling=None, cross=True):
    return {"architecture": architecture, "dtype": dtype, "text": text, "twin": twin, "pooling": pooling, "cross": cross,
            "config": {"architectures": [architecture], "model_type": model_type, **config,
                       "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[dtype], "transformers_version": "4.51.0"}}


def llama(config, **options):
    return row("LlamaForCausalLM", "llama", {"attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "pretraining_tp": 1,
                                             "initializer_range": 0.02, **config}, **options)


ROWS = {
    "llama-2": llama(decoder(hidden_size=64, intermediate_size=96, num_key_value_heads=4, rope_theta=10000.0, rope_scaling=None), text="spm"),
    "llama-3": llama(decoder(head_dim=16, num_hidden_layers=3, tie_word_embeddings=True, rope_theta=5000.0, rope_scaling={
        "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 32, "rope_type": "llama3"}), dtype="BF16"),
    "llama-linear-bias": llama(decoder(hidden_size=48, intermediate_size=80, num_attention_heads=6, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-3,
                                       rope_theta=777.0, rope_scaling={"type": "linear", "factor": 2.5}), text="spm"),
    "llama-yarn": llama(decoder(rope_theta=1000.0, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
                                                               "beta_fast": 4.0, "beta_slow": 0.5}), dtype="BF16"),
    "gemma-3": row("Gemma3ForCausalLM", "gemma3_text", decoder(
        num_hidden_layers=7, head_dim=16, num_key_value_heads=1, hidden_activation="gelu_pytorch_tanh", attention_bias=False, attention_dropout=0.0,
        attn_logit_softcapping=None, final_logit_softcapping=None, query_pre_attn_scalar=16, rms_norm_eps=1e-6, rope_theta=2000.0,
        rope_local_base_freq=50.0, rope_scaling=None, sliding_window=8, sliding_window_pattern=6, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=True) | {"hidden_act": None}, dtype="BF16", text="spm"),
    "gpt-2": row("GPT2LMHeadModel", "gpt2", {
        "vocab_size": VOCAB, "n_ctx": 64, "n_embd": 48, "n_head": 4, "n_inner": None, "n_layer": 2, "n_positions": 64, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1, "initializer_range": 0.02, "bos_token_id": 0, "eos_token_id": 0,
        "summary_type": "cls_index", "summary_use_proj": True, "summary_activation": None, "summary_proj_to_labels": True, "summary_first_dropout": 0.1,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}}),
    "bert": row("BertModel", "bert", {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 48,
        "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02, "pad_token_id": 0, "position_embedding_type": "absolute", "use_cache": True, "gradient_checkpointing": False,
        "classifier_dropout": None}, text="wordpiece", pooling="mean"),
}
del ROWS["gemma-3"]["config"]["hidden_act"]
