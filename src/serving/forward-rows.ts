/** What is given to `forward`, checked, as rows: the tokens of each that the mask keeps, and their places in it. */
import type { Model } from "../models/family.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Shape } from "../tensor/shape.ts";
import { positionsIn } from "./embed.ts";

export interface NamedTensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export interface ForwardRow {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
  /** Where each of them stands in the row that was given. */
  readonly columns: readonly number[];
}

export interface ForwardRows {
  readonly rows: readonly ForwardRow[];
  /** Columns of each row that was given. */
  readonly length: number;
  /** The shape of `input_ids` but for the columns. */
  readonly batch: Shape;
}

const inputNames: readonly string[] = ["input_ids", "attention_mask", "token_type_ids", "position_ids"];

/** Tokens in a row of `input_ids`: the context to load with. */
export const forwardLength = (inputs: ReadonlyMap<string, NamedTensor>): number => inputIds(inputs).shape.at(-1)!;

/** Whether each row is its first so many columns, with positions from 0 on: what a cache can hold. */
export function isPlain(inputs: ReadonlyMap<string, NamedTensor>): boolean {
  const length = forwardLength(inputs);
  const mask = inputs.get("attention_mask")?.data;
  return !inputs.has("position_ids") && (mask?.every((kept, i) => kept === 0 || i % length === 0 || mask[i - 1] !== 0) ?? true);
}

/** Throws FRUGAL_BAD_ARGUMENT, FRUGAL_SHAPE, FRUGAL_UNSUPPORTED. */
export function forwardRows(inputs: ReadonlyMap<string, NamedTensor>, model: Model): ForwardRows {
  const given = inputIds(inputs);
  for (const [name, tensor] of inputs) check(name, tensor, given.shape);
  const length = given.shape.at(-1)!;
  const rows = Array.from({ length: given.data.length / length }, (_, row) => {
    const of = (name: string): Int32Array | undefined => {
      const data = inputs.get(name)?.data.subarray(row * length, (row + 1) * length);
      return data && Int32Array.from(data);
    };
    const ids = of("input_ids")!;
    const mask = of("attention_mask");
    const kept = Array.from(ids, (_id, column) => mask?.[column] !== 0);
    const columns = kept.flatMap((is, column) => (is ? [column] : []));
    if (columns.length === 0)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `forward: attention_mask leaves nothing of row ${row}; leave the row out`, { row });
    const positions = of("position_ids") ?? positionsIn(model, ids, kept);
    const segments = of("token_type_ids");
    const pick = (all: Int32Array | undefined): Int32Array => Int32Array.from(columns, (column) => all?.[column] ?? 0);
    return { ids: pick(ids), positions: pick(positions), segments: pick(segments), columns };
  });
  return { rows, length, batch: given.shape.slice(0, -1) };
}

function inputIds(inputs: ReadonlyMap<string, NamedTensor>): NamedTensor {
  const ids = inputs.get("input_ids");
  if (ids === undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `forward: input_ids is missing; there is ${[...inputs.keys()].join(", ").slice(0, 200) || "nothing"}`,
    );
  if ((ids.shape.length === 1 || ids.shape.length === 2) && ids.data.length > 0) return ids;
  throw new FrugalError("FRUGAL_SHAPE", `forward: input_ids has shape [${ids.shape.join(", ")}]; give [length] or [batch, length]`);
}

function check(name: string, { shape, data }: NamedTensor, wanted: Shape): void {
  if (!inputNames.includes(name)) {
    const near = nearest(name, inputNames);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `forward: there is no input ${JSON.stringify(name.slice(0, 60))}; ${near === undefined ? `there are ${inputNames.join(", ")}` : `did you mean ${near}?`}`,
      { name },
    );
  }
  if (shape.join() !== wanted.join())
    throw new FrugalError(
      "FRUGAL_SHAPE",
      `forward: ${name} has shape [${shape.join(", ")}], but input_ids has [${wanted.join(", ")}]; give both the same`,
      { name },
    );
  const wrong = data.findIndex((value) => !(Number.isInteger(value) && value >= 0 && value < 2 ** 31));
  if (wrong >= 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `forward: ${name} is ${data[wrong]} at element ${wrong}; give whole numbers from 0 on`, {
      name,
      element: wrong,
    });
}
