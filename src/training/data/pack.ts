/** Examples side by side, as the arrays that a step's program reads. */
import type { PositionRule } from "../../models/family.ts";
import type { Batch } from "../batch.ts";
import { type Example, scoredCount } from "./example.ts";

export interface PackOptions {
  /** Rows in front of each sequence that no text fills: input `virtual` numbers them, and positions of the text count on from there. */
  readonly virtualTokens?: number | undefined;
  /** Of a model that counts positions otherwise than from 0 on. */
  readonly positionsOf?: PositionRule | undefined;
  /** Also gives input `scoredOffsets` [S+1] (i32): where the results of each sequence begin, for losses of whole sequences. */
  readonly marksSequences?: boolean | undefined;
}

/** Rows that an example takes. */
export const rowsOf = (example: Example, virtualTokens = 0): number => example.ids.length + virtualTokens;

/** Every scored row gets the same weight. No padding: rows of an example follow those of the one before. */
export function packBatch(
  examples: readonly Example[],
  lossWeight: number,
  { virtualTokens = 0, positionsOf, marksSequences = false }: PackOptions = {},
): Batch {
  const rows = examples.reduce((sum, example) => sum + rowsOf(example, virtualTokens), 0);
  const results = examples.reduce((sum, example) => sum + scoredCount(example, virtualTokens), 0);
  const tokens = new Int32Array(rows);
  const positions = new Int32Array(rows);
  const virtual = new Int32Array(rows).fill(-1);
  const rowOffsets = new Int32Array(examples.length + 1);
  const scoredOffsets = new Int32Array(examples.length + 1);
  const outputRows = new Int32Array(results);
  const targets = new Int32Array(results);
  let [row, result] = [0, 0];
  for (const [sequence, { ids, scored }] of examples.entries()) {
    for (let v = 0; v < virtualTokens; v++, row++) virtual[row] = positions[row] = v;
    const text = positionsOf?.(
      ids,
      Array.from(ids, () => true),
    );
    for (let i = 0; i < ids.length; i++, row++) {
      tokens[row] = ids[i]!;
      positions[row] = virtualTokens + (text?.[i] ?? i);
      // The row before predicts it, where there is one.
      if (scored[i] === 0 || virtualTokens + i === 0) continue;
      outputRows[result] = row - 1;
      targets[result++] = ids[i]!;
    }
    rowOffsets[sequence + 1] = row;
    scoredOffsets[sequence + 1] = result;
  }
  return {
    inputs: {
      tokens,
      positions,
      rowOffsets,
      outputRows,
      targets,
      lossWeights: new Float32Array(results).fill(lossWeight),
      ...(virtualTokens > 0 ? { virtual } : {}),
      ...(marksSequences ? { scoredOffsets } : {}),
    },
    symbols: { T: rows, S: examples.length, C: 0, R: results },
    examples: examples.map(({ name }) => name),
  };
}
