/** The common shape of Llama and its many relatives: RMS norms, rotary positions, gated MLPs or experts. A family says what it varies. */
import type { AttentionSpec, RopeSpec } from "../blocks/attention.ts";
import type { DecoderSpec } from "../blocks/decoder.ts";
import type { LayerSpec, Placement } from "../blocks/layer.ts";
import type { ExpertsSpec } from "../blocks/experts.ts";
import type { ActivationKind, MlpSpec } from "../blocks/mlp.ts";
import { type DecoderConfig, openConfig, readDecoderConfig, readTied, type SizeDefaults, usualSizeKeys } from "./decoder-config.ts";
import type { Checkpoint, Model } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { ggufPlaces, huggingfacePlaces } from "./decoder-places.ts";
import type { ConfigReader } from "./config-reader.ts";
import { dependsOnLength, ggufRope, huggingfaceRope, ropeSpec, type RopeSettings } from "./rope-config.ts";
import { textModel } from "./text-model.ts";
import { divided } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";

/** What a family varies; what is left out is as in Llama 2. */
export interface Variation {
  readonly activation?: ActivationKind;
  readonly placement?: Placement;
  readonly inputBias?: boolean;
  readonly outputBias?: boolean;
  readonly mlpBias?: boolean;
  readonly attention?: Partial<AttentionSpec>;
  readonly window?: (layer: number) => number | undefined;
  /** Rotary positions of a layer; undefined for none. */
  readonly rope?: (layer: number) => RopeSettings | undefined;
  readonly experts?: (layer: number) => ExpertsSpec | undefined;
  readonly decoder?: Partial<DecoderSpec>;
  readonly tied?: boolean;
  /** Where Hugging Face's files have weights, where not as Llama's. */
  readonly places?: Places;
  readonly ignorable?: readonly RegExp[];
}

export interface GatedDecoderFamily {
  readonly name: string;
  /** How the rows of queries and keys are laid out in GGUF; from Hugging Face they are always "half". */
  readonly ggufRope: RopeSpec["style"];
  /** Whether the head is the embedding's table where config.json does not say. */
  readonly tiedByDefault?: boolean;
  readonly ropeBase?: number;
  /** Of the norms, where config.json does not say; 1e-6 without it. */
  readonly epsilon?: number;
  readonly sizes?: SizeDefaults;
  vary(config: DecoderConfig, checkpoint: Checkpoint): Variation;
}

