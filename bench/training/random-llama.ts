/** Llama-like models with random weights, and examples of random ids: what speed and memory of training are measured with. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

export interface LlamaSize {
  readonly width: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
}

export const llamaConfig = ({ width, hidden, layers, heads, vocabulary }: LlamaSize): Record<string, unknown> => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: vocabulary,
  hidden_size: width,
  intermediate_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: heads,
  head_dim: width % heads === 0 ? width / heads : 64,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: false,
});

/** A directory in Hugging Face layout, of F32. */
export function writeRandomLlama(folder: string, size: LlamaSize): void {
  const { width, hidden, layers, vocabulary } = size;
  const shapes: [string, number[]][] = [
    ["model.embed_tokens.weight", [vocabulary, width]],
    ...Array.from({ length: layers }, (_, i): [string, number[]][] =>
      [
        ...["q_proj", "k_proj", "v_proj", "o_proj"].map((name): [string, number[]] => [`self_attn.${name}`, [width, width]]),
        ["mlp.gate_proj", [hidden, width]],
        ["mlp.up_proj", [hidden, width]],
        ["mlp.down_proj", [width, hidden]],
        ["input_layernorm", [width]],
        ["post_attention_layernorm", [width]],
      ].map(([name, shape]): [string, number[]] => [`model.layers.${i}.${name as string}.weight`, shape as number[]]),
    ).flat(),
    ["model.norm.weight", [width]],
    ["lm_head.weight", [vocabulary, width]],
  ];
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(llamaConfig(size)));
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of shapes) {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const head = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  const file = openSync(join(folder, "model.safetensors"), "w");
  try {
    writeSync(file, length);
    writeSync(file, head);
    const random = randomNumbers(7);
    for (const [, shape] of shapes) {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
        shape.length === 1 ? 1 : 0.07 * (random() - 0.5),
      );
      writeSync(file, new Uint8Array(values.buffer));
    }
  } finally {
    closeSync(file);
  }
}

/** JSONL of `count` texts of `length` random ids. */
export function writeRandomIds(file: string, count: number, length: number, vocabulary: number): void {
  const random = randomNumbers(11);
  const ids = (): number[] => Array.from({ length }, () => Math.floor(random() * vocabulary));
  writeFileSync(file, Array.from({ length: count }, () => `${JSON.stringify({ ids: ids() })}\n`).join(""));
}

/** Numbers in [0, 1) (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
