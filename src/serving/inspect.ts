/** What a model is made of and what it needs. */
import type { CacheFormat, MemoryReport } from "../backends/backend.ts";
import type { Model } from "../models/family.ts";
import { pageSize } from "../ops/cache.ts";
import { size } from "../tensor/shape.ts";
import { cacheBytesPerToken } from "./cache-needs.ts";
import type { OpenedCheckpoint } from "../models/open-checkpoint.ts";
import { pagesFor } from "./page-tables.ts";

export interface Amount {
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

export interface Inspection {
  readonly name: string;
  readonly family: string;
  readonly kind: Model["kind"];
  readonly parameters: number;
  /** Bytes of all tensors as the file stores them. */
  readonly bytes: number;
  /** By storage format, as GGUF spells them. */
  readonly formats: Readonly<Record<string, Amount>>;
  /** By part of the model: embeddings, attention, feed-forward, norms, output, other. */
  readonly parts: Readonly<Record<string, Amount>>;
  readonly config: Model["summary"];
  readonly context_length: number;
  readonly vocabulary: number;
  readonly tokenizer: boolean;
  readonly chat_template: boolean;
  /** Bytes of keys and values for one text of each length, in F16. */
  readonly cache: readonly { readonly context: number; readonly bytes: number }[];
  /** Once loaded: what was allocated. */
  readonly memory?: MemoryReport;
}

/** Names in both worlds, GGUF's and Hugging Face's; the first that fits. */
const partNames: readonly (readonly [part: string, pattern: RegExp])[] = [
  ["norms", /norm|ln_|layernorm|\.ln/i],
  ["embeddings", /embd|embed|wte|wpe/i],
  ["output", /^output|lm_head|embed_out|classifier|pooler/i],
  ["experts", /exps|experts/i],
  ["attention", /attn|attention|query_key_value|q_proj|k_proj|v_proj|o_proj/i],
  ["feed-forward", /ffn|mlp|fc1|fc2|intermediate|dense|output\.dense/i],
];

export function inspectModel(opened: OpenedCheckpoint, model: Model, memory?: MemoryReport, format: CacheFormat = "F16"): Inspection {
  const formats: Record<string, Amount> = {};
  const parts: Record<string, Amount> = {};
  let bytes = 0;
  const count = (record: Record<string, Amount>, key: string, parameters: number, byteLength: number): void => {
    const known = record[key] ?? { tensors: 0, parameters: 0, bytes: 0 };
    record[key] = { tensors: known.tensors + 1, parameters: known.parameters + parameters, bytes: known.bytes + byteLength };
  };
  for (const tensor of opened.checkpoint.tensors.values()) {
    bytes += tensor.byteLength;
    count(formats, tensor.format.name, size(tensor.shape), tensor.byteLength);
    count(parts, partNames.find(([, pattern]) => pattern.test(tensor.name))?.[0] ?? "other", size(tensor.shape), tensor.byteLength);
  }
  return {
    name: opened.name,
    family: model.family,
    kind: model.kind,
    parameters: model.parameters,
    bytes,
    formats,
    parts,
    config: model.summary,
    context_length: model.contextLength,
    vocabulary: model.vocabularySize,
    tokenizer: opened.hasTokenizer,
    chat_template: opened.chatTemplate !== undefined,
    cache: cacheNeeds(model, format),
    ...(memory === undefined ? {} : { memory }),
  };
}

function cacheNeeds(model: Model, format: CacheFormat): Inspection["cache"] {
  const graph = model.kind === "text" ? model.graphs()["generate"] : undefined;
  if (graph === undefined) return [];
  const perToken = cacheBytesPerToken(graph, format);
  const lengths = [512, 2048, 4096, 8192, 16384, 32768, 65536, 131072].filter((length) => length < model.contextLength);
  return [...lengths, model.contextLength].map((context) => ({ context, bytes: pagesFor(context) * pageSize * perToken }));
}