/** Reads the configuration, lets the family vary it, and gives the model. Throws as `openModel` does. */
export function openGatedDecoder(checkpoint: Checkpoint, family: GatedDecoderFamily, reader: ConfigReader = openConfig(checkpoint)): Model {
  const config = readDecoderConfig(checkpoint, reader, usualSizeKeys, family.sizes);
  const { gguf, headSize, contextLength, width } = config;
  const variation = family.vary(config, checkpoint);
  const readRope = gguf ? ggufRope : huggingfaceRope;
  const base = family.ropeBase === undefined ? {} : { base: family.ropeBase };
  const common =
    variation.rope === undefined
      ? readRope(reader, { headSize, contextLength, divisors: checkpoint.tensors.has("rope_factors_long.weight"), ...base })
      : undefined;
  const ropeOf = variation.rope ?? (() => common);
  const epsilon = reader.positive(gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps", gguf ? undefined : (family.epsilon ?? 1e-6));
  const mlp: MlpSpec = {
    hidden: hiddenSize(config),
    activation: activationOf(config, variation),
    gated: true,
    bias: variation.mlpBias ?? (gguf && checkpoint.tensors.has("blk.0.ffn_up.bias")),
  };
  const tied = variation.tied ?? readTied(checkpoint, reader, "lm_head.weight", family.tiedByDefault ?? false);
  const ropes = ropeSource(checkpoint, ropeOf, config, gguf ? family.ggufRope : "half");

  const spec = (length: number): DecoderSpec => {
    const rope = ropes.at(length);
    const layer = (i: number): LayerSpec => ({
      placement: variation.placement ?? "pre",
      mlp: variation.experts?.(i) ?? mlp,
      attention: {
        heads: config.heads,
        keyValueHeads: config.keyValueHeads,
        headSize,
        scale: headSize ** -0.5,
        inputBias: variation.inputBias ?? (gguf && ["attn_q", "attn_qkv"].some((name) => checkpoint.tensors.has(`blk.0.${name}.bias`))),
        outputBias: variation.outputBias ?? (gguf && checkpoint.tensors.has("blk.0.attn_output.bias")),
        ...variation.attention,
        window: variation.window?.(i),
        rope: rope(i),
      },
    });
    return {
      vocabulary: config.vocabulary,
      width,
      layers: Array.from({ length: config.layers }, (_, i) => layer(i)),
      norm: { kind: "rms", epsilon },
      finalNorm: true,
      tiedHead: tied,
      ...variation.decoder,
    };
  };
  return textModel({
    family: family.name,
    checkpoint,
    reader,
    contextLength,
    spec,
    shortContext: ropes.shortContext,
    dependsOnLength: ropes.dependsOnLength,
    huggingface: { ...huggingfacePlaces, ...ropes.places, ...variation.places },
    gguf: { ...ggufPlaces(config, mlp.hidden), ...ropes.places },
    basePrefix: "model.",
    ignorable: [/rotary_emb\.inv_freq$/, /^rope_factors_(long|short)\.weight$/, ...(variation.ignorable ?? [])],
  });
}

/** Mixture models may have no plain MLP: their file then gives no size for it, and no layer uses it. */
function hiddenSize({ reader, gguf, width }: DecoderConfig): number {
  return reader.size(gguf ? "feed_forward_length" : "intermediate_size", reader.has("expert_feed_forward_length") ? width : undefined);
}

const activationOf = ({ reader, gguf }: DecoderConfig, variation: Variation): ActivationKind =>
  variation.activation ?? (gguf ? "silu" : readActivation(reader, "hidden_act", "silu"));

interface RopeSource {
  /** Rotary positions by layer, for sequences up to a length. */
  at(contextLength: number): (layer: number) => RopeSpec | undefined;
  readonly places: Places;
  readonly shortContext?: number | undefined;
  readonly dependsOnLength: boolean;
}

/** Frequencies are constants of the graph; where GGUF holds divisors for them as tensors, they are weights made when the model is loaded. */
function ropeSource(
  checkpoint: Checkpoint,
  ropeOf: (layer: number) => RopeSettings | undefined,
  config: DecoderConfig,
  style: RopeSpec["style"],
): RopeSource {
  const all = Array.from({ length: config.layers }, (_, i) => ropeOf(i)).filter((rope) => rope !== undefined);
  const [first] = all;
  const tensorFor = (length: number): string | undefined => {
    if (!config.gguf || first === undefined) return undefined;
    const { scaling } = first;
    const name =
      scaling.kind !== "longrope"
        ? "rope_freqs.weight"
        : length > scaling.original
          ? "rope_factors_long.weight"
          : "rope_factors_short.weight";
    return checkpoint.tensors.has(name) ? name : undefined;
  };
  const places: Record<string, Places[string]> = {};
  for (const name of ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"])
    if (first !== undefined) places[`rope.${name}`] = divided(ropeSpec(first, style, 1).frequencies as Float32Array, name);
  return {
    places,
    dependsOnLength: all.some(dependsOnLength),
    shortContext: first?.scaling.kind === "longrope" && tensorFor(1) !== tensorFor(config.contextLength) ? 1 : undefined,
    at(length) {
      const made = new Map<RopeSettings, RopeSpec>();
      return (layer) => {
        const rope = ropeOf(layer);
        if (rope === undefined) return undefined;
        const tensor = tensorFor(length);
        const plain = made.get(rope) ?? ropeSpec(rope, style, length);
        made.set(rope, plain);
        if (tensor === undefined) return plain;
        const spec: RopeSpec =
          "weight" in plain.frequencies ? plain : { ...plain, frequencies: { weight: `rope.${tensor}`, count: rope.rotaryDim / 2 } };
        made.set(rope, spec);
        return spec;
      };
    },
  };
}
