/** Gemma 3 (text): sandwich norms, norms of queries and keys, five layers with a window and their own rotary base to one without. */
import { configReader } from "./config-reader.ts";
import type { DecoderConfig, SizeDefaults } from "./decoder-config.ts";
import type { Checkpoint, ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { openGatedDecoder, type Variation } from "./gated-decoder.ts";
import { gemmaPlaces } from "./gemma2.ts";
import { settleCommonKeys } from "./huggingface-keys.ts";
import { ggufRope, huggingfaceRope, type RopeSettings } from "./rope-config.ts";
import { readWindows } from "./window-config.ts";

export const gemma3: ModelFamily = {
  name: "Gemma 3",
  modelTypes: ["gemma3_text", "gemma3"],
  ggufArchitectures: ["gemma3"],
  open(checkpoint) {
    const text = textPart(checkpoint);
    return openGatedDecoder(text, { name: "Gemma 3", ggufRope: "half", tiedByDefault: true, ropeBase: 1e6, sizes, vary });
  },
};

/** Checkpoints that also see leave out what is as in the first of them. */
const sizes: SizeDefaults = { heads: 8, keyValueHeads: 4, headSize: 256, vocabulary: 262208, contextLength: 131072 };

/** Checkpoints that also see hold the text model's configuration in a part of theirs, and its tensors beside others. */
function textPart(checkpoint: Checkpoint): Checkpoint {
  const inner = checkpoint.kind === "huggingface" ? checkpoint.config["text_config"] : undefined;
  if (checkpoint.kind === "gguf" || inner === undefined) return checkpoint;
  const outer = configReader(`config.json of ${checkpoint.name}`, checkpoint.config);
  settleCommonKeys(outer);
  outer.ignore("vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index", "image_token_index", "tie_word_embeddings");
  outer.section("text_config")?.ignore(...Object.keys(inner as object));
  outer.finish();
  const tensors = new Map(
    [...checkpoint.tensors].flatMap(([name, tensor]) =>
      /(^|\.)(vision_tower|multi_modal_projector)\./.test(name)
        ? []
        : [
            [
              name.replace(/^(language_model\.model\.|model\.language_model\.)/, "model.").replace(/^language_model\./, ""),
              tensor,
            ] as const,
          ],
    ),
  );
  return { ...checkpoint, config: inner as Readonly<Record<string, unknown>>, tensors };
}

function vary(config: DecoderConfig): Variation {
  const { reader, gguf, headSize, heads, width, contextLength, layers } = config;
  const windows = readWindows(config, { pattern: 6, ...(gguf ? {} : { window: 4096 }) });
  const epsilon = reader.positive(gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps", gguf ? undefined : 1e-6);
  reader.expect("attn_logit_softcapping");
  reader.ignore(...(gguf ? ["mm.tokens_per_image"] : ["hidden_act"]));
  reader.expect("use_bidirectional_attention", false);
  const softcap = reader.positive("final_logit_softcapping", Infinity);
  const bias = gguf ? {} : biases(config);
  // The converter drops the scalar; only the largest Gemma 3 has one that is not the head's size.
  const scalar = gguf ? (layers === 62 ? width / heads : headSize) : reader.positive("query_pre_attn_scalar", 256);
  const { global, local } = gguf ? ggufRopes(config, contextLength) : huggingfaceRopes(config, contextLength);
  return {
    ...bias,
    activation: gguf ? "geluTanh" : readActivation(reader, "hidden_activation", "geluTanh"),
    placement: "sandwich",
    attention: { scale: scalar ** -0.5, queryKeyNorm: { over: "head", epsilon } },
    window: windows,
    rope: (layer) => (windows(layer) === undefined ? global : local),
    decoder: { embeddingScale: Math.sqrt(width), ...(softcap === Infinity ? {} : { logitsSoftcap: softcap }) },
    places: gemmaPlaces,
  };
}

function biases({ reader }: DecoderConfig): Variation {
  const bias = reader.flag("attention_bias", false);
  return { inputBias: bias, outputBias: bias };
}

interface Ropes {
  readonly global: RopeSettings;
  readonly local: RopeSettings;
}

function huggingfaceRopes({ reader, headSize }: DecoderConfig, contextLength: number): Ropes {
  const global = huggingfaceRope(reader, { headSize, contextLength, base: 1e6, layerType: "full_attention" });
  const localBase = reader.positive("rope_local_base_freq", 10000);
  // Where both kinds are listed, the local one is read like the global; otherwise it has a base of its own and no scaling.
  const listed = reader.section("rope_parameters")?.has("sliding_attention") === true;
  const local = listed
    ? huggingfaceRope(reader, { headSize, contextLength, base: localBase, layerType: "sliding_attention" })
    : { base: localBase, rotaryDim: headSize, scaling: { kind: "none" as const } };
  return { global, local };
}

function ggufRopes({ reader, headSize }: DecoderConfig, contextLength: number): Ropes {
  const global = ggufRope(reader, { headSize, contextLength, base: 1e6 });
  return { global, local: { base: reader.positive("rope.freq_base_swa", 10000), rotaryDim: global.rotaryDim, scaling: { kind: "none" } } };
}
