/** Texts to vectors with an encoder: many short texts share a run. */
import type { Outputs } from "../backends/backend.ts";
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

/** Runs texts given as ids (and segments, 0 where absent), in order, as many at once as fit. Rejects with FRUGAL_CONTEXT_FULL, FRUGAL_BAD_ARGUMENT. */
export async function* runEncoder(
  parts: ModelParts,
  texts: readonly Int32Array[],
  segments?: readonly Int32Array[],
  signal?: AbortSignal,
): AsyncGenerator<EncoderRun> {
  texts.forEach((ids) => checkText(ids, parts));
  for (let first = 0; first < texts.length;) {
    const rowOffsets = [0];
    while (first + rowOffsets.length - 1 < texts.length && rowOffsets.length <= Math.min(parts.sequences, parts.rows)) {
      const end = rowOffsets.at(-1)! + texts[first + rowOffsets.length - 1]!.length;
      if (end > parts.rows) break;
      rowOffsets.push(end);
    }
    const count = rowOffsets.length - 1;
    const rows = rowOffsets.at(-1)!;
    const join = (arrays: readonly Int32Array[]): Int32Array => {
      const joined = new Int32Array(rows);
      arrays.forEach((array, i) => joined.set(array, rowOffsets[i]));
      return joined;
    };
    const own = texts.slice(first, first + count);
    const outputs = await parts.loaded.run({
      program: "embed",
      symbols: { T: rows, S: count, C: 0, R: 0 },
      inputs: {
        tokens: join(own),
        positions: join(own.map((ids) => Int32Array.from(ids, (_, i) => i))),
        segments: segments === undefined ? new Int32Array(rows) : join(segments.slice(first, first + count)),
        rowOffsets: Int32Array.from(rowOffsets),
      },
      ...(signal === undefined ? {} : { signal }),
    });
    yield { outputs, first, rowOffsets: Int32Array.from(rowOffsets) };
    first += count;
  }
}

/** One vector a text, of `model.embeddingSize` numbers. */
export async function embedTexts(parts: ModelParts, texts: readonly string[], options: EmbedOptions): Promise<Float32Array[]> {
  const { model, opened } = parts;
  if (model.kind !== "encoder")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `embed: ${opened.name} writes text and has no embeddings; take an encoder such as all-MiniLM-L6-v2`,
      { kind: model.kind },
    );
  const tokenizer = await opened.tokenizer();
  const ids = texts.map((text) => fit(tokenizer.encode(text), parts, options.truncate === true));
  const vectors: Float32Array[] = [];
  for await (const { outputs, rowOffsets } of runEncoder(parts, ids, undefined, options.signal)) {
    const all = outputs["embeddings"] as Float32Array;
    for (let i = 0; i < rowOffsets.length - 1; i++) vectors.push(all.slice(i * model.embeddingSize, (i + 1) * model.embeddingSize));
  }
  if (options.normalize === true) vectors.forEach(normalize);
  return vectors;
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

function checkText(ids: Int32Array, { context, model: { vocabularySize } }: ModelParts): void {
  if (ids.length === 0) throw new FrugalError("FRUGAL_BAD_ARGUMENT", "embed: a text has no tokens; leave empty texts out");
  if (ids.length > context)
    throw new FrugalError(
      "FRUGAL_CONTEXT_FULL",
      `embed: a text has ${ids.length} tokens, but the context holds ${context}; split it, or set truncate`,
      {
        tokens: ids.length,
        context,
      },
    );
  const wrong = ids.find((id) => !(id >= 0 && id < vocabularySize));
  if (wrong !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `ids: ${wrong} is not a token; ids go from 0 to ${vocabularySize - 1}`, {
      id: wrong,
      vocabularySize,
    });
}
