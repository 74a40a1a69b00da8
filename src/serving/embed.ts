/** Texts to vectors with an encoder: many short texts share a run. */
import type { Outputs } from "../backends/backend.ts";
import type { Model } from "../models/family.ts";
import { FrugalError } from "../tensor/error.ts";
import type { ModelParts } from "./load-parts.ts";

/** Options of `embed`. */
export interface EmbedOptions {
  /** Divide each vector by its length, also where the model itself does not. Default false. */
  readonly normalize?: boolean;
  /** Cut texts longer than the context, keeping their last token. Default false: they are refused. */
  readonly truncate?: boolean;
  readonly signal?: AbortSignal;
}

/** Rows of one run: the outputs of the program, and where each text's rows begin. */
export interface EncoderRun {
  readonly outputs: Outputs;
  /** The first text, and the rows of all texts in the run. */
  readonly first: number;
  readonly rowOffsets: Int32Array;
}

/** A text as an encoder reads it: one number a token in each array. */
export interface EncoderText {
  readonly ids: Int32Array;
  /** Absent: as the model counts them in a text without padding. */
  readonly positions?: Int32Array;
  /** Absent: 0. */
  readonly segments?: Int32Array;
}

/** Runs texts in order, as many at once as fit. Rejects with FRUGAL_CONTEXT_FULL, FRUGAL_BAD_ARGUMENT. */
export async function* runEncoder(parts: ModelParts, texts: readonly EncoderText[], signal?: AbortSignal): AsyncGenerator<EncoderRun> {
  texts.forEach(({ ids }) => checkIds("encoder", ids, parts));
  for (let first = 0; first < texts.length;) {
    const rowOffsets = [0];
    while (first + rowOffsets.length - 1 < texts.length && rowOffsets.length <= Math.min(parts.sequences, parts.rows)) {
      const end = rowOffsets.at(-1)! + texts[first + rowOffsets.length - 1]!.ids.length;
      if (end > parts.rows) break;
      rowOffsets.push(end);
    }
    const count = rowOffsets.length - 1;
    const rows = rowOffsets.at(-1)!;
    const join = (arrayOf: (text: EncoderText) => Int32Array | undefined): Int32Array => {
      const joined = new Int32Array(rows);
      for (let i = 0; i < count; i++) joined.set(arrayOf(texts[first + i]!) ?? [], rowOffsets[i]);
      return joined;
    };
    const outputs = await parts.loaded.run({
      program: "embed",
      symbols: { T: rows, S: count, C: 0, R: 0 },
      inputs: {
        tokens: join(({ ids }) => ids),
        positions: join(({ ids, positions }) => positions ?? positionsIn(parts.model, ids)),
        segments: join(({ segments }) => segments),
        rowOffsets: Int32Array.from(rowOffsets),
      },
      ...(signal === undefined ? {} : { signal }),
    });
    yield { outputs, first, rowOffsets: Int32Array.from(rowOffsets) };
    first += count;
  }
}

/** Positions of a row's tokens; without `kept`, all are kept. */
export const positionsIn = ({ positionsOf }: Model, ids: Int32Array, kept: readonly boolean[] = Array.from(ids, () => true)): Int32Array =>
  positionsOf?.(ids, kept) ?? ids.map((_, column) => column);

/** A text, or its token ids with the special ones around it. */
export type EmbedInput = string | readonly number[] | Int32Array;

/** One vector a text, of `model.embeddingSize` numbers. */
export async function embedTexts(parts: ModelParts, texts: readonly EmbedInput[], options: EmbedOptions): Promise<Float32Array[]> {
  const { model, opened } = parts;
  if (model.kind !== "encoder")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `embed: ${opened.name} writes text and has no embeddings; take an encoder such as all-MiniLM-L6-v2`,
      { kind: model.kind },
    );
  const tokenizer = texts.some((text) => typeof text === "string") ? await opened.tokenizer() : undefined;
  const encoded = texts.map((text) => ({
    ids: fit(typeof text === "string" ? tokenizer!.encode(text) : wholeIds(text), parts, options.truncate === true),
  }));
  const vectors: Float32Array[] = [];
  for await (const { outputs, rowOffsets } of runEncoder(parts, encoded, options.signal)) {
    const all = outputs["embeddings"] as Float32Array;
    for (let i = 0; i < rowOffsets.length - 1; i++) vectors.push(all.slice(i * model.embeddingSize, (i + 1) * model.embeddingSize));
  }
  if (options.normalize === true) vectors.forEach(normalize);
  return vectors;
}

/** Int32Array would make other numbers of what is none, or has a fraction. */
function wholeIds(ids: readonly number[] | Int32Array): Int32Array {
  const wrong = [...ids].find((id) => !Number.isInteger(id) || id < 0 || id > 0x7fffffff);
  if (wrong === undefined) return Int32Array.from(ids);
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `encoder: ${String(wrong)} is not a token id; give whole numbers from 0`);
}

function fit(ids: Int32Array, { context }: ModelParts, truncate: boolean): Int32Array {
  if (!truncate || ids.length <= context) return ids;
  const cut = ids.slice(0, context);
  cut[context - 1] = ids.at(-1)!;
  return cut;
}

function normalize(vector: Float32Array): void {
  const length = Math.hypot(...vector);
  if (length > 0) vector.forEach((x, i) => (vector[i] = x / length));
}

/** Throws FRUGAL_BAD_ARGUMENT, FRUGAL_CONTEXT_FULL for a text that can't be run. */
export function checkIds(what: string, ids: Int32Array, { context, model: { vocabularySize } }: ModelParts): void {
  if (ids.length === 0) throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${what}: a text has no tokens; leave empty texts out`);
  if (ids.length > context)
    throw new FrugalError(
      "FRUGAL_CONTEXT_FULL",
      `${what}: a text has ${ids.length} tokens, but the context holds ${context}; split it, or have it cut with truncate`,
      { tokens: ids.length, context },
    );
  const wrong = ids.find((id) => !(id >= 0 && id < vocabularySize));
  if (wrong !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${what}: ${wrong} is not a token; ids go from 0 to ${vocabularySize - 1}`, {
      id: wrong,
      vocabularySize,
    });
}
