/** A small text model whose rows are wide enough for every storage format, written as GGUF without a tokenizer. */
import { writeGguf } from "../src/formats/gguf/write.ts";
import { philox } from "../src/tensor/random.ts";
import { type StorageFormat, storedBytes } from "../src/tensor/format.ts";
import { formatByName } from "../src/tensor/formats/index.ts";
import { type Shape, size } from "../src/tensor/shape.ts";

export const wideVocabulary = 67;
const [width, hidden, heads, headSize, layers] = [256, 512, 4, 64, 2];

const shapes: Readonly<Record<string, Shape>> = {
  "token_embd.weight": [wideVocabulary, width],
  "output_norm.weight": [width],
  "output.weight": [wideVocabulary, width],
  ...Object.fromEntries(
    Array.from({ length: layers }, (_, i) => [
      [`blk.${i}.attn_norm.weight`, [width]],
      [`blk.${i}.attn_q.weight`, [heads * headSize, width]],
      [`blk.${i}.attn_k.weight`, [(heads / 2) * headSize, width]],
      [`blk.${i}.attn_v.weight`, [(heads / 2) * headSize, width]],
      [`blk.${i}.attn_output.weight`, [width, heads * headSize]],
      [`blk.${i}.ffn_norm.weight`, [width]],
      [`blk.${i}.ffn_gate.weight`, [hidden, width]],
      [`blk.${i}.ffn_up.weight`, [hidden, width]],
      [`blk.${i}.ffn_down.weight`, [width, hidden]],
    ]).flat(),
  ),
};

const metadata = new Map<string, string | number>([
  ["general.architecture", "llama"],
  ["llama.block_count", layers],
  ["llama.context_length", 256],
  ["llama.embedding_length", width],
  ["llama.feed_forward_length", hidden],
  ["llama.attention.head_count", heads],
  ["llama.attention.head_count_kv", heads / 2],
  ["llama.attention.layer_norm_rms_epsilon", 1e-5],
]);

export type WideValues = ReadonlyMap<string, Float32Array>;

/** Lively random numbers, the same each time. */
export const wideValues = (): WideValues =>
  new Map(
    Object.entries(shapes).map(([name, shape], tensor) => {
      const [mean, deviation] = shape.length === 1 ? [1, 0.3] : [0, 1.2 / Math.sqrt(shape[1]!)];
      return [name, Float32Array.from({ length: size(shape) }, (_, i) => mean + deviation * normal(tensor, i))];
    }),
  );

/** Matrices in `format`, norms in F32. */
export async function writeWideModel(path: string, all: WideValues, format: StorageFormat): Promise<void> {
  const tensors = [...all].map(([name, values]) => {
    const shape = shapes[name]!;
    const own = shape.length === 1 ? formatByName("F32") : format;
    const bytes = new Uint8Array(storedBytes(own, values.length));
    own.encode!(values, bytes);
    return { name, shape, format: own, bytes };
  });
  await writeGguf(path, { metadata, tensors });
}

function normal(stream: number, index: number): number {
  const [a, b] = philox([index, stream, 0, 0], [7, 0]);
  return Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * b) / 2 ** 32);
}
