/** A model on named tensors, under the names that transformers gives them: for comparison with other implementations. */
import { pageSize } from "../ops/cache.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Shape } from "../tensor/shape.ts";
import { runEncoder } from "./embed.ts";
import type { ModelParts } from "./load-parts.ts";
import { pagesFor } from "./sequence.ts";

export interface NamedTensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Tokens of one row of `input_ids` that the mask keeps, and their places in it. */
interface Row {
  readonly ids: Int32Array;
  readonly segments: Int32Array;
  readonly columns: readonly number[];
}

const inputNames = ["input_ids", "attention_mask", "token_type_ids"];
/** Rows of logits in one run; loaded models must allow as many. */
export const forwardRows = 64;

/** The most tokens in a row of `input_ids`: the context to load with. */
export const forwardLength = (inputs: ReadonlyMap<string, NamedTensor>): number => inputIds(inputs).shape.at(-1)!;

/**
 * Takes `input_ids` [batch, length] or [length], and `attention_mask` (0: left out) and `token_type_ids` of the same shape.
 * A text model gives `logits` and `last_hidden_state`, an encoder `last_hidden_state` and, where it has one, `pooler_output`;
 * places that the mask leaves out are 0. Rejects with FRUGAL_BAD_ARGUMENT, FRUGAL_SHAPE.
 */
export async function forward(
  parts: ModelParts,
  inputs: ReadonlyMap<string, NamedTensor>,
  signal?: AbortSignal,
): Promise<Map<string, NamedTensor>> {
  const given = inputIds(inputs);
  for (const [name, { shape }] of inputs) {
    if (!inputNames.includes(name)) {
      const near = nearest(name, inputNames);
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `forward: there is no input ${JSON.stringify(name)}; ${near === undefined ? `there are ${inputNames.join(", ")}` : `did you mean ${near}?`}`,
        { name },
      );
    }
    if (shape.join() !== given.shape.join())
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `forward: ${name} has shape [${shape.join(", ")}], but input_ids has [${given.shape.join(", ")}]; give both the same`,
        { name },
      );
  }
  const length = given.shape.at(-1)!;
  const count = given.data.length / length;
  const rows = Array.from({ length: count }, (_, i) => rowOf(inputs, i, length));
  const collected = new Map<string, { readonly values: Float32Array; readonly width: number; readonly whole: boolean }>();
  /** Puts `data`, one piece a token of `row` from `from` on (or one piece for the whole row), where the outputs want it. */
  const collect = (name: string, index: number, from: number, data: Float32Array, pieces: number, whole: boolean): void => {
    const width = data.length / pieces;
    const found = collected.get(name) ?? { values: new Float32Array(count * (whole ? 1 : length) * width), width, whole };
    collected.set(name, found);
    for (let i = 0; i < pieces; i++) {
      const at = whole ? index : index * length + rows[index]!.columns[from + i]!;
      found.values.set(data.subarray(i * width, (i + 1) * width), at * width);
    }
  };
  if (parts.model.kind === "text")
    for (const [i, row] of rows.entries())
      await runText(parts, row, (name, from, data, pieces) => collect(name, i, from, data, pieces, false), signal);
  else {
    for await (const { outputs, first, rowOffsets } of runEncoder(
      parts,
      rows.map((row) => row.ids),
      rows.map((row) => row.segments),
      signal,
    ))
      for (const [key, name] of encoderOutputs) {
        const values = outputs[key] as Float32Array | undefined;
        if (values === undefined) continue;
        const whole = key !== "lastHiddenState";
        const width = values.length / (whole ? rowOffsets.length - 1 : rowOffsets.at(-1)!);
        for (let i = 0; i < rowOffsets.length - 1; i++) {
          const [from, to] = whole ? [i, i + 1] : [rowOffsets[i]!, rowOffsets[i + 1]!];
          collect(name, first + i, 0, values.subarray(from * width, to * width), to - from, whole);
        }
      }
  }
  const batch = given.shape.slice(0, -1);
  return new Map(
    [...collected].map(([name, { values, width, whole }]) => [
      name,
      { shape: whole ? [...batch, width] : [...given.shape, width], data: values },
    ]),
  );
}

const encoderOutputs = [
  ["lastHiddenState", "last_hidden_state"],
  ["poolerOutput", "pooler_output"],
  ["logits", "logits"],
] as const;

/** One sequence through the program with a cache, so many rows at a time. */
async function runText(
  { loaded, model, context }: ModelParts,
  { ids }: Row,
  collect: (name: string, from: number, data: Float32Array, pieces: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const wrong = ids.find((id) => id < 0 || id >= model.vocabularySize);
  if (wrong !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `input_ids: ${wrong} is not a token; ids go from 0 to ${model.vocabularySize - 1}`, {
      id: wrong,
    });
  if (ids.length > context)
    throw new FrugalError("FRUGAL_CONTEXT_FULL", `input_ids: ${ids.length} tokens, but the context holds ${context}`, {
      tokens: ids.length,
      context,
    });
  const pages = pagesFor(ids.length, pageSize);
  for (let from = 0; from < ids.length; from += forwardRows) {
    const to = Math.min(from + forwardRows, ids.length);
    const outputs = await loaded.run({
      program: "generate",
      symbols: { T: to - from, S: 1, C: pages, R: to - from },
      inputs: {
        tokens: ids.slice(from, to),
        positions: Int32Array.from({ length: to - from }, (_, i) => from + i),
        rowOffsets: Int32Array.of(0, to - from),
        contextLengths: Int32Array.of(to),
        pageTable: Int32Array.from({ length: pages }, (_, i) => i),
        outputRows: Int32Array.from({ length: to - from }, (_, i) => i),
      },
      ...(signal === undefined ? {} : { signal }),
    });
    collect("logits", from, outputs["logits"] as Float32Array, to - from);
    collect("last_hidden_state", from, outputs["hidden"] as Float32Array, to - from);
  }
}

function inputIds(inputs: ReadonlyMap<string, NamedTensor>): NamedTensor {
  const ids = inputs.get("input_ids");
  if (ids === undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `forward: input_ids is missing; the file holds ${[...inputs.keys()].join(", ") || "nothing"}`,
    );
  if ((ids.shape.length === 1 || ids.shape.length === 2) && ids.data.length > 0) return ids;
  throw new FrugalError("FRUGAL_SHAPE", `forward: input_ids has shape [${ids.shape.join(", ")}]; give [length] or [batch, length]`);
}

function rowOf(inputs: ReadonlyMap<string, NamedTensor>, index: number, length: number): Row {
  const at = (name: string, column: number, absent: number): number => inputs.get(name)?.data[index * length + column] ?? absent;
  const columns = Array.from({ length }, (_, column) => column).filter((column) => at("attention_mask", column, 1) !== 0);
  if (columns.length === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `forward: attention_mask leaves nothing of row ${index}; leave the row out`);
  return {
    ids: Int32Array.from(columns, (column) => at("input_ids", column, 0)),
    segments: Int32Array.from(columns, (column) => at("token_type_ids", column, 0)),
    columns,
  };
}
