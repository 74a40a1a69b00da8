/**
 * Rows in front of each sequence that no text fills. Input `virtual` [T] (i32) holds the number of a virtual row, or -1 for a row of text;
 * `tokens` holds any id there, and positions count on: text begins at position P after P virtual rows.
 */
import { symbol } from "../../graph/dim.ts";
import { type Graph, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { number } from "../../ops/spread.ts";
import { FrugalError } from "../../tensor/error.ts";
import { wholeNumber } from "../../tensor/options.ts";

/** More than any model reads. */
const mostVirtualTokens = 4096;

export interface VirtualRows {
  readonly count: number;
  /** [T, 1]: 1 for virtual rows, else 0. */
  readonly isVirtual: Value;
  readonly isText: Value;
  /** [T]: numbers of virtual rows, 0 for text. */
  readonly numbers: Value;
}

export function virtualRows(b: Builder, graph: Graph, count: number, technique: string): VirtualRows {
  if (valuesOf(graph).some((value) => value.op === "input" && sourceName(value) === "virtual"))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${technique}: another technique has put virtual rows in front of the text already; use one of prompt, prefix and P-tuning`,
    );
  const rows = b.input("virtual", { shape: [symbol("T")], type: "i32" });
  const isText = b.less(b.reshape(b.toFloat(rows), { shape: [symbol("T"), 1] }), number(b, 0, 2));
  return {
    count,
    isText,
    isVirtual: b.scale(isText, { by: -1, plus: 1 }),
    // Of a row without a 1 the first place is the largest.
    numbers: b.argmax(b.oneHot(rows, { count })),
  };
}

/** x [T, C], its virtual rows replaced by those of the table [P, C]. Exact: the other rows are multiplied by 1, and 0 is added. */
export function putRows(b: Builder, x: Value, table: Value, { isText, isVirtual, numbers }: VirtualRows): Value {
  return b.add(b.mul(x, isText), b.mul(b.gather(table, numbers), isVirtual));
}

export function checkVirtualTokens(technique: string, count: unknown): void {
  if (count === undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: virtualTokens is missing; say how many rows are learned, such as 20`, {
      option: "virtualTokens",
    });
  wholeNumber(technique, "virtualTokens", count, 1, mostVirtualTokens);
}
