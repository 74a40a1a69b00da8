/**
 * `quantize`: a model's file in another storage format, each number rounded to the nearest that the format has. Tensors stream through, so a
 * model of any size takes a few megabytes of memory (of a directory, one tensor), with or without a file system.
 */
import { openDirectory } from "../formats/directory.ts";
import { createFile, kindOf } from "../formats/files.ts";
import type { ModelFiles } from "../formats/folder.ts";
import { type FileType, fileTypeNames, fileTypeOf } from "../formats/gguf/file-types.ts";
import { tensorFormats } from "../formats/gguf/tensor-formats.ts";
import { writeGguf } from "../formats/gguf/write.ts";
import { recoded } from "../formats/recode.ts";
import type { ByteSink, WriteOptions } from "../formats/sink.ts";
import { type HubSettings, openCheckpoint, type OpenedCheckpoint, type OpenProgress } from "../models/open-checkpoint.ts";
import { type FormatChooser, writeLlamaGguf } from "../models/llama-gguf.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";
import type { MetadataValue } from "../tensor/strings.ts";

/** Options of `quantize`. */
export interface QuantizeOptions extends WriteOptions {
  /**
   * The kind of file, as llama.cpp's llama-quantize names it: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q6_K, IQ4_NL, ...; of mixtures Q4_K_M
   * (or Q4_K), Q4_K_S, Q5_K_M, ... They are listed in formats/gguf/file-types.ts.
   */
  readonly format: string;
  /** Where the GGUF file goes: a path, written whole or not at all, or a sink. */
  readonly out: string | ByteSink;
  /**
   * Everything that may be has the one format. Default false: as llama-quantize does, the output head, and in mixtures some layers, get more bits.
   */
  readonly pure?: boolean;
  readonly hub?: HubSettings;
  /** Of the download of a model, and of nothing else. */
  readonly onOpen?: (progress: OpenProgress) => void;
}

export interface Quantized {
  /** Of the files that were read, and of the one that was written. */
  readonly before: { readonly bytes: number };
  readonly after: { readonly bytes: number };
  /** How many tensors are stored in each format. */
  readonly formats: Readonly<Record<string, number>>;
}

const names: readonly (keyof QuantizeOptions)[] = ["format", "out", "pure", "hub", "onOpen", "onProgress", "signal"];

/**
 * Writes a model (a GGUF file, a directory of a Llama in Hugging Face layout, `hf:owner/name[:file]`, or the files themselves, which are closed
 * then) as one GGUF file in another format. Vectors, norms, gates of experts and tables of positions stay as they are; a row that is not whole
 * blocks of the format gets the nearest whose blocks it is: Q4_K Q5_0, Q5_K Q5_1, Q6_K Q8_0, Q2_K and Q3_K Q4_0, IQ4_XS IQ4_NL, else F16.
 * Metadata and tokenizer stay byte for byte, but for `general.file_type`. A model that is in blocks already loses more than one in F16 would.
 *
 * Rejects with FRUGAL_BAD_ARGUMENT, FRUGAL_UNSUPPORTED (other families' directories), FRUGAL_NUMERIC naming the tensor, FRUGAL_NO_SPACE, as
 * opening a model does, or with the signal's reason.
 * ```ts
 * import { quantize } from "frugal";
 * const { before, after } = await quantize("model-f16.gguf", { format: "Q4_0", out: "model-q4_0.gguf" });
 * console.log(after.bytes / before.bytes);
 * ```
 */
export async function quantize(source: string | ModelFiles, options: QuantizeOptions): Promise<Quantized> {
  checkOptions("quantize", options, names);
  const type = typeNamed(options.format);
  await checkPlace(options.out);
  const opened = await openCheckpoint(source, { hub: options.hub, signal: options.signal, onProgress: options.onOpen });
  try {
    if (options.out === opened.path)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `quantize: ${opened.path} is the model itself; name another place`, {
        out: opened.path,
      });
    return await write(opened, typeof source === "string" ? opened.path : source, type, options);
  } finally {
    await opened.close();
  }
}

