/** A model on named tensors, under the names that transformers gives them: for comparison with other implementations. */
import { inOrder, sourceName } from "../graph/value.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkIds, runEncoder } from "./embed.ts";
import { type ForwardRow, forwardLength, forwardRows, isPlain, type NamedTensor } from "./forward-rows.ts";
import type { LoadOptions, ModelParts, StepLimits } from "./load-parts.ts";
import { pagesFor } from "./page-tables.ts";

/** Rows of logits in one run, where a text is run in pieces. */
const rowsAtOnce = 64;

/** What a model must be loaded with for these inputs. */
export function forwardLoading(inputs: ReadonlyMap<string, NamedTensor>): LoadOptions & StepLimits {
  const length = forwardLength(inputs);
  const loading = { context: length, sequences: 1, wantsTokenizer: false, cache: "F32" } as const;
  // A cache holds no text that begins elsewhere than at position 0, or has gaps.
  return isPlain(inputs) ? { ...loading, outputRows: rowsAtOnce } : { ...loading, program: "score", rows: length, outputRows: length };
}

/**
 * Takes `input_ids` [batch, length] or [length], and of the same shape `attention_mask` (0: left out), `token_type_ids`, `position_ids`.
 * A text model gives `logits` and `last_hidden_state`, an encoder `last_hidden_state` and, where it has them, `pooler_output` and the
 * `logits` of its classifier; places that the mask leaves out are 0. The model is loaded as `forwardLoading` says.
 * Rejects with FRUGAL_BAD_ARGUMENT, FRUGAL_SHAPE, FRUGAL_UNSUPPORTED.
 */
export async function forward(
  parts: ModelParts,
  inputs: ReadonlyMap<string, NamedTensor>,
  signal?: AbortSignal,
): Promise<Map<string, NamedTensor>> {
  const { rows, length, batch } = forwardRows(inputs, parts.model);
  checkUsed(parts, inputs, rows);
  const collected = new Map<string, { readonly values: Float32Array; readonly width: number; readonly whole: boolean }>();
  /** Puts `data`, one piece a token of `row` from `from` on (or one piece for the whole row), where the outputs want it. */
  const collect = (name: string, index: number, from: number, data: Float32Array, pieces: number, whole: boolean): void => {
    const width = data.length / pieces;
    const found = collected.get(name) ?? { values: new Float32Array(rows.length * (whole ? 1 : length) * width), width, whole };
    collected.set(name, found);
    for (let i = 0; i < pieces; i++) {
      const at = whole ? index : index * length + rows[index]!.columns[from + i]!;
      found.values.set(data.subarray(i * width, (i + 1) * width), at * width);
    }
  };
  if (parts.model.kind === "text")
    for (const [i, row] of rows.entries())
      await runText(parts, row, (name, from, data, pieces) => collect(name, i, from, data, pieces, false), signal);
  else
    for await (const { outputs, first, rowOffsets } of runEncoder(parts, rows, signal))
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
  return new Map(
    [...collected].map(([name, { values, width, whole }]) => [
      name,
      { shape: whole ? [...batch, width] : [...batch, length, width], data: values },
    ]),
  );
}

const encoderOutputs = [
  ["lastHiddenState", "last_hidden_state"],
  ["poolerOutput", "pooler_output"],
  ["logits", "logits"],
] as const;

/** Refuses what the model has no use for, and what it would answer differently. */
function checkUsed({ model, opened, graph }: ModelParts, inputs: ReadonlyMap<string, NamedTensor>, rows: readonly ForwardRow[]): void {
  const values = inOrder(graph.outputs.values());
  const takes = (name: string): boolean => values.some((value) => value.op === "input" && sourceName(value) === name);
  const refuse = (input: string, problem: string): never => {
    throw new FrugalError("FRUGAL_UNSUPPORTED", `forward: ${input}: ${opened.name} ${problem}`, { input });
  };
  if (!takes("segments") && rows.some(({ segments }) => segments.some((segment) => segment !== 0)))
    refuse("token_type_ids", "has no token types; leave them out");
  if (inputs.has("position_ids")) {
    if (!takes("positions")) refuse("position_ids", "has no positions to be told; leave them out");
    // transformers takes such a row for several texts side by side.
    if (
      model.kind === "text" &&
      !rows.every(({ positions, columns }) => positions.every((p, i) => p - positions[0]! === columns[i]! - columns[0]!))
    )
      refuse("position_ids", "reads one text a row, whose positions count on by 1; give each text a row");
  }
  const window = Math.min(...values.flatMap(({ attributes: { window: size } }) => (typeof size === "number" ? [size] : [])));
  const span = ({ columns }: ForwardRow): number => columns.at(-1)! - columns[0]! + 1;
  if (rows.some((row) => span(row) > row.columns.length && span(row) > window))
    refuse("attention_mask", `sees ${window} tokens back, which gaps in the mask would shift; mask only the ends of a row`);
}

type Collect = (name: string, from: number, data: Float32Array, pieces: number) => void;

async function runText(parts: ModelParts, row: ForwardRow, collect: Collect, signal: AbortSignal | undefined): Promise<void> {
  const { ids } = row;
  checkIds("input_ids", ids, parts);
  const step = parts.program === "score" ? ids.length : rowsAtOnce;
  for (let from = 0; from < ids.length; from += step) {
    const to = Math.min(from + step, ids.length);
    const pages = pagesFor(ids.length);
    const outputs = await parts.loaded.run({
      program: parts.program,
      symbols: { T: to - from, S: 1, C: parts.program === "score" ? 0 : pages, R: to - from },
      inputs: {
        tokens: ids.slice(from, to),
        positions: row.positions.slice(from, to),
        rowOffsets: Int32Array.of(0, to - from),
        contextLengths: Int32Array.of(to),
        ...Object.fromEntries(
          parts.tables.map(({ name, pages: its }) => [name, Int32Array.from({ length: pages }, (_, i) => i % its.total)]),
        ),
        outputRows: Int32Array.from({ length: to - from }, (_, i) => i),
      },
      ...(signal === undefined ? {} : { signal }),
    });
    collect("logits", from, outputs["logits"] as Float32Array, to - from);
    collect("last_hidden_state", from, outputs["hidden"] as Float32Array, to - from);
  }
}
