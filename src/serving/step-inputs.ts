/** A planned step as the flat arrays that the program `generate` takes. */
import type { Call } from "../backends/backend.ts";
import type { Part } from "./scheduler.ts";

export interface StepInputs {
  readonly symbols: Call["symbols"];
  readonly inputs: Readonly<Record<"tokens" | "positions" | "rowOffsets" | "contextLengths" | "pageTable" | "outputRows", Int32Array>>;
  /** Which token of which part each row of logits follows. A step that reads nothing still asks for one row; it is not listed here. */
  readonly reads: readonly { readonly part: number; readonly position: number }[];
}

/** The sequences must already have the pages that the parts need. */
export function stepInputs(parts: readonly Part[]): StepInputs {
  const rows = parts.reduce((sum, part) => sum + part.count, 0);
  const width = Math.max(...parts.map((part) => part.demand.sequence.pages.length));
  const tokens = new Int32Array(rows);
  const positions = new Int32Array(rows);
  const rowOffsets = new Int32Array(parts.length + 1);
  const contextLengths = new Int32Array(parts.length);
  const pageTable = new Int32Array(parts.length * width);
  const outputRows: number[] = [];
  const reads: { part: number; position: number }[] = [];
  let row = 0;
  parts.forEach(({ demand: { sequence }, first, count, readFrom }, part) => {
    for (let position = first; position < first + count; position++, row++) {
      tokens[row] = sequence.tokens[position]!;
      positions[row] = position;
      if (position < readFrom) continue;
      outputRows.push(row);
      reads.push({ part, position });
    }
    rowOffsets[part + 1] = row;
    contextLengths[part] = first + count;
    pageTable.set(sequence.pages, part * width);
  });
  if (outputRows.length === 0) outputRows.push(rows - 1);
  return {
    symbols: { T: rows, S: parts.length, C: width, R: outputRows.length },
    inputs: { tokens, positions, rowOffsets, contextLengths, pageTable, outputRows: Int32Array.from(outputRows) },
    reads,
  };
}
