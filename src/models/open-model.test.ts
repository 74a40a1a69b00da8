/** What `openModel` refuses, and what it says: hostile numbers, unknown keys, missing, foreign and misshapen tensors. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Fixture, openFixture } from "../../testing/families.ts";
import { inOrder, sourceName, type Value } from "../graph/value.ts";
import { FrugalError } from "../tensor/error.ts";
import { size } from "../tensor/shape.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import type { Checkpoint, Model } from "./family.ts";
import { openModel } from "./index.ts";

type HuggingFace = Checkpoint & { readonly kind: "huggingface" };

async function opened(fixture: Fixture): Promise<Checkpoint> {
  const { close, ...checkpoint } = await openFixture(fixture);
  await close();
  return checkpoint;
}
const fromHuggingFace = async (name: string): Promise<HuggingFace> => (await opened({ name, kind: "huggingface" })) as HuggingFace;
const llama = await fromHuggingFace("llama-2");
const gguf = (await opened({ name: "gemma-3", kind: "gguf" })) as Checkpoint & { readonly kind: "gguf" };

const withKeys = (keys: Readonly<Record<string, unknown>>, checkpoint: HuggingFace = llama): Checkpoint => ({
  ...checkpoint,
  config: { ...checkpoint.config, ...keys },
});
const withTensors = (change: (tensors: Map<string, StoredTensor>) => void, checkpoint: Checkpoint = llama): Checkpoint => {
  const tensors = new Map(checkpoint.tensors);
  change(tensors);
  return { ...checkpoint, tensors };
};

/** The error of opening, as "CODE message". */
function refusal(checkpoint: Checkpoint): string {
  try {
    openModel(checkpoint).graphs();
  } catch (error) {
    if (error instanceof FrugalError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "opened";
}

describe("configuration", () => {
  test.each<[Record<string, unknown>, RegExp]>([
    [{ hidden_size: 0 }, /BAD_CONFIG.*hidden_size is 0; it must be a whole number/],
    [{ hidden_size: -64 }, /BAD_CONFIG.*hidden_size/],
    [{ hidden_size: 1e12 }, /BAD_CONFIG.*hidden_size/],
    [{ hidden_size: "64" }, /BAD_CONFIG.*hidden_size is "64"/],
    [{ hidden_size: 63 }, /BAD_CONFIG.*hidden_size is 63, which 4 heads do not divide/],
    [{ hidden_size: undefined }, /BAD_CONFIG.*hidden_size is missing/],
    [{ hidden_size: undefined, hiden_size: 64 }, /hidden_size is missing.*"hiden_size"/],
    [{ num_hidden_layers: 1e9 }, /BAD_CONFIG.*num_hidden_layers is 1000000000, but the file has \d+ tensors/],
    [{ num_key_value_heads: 3 }, /BAD_CONFIG.*num_attention_heads is 4, which 3 heads of keys and values do not divide/],
    [{ head_dim: 2 ** 30 }, /BAD_CONFIG.*head_dim/],
    [{ head_dim: 15 }, /BAD_CONFIG/],
    [{ rms_norm_eps: Number.NaN }, /BAD_CONFIG.*rms_norm_eps is NaN; it must be a number above 0/],
    [{ rope_theta: -1 }, /BAD_CONFIG.*rope_theta/],
    [{ rope_scaling: { rope_type: "linear", factor: 0 } }, /BAD_CONFIG.*rope_scaling: factor is 0/],
    [{ rope_scaling: { rope_type: "spiral", factor: 2 } }, /UNSUPPORTED.*rope_type is "spiral"/],
    [{ rope_scaling: { rope_type: "linear", factr: 2, factor: 2 } }, /BAD_CONFIG.*factr is not a key.*"factor"/],
    [{ rope_scaling: { rope_type: "longrope", short_factor: [1], long_factor: [1] } }, /BAD_CONFIG.*lists of 1 and 1 factors for 8 pairs/],
    [{ rope_scaling: 7 }, /BAD_CONFIG.*rope_scaling is 7/],
    [{ hidden_act: "geelu" }, /UNSUPPORTED.*hidden_act is "geelu".*did you mean "gelu"/],
    [{ quantization_config: { bits: 4 } }, /UNSUPPORTED.*quantization_config/],
    [{ atention_bias: true }, /BAD_CONFIG.*atention_bias is not a key.*"attention_bias"/],
    [{ vocab_size: 130 }, /BAD_CONFIG.*embed_tokens.weight" is \[131, 64\].*\[130, 64\]/],
    [{ model_type: "lama" }, /UNSUPPORTED.*"lama" is not a family.*did you mean "llama"/],
    [{ model_type: undefined }, /BAD_CONFIG.*model_type is missing/],
  ])("%j", (keys, message) => {
    expect(refusal(withKeys(keys))).toMatch(message);
  });

  test("names of GGUF keys carry their prefix", () => {
    const metadata = new Map(gguf.metadata).set("gemma3.atention.scale", 1);
    expect(refusal({ ...gguf, metadata })).toMatch(/BAD_CONFIG.*gemma3\.atention\.scale is not a key/);
    expect(refusal({ ...gguf, metadata: new Map(gguf.metadata).set("gemma3.vocab_size", 130) })).toMatch(
      /BAD_CONFIG.*gemma3\.vocab_size is 130, but token_embd\.weight has 131 rows/,
    );
    expect(refusal({ ...gguf, metadata: new Map(gguf.metadata).set("gemma3.block_count", 0) })).toMatch(
      /BAD_CONFIG.*gemma3\.block_count is 0/,
    );
  });

  test("keys of the file and the tokenizer are not the family's", () => {
    expect(refusal({ ...gguf, metadata: new Map(gguf.metadata).set("general.url", "x").set("tokenizer.ggml.novelty", 1) })).toBe("opened");
  });

  test("any value for any key is refused or opens, with an error of ours", () => {
    const keys = fc.constantFrom(...Object.keys(llama.config), "head_dim", "rope_parameters", "sliding_window", "layer_types");
    const values = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.constantFrom(0, -1, 1e308, 2 ** 31, 2 ** 53, Number.NaN),
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(fc.dictionary(keys, values, { maxKeys: 3 }), (changes) => {
        expect(refusal(withKeys(changes))).toMatch(/^(opened|FRUGAL_(BAD_CONFIG|UNSUPPORTED|NOT_FOUND) )/);
      }),
      { numRuns: 300 },
    );
  });
});

describe("tensors", () => {
  const name = "model.layers.1.mlp.up_proj.weight";
  test("a missing one is named with the nearest there is", () => {
    const checkpoint = withTensors((tensors) => {
      tensors.set("model.layers.1.mlp.up_prj.weight", tensors.get(name)!);
      tensors.delete(name);
    });
    expect(refusal(checkpoint)).toMatch(/NOT_FOUND.*llama-2: has no tensor "model\.layers\.1\.mlp\.up_proj\.weight".*up_prj/);
  });

  test("a shape that is not the configuration's", () => {
    const checkpoint = withTensors((tensors) => tensors.set(name, { ...tensors.get(name)!, shape: [64, 96] }));
    expect(refusal(checkpoint)).toMatch(/BAD_CONFIG.*up_proj\.weight" is \[64, 96\].*\[96, 64\]/);
  });

  test("one that nobody uses is refused, but for buffers", () => {
    const foreign = (as: string): Checkpoint => withTensors((tensors) => tensors.set(as, tensors.get(name)!));
    expect(refusal(foreign("model.layers.1.self_attn.q_proj.bias"))).toMatch(/UNSUPPORTED.*q_proj\.bias" is not one/);
    expect(refusal(foreign("model.layers.2.mlp.up_proj.weight"))).toMatch(/UNSUPPORTED/);
    expect(refusal(foreign("model.layers.0.self_attn.rotary_emb.inv_freq"))).toBe("opened");
  });

  test("the head's prefix may be missing", () => {
    const checkpoint = { ...llama, tensors: new Map([...llama.tensors].map(([key, tensor]) => [key.replace(/^model\./, ""), tensor])) };
    expect(refusal(checkpoint)).toBe("opened");
  });
});

describe("models", () => {
  test("count their parameters", () => {
    const stored = [...llama.tensors.values()].reduce((sum, tensor) => sum + size(tensor.shape), 0);
    expect(openModel(llama).parameters).toBe(stored);
    expect(openModel(gguf).parameters).toBe([...gguf.tensors.values()].reduce((sum, tensor) => sum + size(tensor.shape), 0));
  });

  test("say what they are", () => {
    const model = openModel(gguf);
    expect({ ...model, weights: 0, graphs: 0 }).toMatchObject({
      family: "Gemma 3",
      kind: "text",
      layers: 7,
      vocabularySize: 131,
      contextLength: 128,
      embeddingSize: 32,
    });
    expect(model.summary).toMatchObject({ width: 32, heads: 4, keyValueHeads: 1, headSize: 16, window: "8", tiedHead: true });
  });

  test("have graphs that use exactly the inputs of the contract", () => {
    expect(inputsOf(openModel(llama), "generate")).toEqual([
      "contextLengths",
      "outputRows",
      "pageTable",
      "positions",
      "rowOffsets",
      "tokens",
    ]);
    expect(inputsOf(openModel(llama), "score")).toEqual(["outputRows", "positions", "rowOffsets", "tokens"]);
  });

  test("read Gemma 3 out of a checkpoint that also sees", async () => {
    const text = await fromHuggingFace("gemma-3");
    const tensors = new Map([...text.tensors].map(([key, tensor]) => [`language_model.${key}`, tensor]));
    tensors.set("vision_tower.patch.weight", text.tensors.values().next().value!);
    const config = {
      model_type: "gemma3",
      architectures: ["Gemma3ForConditionalGeneration"],
      text_config: text.config,
      vision_config: {},
      mm_tokens_per_image: 256,
    };
    const both = openModel({ ...text, config, tensors });
    expect([...both.weights.keys()]).toEqual([...openModel(text).weights.keys()]);
  });

  test("understand the old and the new spelling of rotary positions", async () => {
    const old = withKeys({ rope_theta: 5000, rope_scaling: { type: "linear", factor: 4 } });
    const { rope_theta: _, rope_scaling: __, ...rest } = llama.config;
    const renewed = { ...llama, config: { ...rest, rope_parameters: { rope_theta: 5000, rope_type: "linear", factor: 4 } } };
    expect(frequencies(openModel(renewed))).toEqual(frequencies(openModel(old)));
    expect(frequencies(openModel(old))).not.toEqual(frequencies(openModel(llama)));
  });
});

const valuesOf = (model: Model, program: string): Value[] => inOrder(model.graphs()[program]!.outputs.values());
const inputsOf = (model: Model, program: string): string[] =>
  valuesOf(model, program)
    .flatMap((value) => (value.op === "input" ? [sourceName(value)] : []))
    .sort();
const frequencies = (model: Model): unknown => valuesOf(model, "score").find((value) => value.op === "constant")!.data;