function typeNamed(format: unknown): FileType {
  const found = typeof format === "string" ? fileTypeOf(format) : undefined;
  if (found !== undefined) return found;
  const near = typeof format === "string" ? nearest(format, fileTypeNames) : undefined;
  const hint = near === undefined ? "" : `did you mean ${near}? `;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `quantize: format is ${JSON.stringify(format) ?? "missing"}; ${hint}it may be ${fileTypeNames.join(", ")}`,
    { option: "format", ...(near === undefined ? {} : { nearest: near }) },
  );
}

/** Says what is wrong with the place before anything is read. */
async function checkPlace(out: string | ByteSink): Promise<void> {
  const refuse = (problem: string): never => {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `quantize: out ${problem}`, { option: "out" });
  };
  if (typeof out === "object" && out !== null && typeof out.write === "function") return;
  if (typeof out !== "string" || out === "") return refuse(`is ${JSON.stringify(out) ?? "missing"}; give a path or a ByteSink`);
  if (!out.endsWith(".gguf")) refuse(`is ${out}, but a GGUF file is written; name one that ends in .gguf`);
  if ((await kindOf(out)) === "directory") refuse(`is ${out}, a directory; name a file`);
}

async function write(
  opened: OpenedCheckpoint,
  source: string | ModelFiles,
  type: FileType,
  { out, pure = false, signal, onProgress }: QuantizeOptions,
): Promise<Quantized> {
  const { checkpoint } = opened;
  const formats: Record<string, number> = {};
  const choose: FormatChooser = (tensors, metadata) => {
    const chosen = tensorFormats(type, tensors, metadata, pure);
    for (const { name } of chosen.values()) formats[name] = (formats[name] ?? 0) + 1;
    return chosen;
  };
  const sink = countedSink(out);
  const writing: WriteOptions = { ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }) };
  try {
    if (checkpoint.kind === "gguf") {
      const chosen = choose([...checkpoint.tensors.values()], checkpoint.metadata);
      const metadata = new Map<string, MetadataValue>([
        ...checkpoint.metadata,
        ["general.quantization_version", 2],
        [typeKey, type.number],
      ]);
      const types = new Map([...(checkpoint.types ?? []), ["general.quantization_version", "u32"] as const, [typeKey, "u32"] as const]);
      const tensors = [...checkpoint.tensors.values()].map((tensor) => recoded(tensor, chosen.get(tensor.name)!));
      await writeGguf(sink, { metadata, types, tensors }, writing);
    } else {
      const directory = await openDirectory(source, signal === undefined ? {} : { signal });
      const metadata = new Map([[typeKey, type.number]]);
      await writeLlamaGguf(directory, sink, { format: choose, metadata, ...writing }).finally(() => directory.close());
    }
  } catch (error) {
    await sink.drop();
    throw error;
  }
  const sources = new Set([...checkpoint.tensors.values()].map((tensor) => tensor.source));
  return { before: { bytes: [...sources].reduce((sum, { byteLength }) => sum + byteLength, 0) }, after: { bytes: sink.bytes() }, formats };
}

const typeKey = "general.file_type";

/** Counts what passes, and makes a file only when its first bytes come. `drop` aborts what has not ended. */
function countedSink(out: string | ByteSink): ByteSink & { bytes(): number; drop(): Promise<void> } {
  let target = typeof out === "string" ? undefined : out;
  let bytes = 0;
  let hasEnded = false;
  const end = async (how: "finish" | "abort"): Promise<void> => {
    hasEnded = true;
    await target?.[how]();
  };
  return {
    name: typeof out === "string" ? out : out.name,
    async write(chunk) {
      target ??= await createFile(out as string);
      await target.write(chunk);
      bytes += chunk.length;
    },
    finish: () => end("finish"),
    abort: () => end("abort"),
    drop: async () => (hasEnded ? undefined : end("abort")),
    bytes: () => bytes,
  };
}
