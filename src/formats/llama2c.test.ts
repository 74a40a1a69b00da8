import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bytesSource } from "../tensor/source.ts";
import { decodeTensor } from "../tensor/stored.ts";
import { stringAt, type StringTable } from "../tensor/strings.ts";
import { openLlama2c, readLlama2c } from "./llama2c.ts";
import { readLlama2cTokenizer } from "./llama2c-tokenizer.ts";

const checkpoint = fileURLToPath(new URL("../../../shared/data/checkpoints/stories260K/stories260K.bin", import.meta.url));
const missing = !existsSync(checkpoint) && process.env["CI"] === undefined;

/** A checkpoint of dim 4, hidden 3, 2 layers, 2 heads of 2 and 1 key-value head, 5 words, context 6, whose weights count up. */
function small(vocabulary: number): Uint8Array {
  const floats = 5 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 12 + 12 + 12) + 4 + 6 * 2 + (vocabulary < 0 ? 20 : 0);
  const bytes = new Uint8Array(28 + 4 * floats);
  const view = new DataView(bytes.buffer);
  [4, 3, 2, 2, 1, vocabulary, 6].forEach((n, i) => view.setInt32(4 * i, n, true));
  for (let i = 0; i < floats; i++) view.setFloat32(28 + 4 * i, i, true);
  return bytes;
}
const source = (bytes: Uint8Array): ReturnType<typeof bytesSource> => bytesSource("small.bin", bytes);

describe("llama2.c checkpoints", () => {
  it("become Llama tensors, in the file's order", async () => {
    const { config, tensors } = await readLlama2c(source(small(-5)));
    expect(config).toMatchObject({
      model_type: "llama",
      hidden_size: 4,
      intermediate_size: 3,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      tie_word_embeddings: false,
    });
    const first = async (name: string): Promise<number> => (await decodeTensor(tensors.get(name)!))[0]!;
    expect(await first("model.embed_tokens.weight")).toBe(0);
    expect(await first("model.layers.0.input_layernorm.weight")).toBe(20);
    expect(await first("model.layers.1.input_layernorm.weight")).toBe(24);
    expect(await first("model.layers.0.self_attn.q_proj.weight")).toBe(28);
    expect(await first("model.layers.1.mlp.down_proj.weight")).toBe(20 + 8 + 32 + 16 + 16 + 32 + 8 + 24 + 12);
    expect(tensors.get("model.layers.1.mlp.down_proj.weight")!.shape).toEqual([4, 3]);
    expect(await first("lm_head.weight")).toBe(20 + 184 + 4 + 12);
    expect((await readLlama2c(source(small(5)))).tensors.has("lm_head.weight")).toBe(false);
  });

  it("part the rows that rope turns together, however they are read", async () => {
    const bytes = new Uint8Array(28 + 4 * (2 * 8 + 8 + 64 * 4 + 8 + 8 * 3 + 8 + 2 * 4));
    const view = new DataView(bytes.buffer);
    // dim 8, 2 heads of 4.
    [8, 1, 1, 2, 2, 2, 2].forEach((n, i) => view.setInt32(4 * i, n, true));
    const query = 28 + 4 * (16 + 8);
    for (let row = 0; row < 8; row++) for (let column = 0; column < 8; column++) view.setFloat32(query + 4 * (8 * row + column), row, true);
    const { tensors } = await readLlama2c(source(bytes));
    const tensor = tensors.get("model.layers.0.self_attn.q_proj.weight")!;
    const values = await decodeTensor(tensor);
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((row) => values[8 * row])).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
    const whole = new Uint8Array(values.buffer);
    for (const [offset, length] of [
      [0, 256],
      [5, 100],
      [130, 1],
      [127, 2],
      [256, 0],
    ] as const)
      expect(await tensor.source.read(offset, length)).toEqual(whole.slice(offset, offset + length));
    await expect(tensor.source.read(200, 57)).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE" });
  });

  it("are refused where they do not add up", async () => {
    const edited = (index: number, value: number): Uint8Array => {
      const bytes = small(5);
      new DataView(bytes.buffer).setInt32(4 * index, value, true);
      return bytes;
    };
    await expect(readLlama2c(source(new Uint8Array(10)))).rejects.toThrow(/has 10 bytes, fewer than/);
    await expect(readLlama2c(source(edited(0, 5)))).rejects.toThrow(/impossible header \(dim 5/);
    await expect(readLlama2c(source(edited(2, -1)))).rejects.toThrow(/impossible header/);
    await expect(readLlama2c(source(edited(2, 3)))).rejects.toThrow(/has \d+ bytes where its header asks for \d+/);
    await expect(readLlama2c(source(small(5).slice(0, -1)))).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE" });
    await expect(readLlama2c(source(edited(0, 0x616b3432)))).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
  });

  it.skipIf(missing)("stories260K opens with the tokenizer beside it (skipped without ../shared/data)", async () => {
    const model = await openLlama2c(checkpoint);
    expect(model.config).toMatchObject({
      hidden_size: 64,
      num_hidden_layers: 5,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      vocab_size: 512,
      tie_word_embeddings: true,
    });
    expect(model.tensors.size).toBe(2 + 5 * 9);
    const tokens = model.metadata!.get("tokenizer.ggml.tokens") as StringTable;
    expect(tokens.length).toBe(512);
    expect([0, 1, 2, 13, 259, 265].map((id) => stringAt(tokens, id))).toEqual(["<unk>", "<s>", "</s>", "<0x0A>", "\u2581t", "\u2581the"]);
    expect(Array.from((model.metadata!.get("tokenizer.ggml.token_type") as Int32Array).subarray(0, 4))).toEqual([2, 3, 3, 6]);
    expect((model.metadata!.get("tokenizer.ggml.scores") as Float32Array)[260]).toBe(-1);
    await model.close();
  });

  it.skipIf(missing)("a tokenizer of another size is refused (skipped without ../shared/data)", async () => {
    const path = checkpoint.replace("stories260K.bin", "tok512.bin");
    const bytes = new Uint8Array(await readFile(path));
    expect(() => readLlama2cTokenizer("t", bytes, 511)).toThrow(/follow the last of 511 pieces/);
    expect(() => readLlama2cTokenizer("t", bytes, 513)).toThrow(/the file ends before piece 512 of 513/);
    expect(() => readLlama2cTokenizer("t", bytes, 1e6)).toThrow(/too few for 1000000 pieces/);
    bytes[9] = 0xff;
    expect(() => readLlama2cTokenizer("t", bytes, 512)).toThrow(/piece 0 has length/);
    await expect(openLlama2c(checkpoint, { tokenizer: `${path}.none` })).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
  });
});
