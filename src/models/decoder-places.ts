/** Names of tensors: of Llama-like checkpoints in Hugging Face files, and of all decoders in GGUF, where families share them. */
import type { DecoderConfig } from "./decoder-config.ts";
import { firstOf, halfOfEach, part, perExpert, stored } from "./weight-places.ts";
import type { MadePlace, Places } from "./weights-finder.ts";

const layer = "model.layers.#";

/** Experts as newer programs write them, stacked, or as published files name them. */
export function expertPlaces(path: string, gate: string, up: string, down: string): Places {
  const stacked = `${path}.gate_up_proj`;
  const each = (name: string): readonly [string, MadePlace] => [`${path}.@.${name}.weight`, perExpert(`${path}.@.${name}.weight`)];
  return {
    "layers.#.experts.gate": firstOf([stacked, halfOfEach(stacked, 0)], each(gate)),
    "layers.#.experts.up": firstOf([stacked, halfOfEach(stacked, 1)], each(up)),
    "layers.#.experts.down": firstOf([`${path}.down_proj`, stored(`${path}.down_proj`)], each(down)),
  };
}

export const huggingfacePlaces: Places = {
  embedding: "model.embed_tokens.weight",
  norm: "model.norm.weight",
  head: "lm_head.weight",
  "layers.#.attentionNorm": `${layer}.input_layernorm.weight`,
  "layers.#.mlpNorm": `${layer}.post_attention_layernorm.weight`,
  "layers.#.attention.query": `${layer}.self_attn.q_proj.weight`,
  "layers.#.attention.key": `${layer}.self_attn.k_proj.weight`,
  "layers.#.attention.value": `${layer}.self_attn.v_proj.weight`,
  "layers.#.attention.output": `${layer}.self_attn.o_proj.weight`,
  "layers.#.attention.query.bias": `${layer}.self_attn.q_proj.bias`,
  "layers.#.attention.key.bias": `${layer}.self_attn.k_proj.bias`,
  "layers.#.attention.value.bias": `${layer}.self_attn.v_proj.bias`,
  "layers.#.attention.output.bias": `${layer}.self_attn.o_proj.bias`,
  "layers.#.attention.queryNorm": `${layer}.self_attn.q_norm.weight`,
  "layers.#.attention.keyNorm": `${layer}.self_attn.k_norm.weight`,
  "layers.#.mlp.gate": `${layer}.mlp.gate_proj.weight`,
  "layers.#.mlp.up": `${layer}.mlp.up_proj.weight`,
  "layers.#.mlp.down": `${layer}.mlp.down_proj.weight`,
  "layers.#.mlp.gate.bias": `${layer}.mlp.gate_proj.bias`,
  "layers.#.mlp.up.bias": `${layer}.mlp.up_proj.bias`,
  "layers.#.mlp.down.bias": `${layer}.mlp.down_proj.bias`,
  "layers.#.experts.router": `${layer}.mlp.gate.weight`,
  ...expertPlaces(`${layer}.mlp.experts`, "gate_proj", "up_proj", "down_proj"),
};

/** Any GGUF may hold queries, keys and values in one tensor, gate and up in one, and old ones a tensor for each expert. */
export function ggufPlaces({ heads, keyValueHeads, headSize }: DecoderConfig, hidden: number): Places {
  const sizes = { q: heads * headSize, k: keyValueHeads * headSize, v: keyValueHeads * headSize };
  const total = sizes.q + sizes.k + sizes.v;
  const inputs = (kind: "weight" | "bias"): Places => {
    const fused = `blk.#.attn_qkv.${kind}`;
    const suffix = kind === "bias" ? ".bias" : "";
    return {
      [`layers.#.attention.query${suffix}`]: firstOf([fused, part(fused, 0, total)], own(`blk.#.attn_q.${kind}`)),
      [`layers.#.attention.key${suffix}`]: firstOf([fused, part(fused, sizes.q, total)], own(`blk.#.attn_k.${kind}`)),
      [`layers.#.attention.value${suffix}`]: firstOf([fused, part(fused, sizes.q + sizes.k, total)], own(`blk.#.attn_v.${kind}`)),
    };
  };
  const both = "blk.#.ffn_gate_up_exps.weight";
  const expert = (name: string, half?: 0 | 1): MadePlace =>
    firstOf(
      ...(half === undefined ? [] : [[both, halfOfEach(both, half)] as const]),
      [`blk.#.${name}.@.weight`, perExpert(`blk.#.${name}.@.weight`)],
      own(`blk.#.${name}_exps.weight`),
    );
  const gate = "blk.#.ffn_gate.weight";
  const up = "blk.#.ffn_up.weight";
  return {
    embedding: "token_embd.weight",
    norm: "output_norm.weight",
    head: "output.weight",
    "layers.#.attentionNorm": "blk.#.attn_norm.weight",
    "layers.#.mlpNorm": "blk.#.ffn_norm.weight",
    ...inputs("weight"),
    ...inputs("bias"),
    "layers.#.attention.output": "blk.#.attn_output.weight",
    "layers.#.attention.output.bias": "blk.#.attn_output.bias",
    "layers.#.attention.queryNorm": "blk.#.attn_q_norm.weight",
    "layers.#.attention.keyNorm": "blk.#.attn_k_norm.weight",
    "layers.#.attentionOutputNorm": "blk.#.post_attention_norm.weight",
    "layers.#.mlpOutputNorm": "blk.#.post_ffw_norm.weight",
    "layers.#.mlp.gate": firstOf(own(gate), [up, part(up, 0, 2 * hidden)]),
    "layers.#.mlp.up": firstOf([gate, stored(up)], [up, part(up, hidden, 2 * hidden)]),
    "layers.#.mlp.down": "blk.#.ffn_down.weight",
    "layers.#.mlp.gate.bias": "blk.#.ffn_gate.bias",
    "layers.#.mlp.up.bias": "blk.#.ffn_up.bias",
    "layers.#.mlp.down.bias": "blk.#.ffn_down.bias",
    "layers.#.experts.router": "blk.#.ffn_gate_inp.weight",
    "layers.#.experts.gate": expert("ffn_gate", 0),
    "layers.#.experts.up": expert("ffn_up", 1),
    "layers.#.experts.down": expert("ffn_down"),
  };
}

const own = (name: string): readonly [string, MadePlace] => [name, stored(name)];

/** The same for decoders with biased norms and a plain MLP. */
export const ggufPlainPlaces = (config: DecoderConfig): Places => ({
  ...ggufPlaces(config, 0),
  positionEmbedding: "position_embd.weight",
  embeddingNorm: "token_embd_norm.weight",
  "embeddingNorm.bias": "token_embd_norm.bias",
  "norm.bias": "output_norm.bias",
  "layers.#.attentionNorm.bias": "blk.#.attn_norm.bias",
  "layers.#.mlpNorm.bias": "blk.#.ffn_norm.bias",
  "layers.#.mlp.up": "blk.#.ffn_up.weight",
});
