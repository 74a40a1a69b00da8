/** A planned step as the flat arrays that the program `generate` takes. */
import type { Call } from "../backends/backend.ts";
import { noPage, type PageTable } from "./page-tables.ts";
import type { Demand, Part } from "./scheduler.ts";
import { tokenAt } from "./sequence.ts";

/** What a step asks for may have an adapter. */
export interface AdaptedDemand extends Demand {
  readonly adapter?: number | undefined;
}

export interface StepInputs {
  readonly program: string;
  readonly symbols: Call["symbols"];
  readonly inputs: Readonly<Record<string, Int32Array>>;
  /** Which token of which part each row of logits follows. A step that reads nothing still asks for one row; it is not listed here. */
  readonly reads: readonly { readonly part: number; readonly position: number }[];
}

/** The sequences must already have the pages that the parts need, and parts of one adapter must follow each other. */
export function stepInputs(parts: readonly Part<AdaptedDemand>[], tables: readonly PageTable[]): StepInputs {
  const rows = parts.reduce((sum, part) => sum + part.count, 0);
  const width = Math.max(...parts.map(({ demand }) => Math.max(...demand.sequence.pages.map((pages) => pages.length))));
  const tokens = new Int32Array(rows);
  const positions = new Int32Array(rows);
  const rowOffsets = new Int32Array(parts.length + 1);
  const contextLengths = new Int32Array(parts.length);
  const adapters = new Int32Array(rows);
  const pageTables = tables.map(() => new Int32Array(parts.length * width));
  const outputRows: number[] = [];
  const reads: { part: number; position: number }[] = [];
  let row = 0;
  parts.forEach(({ demand: { sequence, adapter = -1 }, first, count, readFrom }, part) => {
    adapters.fill(adapter, row, row + count);
    for (let position = first; position < first + count; position++, row++) {
      tokens[row] = tokenAt(sequence, position);
      positions[row] = position;
      if (position < readFrom) continue;
      outputRows.push(row);
      reads.push({ part, position });
    }
    rowOffsets[part + 1] = row;
    contextLengths[part] = first + count;
    // What a window has passed is never read.
    sequence.pages.forEach((pages, t) => pages.forEach((page, i) => (pageTables[t]![part * width + i] = page === noPage ? 0 : page)));
  });
  if (outputRows.length === 0) outputRows.push(rows - 1);
  const isAdapted = parts.some(({ demand }) => (demand.adapter ?? -1) >= 0);
  return {
    program: isAdapted ? "generateAdapted" : "generate",
    symbols: { T: rows, S: parts.length, C: width, R: outputRows.length },
    inputs: {
      tokens,
      positions,
      rowOffsets,
      contextLengths,
      outputRows: Int32Array.from(outputRows),
      ...(isAdapted ? { adapters } : {}),
      ...Object.fromEntries(tables.map(({ name }, t) => [name, pageTables[t]!])),
    },
    reads,
  };
}
