/** Which format each tensor of a GGUF file gets in a file of another kind: the rules of `file-types.ts` applied to names and shapes. */
import type { StorageFormat } from "../../tensor/format.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { Metadata } from "../../tensor/strings.ts";
import { type FileType, smallerBlocks, type TensorPart, type TensorPlace } from "./file-types.ts";

/** A tensor before its format is chosen. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: Shape;
  /** As it is stored now: what it keeps where no rule is for it. */
  readonly format: StorageFormat;
}

/** Names of matrices that are small and count much, or are read one number at a time. */
const keptNames =
  /_norm\.weight$|(?:ffn_gate_inp|attn_rel_b|shortconv\.conv)\.weight$|^(?:position_embd|token_types)\.weight$|altup|laurel|per_layer_model_proj|ssm_conv1d|time_mix_(?:first|lerp_fused|decay_w\d|[wvag]\d)\.weight$/;

/** Vectors, norms, gates of experts, tables of positions, and whatever is no weight, stay as they are. */
const isKept = ({ name, shape, format }: NamedTensor): boolean =>
  shape.slice(shape.findIndex((size) => size !== 1)).length < 2 ||
  !name.endsWith("weight") ||
  keptNames.test(name) ||
  (format.encode === undefined && format.blockSize === 1);

const parts: readonly (readonly [TensorPart, RegExp])[] = [
  ["output", /^output\.weight$/],
  ["embedding", /^(?:per_layer_)?token_embd\.weight$/],
  ["value", /attn_(?:v|qkv|kv_b)\.weight/],
  ["key", /attn_k\.weight/],
  ["attentionOutput", /attn_output\.weight/],
  ["down", /ffn_down/],
];
const partOf = (name: string): TensorPart => parts.find(([, pattern]) => pattern.test(name))?.[0] ?? "other";

/**
 * The format of each tensor, by name. `pure` leaves all exceptions out but those of shape: everything that may be has the kind's own format.
 * Rows that are not whole blocks get the format of `smallerBlocks`, or F16.
 */
export function tensorFormats(
  type: FileType,
  tensors: readonly NamedTensor[],
  metadata: Metadata,
  pure: boolean = false,
): ReadonlyMap<string, StorageFormat> {
  const own = formatByName(type.format);
  const settings = settingsOf(metadata);
  const values = [...new Set(tensors.map(({ name }) => name).filter((name) => partOf(name) === "value"))].sort(byLayer);
  const hasOutput = tensors.some(({ name }) => name === "output.weight");
  const chosen = (name: string, row: number): string => {
    const named = partOf(name);
    const part = named === "embedding" && !hasOutput ? "output" : named;
    if (part === "output" && own.blockSize > 1 && row % own.blockSize !== 0) return "Q8_0";
    const layered =
      part === "value" ? { index: values.indexOf(name), count: values.length } : { index: layerOf(name), count: settings.layers };
    const place: TensorPlace = { ...layered, ...settings };
    const rule = type.rules?.find(([of, , where]) => of === part && (where?.(place) ?? true));
    return rule?.[1] ?? type.format;
  };
  return new Map(
    tensors.map((tensor) => {
      if (isKept(tensor)) return [tensor.name, tensor.format];
      const row = tensor.shape.at(-1)!;
      return [tensor.name, fitting(formatByName(pure ? type.format : chosen(tensor.name, row)), row)];
    }),
  );
}

function fitting(format: StorageFormat, row: number): StorageFormat {
  if (row % format.blockSize === 0) return format;
  const smaller = smallerBlocks[format.name];
  return smaller === undefined ? formatByName("F16") : fitting(formatByName(smaller), row);
}

const layerOf = (name: string): number => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
const byLayer = (a: string, b: string): number => layerOf(a) - layerOf(b) || (a < b ? -1 : 1);

function settingsOf(metadata: Metadata): Omit<TensorPlace, "index" | "count"> & { readonly layers: number } {
  const architecture = String(metadata.get("general.architecture"));
  const largest = (key: string): number => {
    const value = metadata.get(`${architecture}.${key}`);
    if (typeof value === "number") return value;
    return ArrayBuffer.isView(value) ? Math.max(0, ...Array.from(value as Iterable<number | bigint>, Number)) : 0;
  };
  const heads = largest("attention.head_count");
  return {
    layers: largest("block_count"),
    queriesPerKey: heads / (largest("attention.head_count_kv") || heads || 1),
    experts: largest("expert_count"),
  };
}
