/**
 * Rows of logits to the readers that asked for them. Of proposed tokens those count that the reader chose too: this one rule makes speculation
 * exact, for drawn tokens as well, because random numbers are keyed by (seed, position).
 */
import type { Outputs } from "../backends/backend.ts";
import type { Running } from "./request.ts";
import type { Part } from "./scheduler.ts";
import { missing } from "./sequence.ts";
import type { StepInputs } from "./step-inputs.ts";

export interface Judged {
  readonly generated: number;
  readonly proposed: number;
  readonly accepted: number;
}

/** The logits of a row, and the lowest id with the largest of them. */
type Row = (row: number) => readonly [logits: Float32Array, likeliest: number];

/** Of what a program gave. */
export function rowsOf(outputs: Outputs, vocabularySize: number): Row {
  const [logits, likeliest] = [outputs["logits"] as Float32Array, outputs["likeliest"] as Int32Array];
  return (row) => [logits.subarray(row * vocabularySize, (row + 1) * vocabularySize), likeliest[row]!];
}

/** `end` is called for those that are done, or whose reader failed; strategies hear of what they proposed. The sequences' counters are right again afterwards. */
export function judge(
  parts: readonly Part<Running>[],
  reads: StepInputs["reads"],
  logitsOf: Row,
  end: (request: Running, error?: unknown) => void,
  isStrategys = true,
): Judged {
  const total = { generated: 0, proposed: 0, accepted: 0 };
  let row = 0;
  parts.forEach(({ demand: request, count }, part) => {
    const { sequence } = request;
    const proposed = Math.min(sequence.drafts.length, Math.max(0, count - 1));
    let accepted = 0;
    let isOver = false;
    for (; row < reads.length && reads[row]!.part === part; row++) {
      if (request.ended || isOver) continue;
      const { position } = reads[row]!;
      const known = sequence.tokens.length;
      try {
        const verdict = request.read(position, ...logitsOf(row));
        if (position < known - 1) continue;
        const isNew = sequence.tokens.length > known;
        total.generated += Number(isNew);
        if (verdict === "done") end(request);
        if (isNew && sequence.drafts.length > 0 && sequence.tokens.at(-1) === sequence.drafts[0]) {
          accepted++;
          sequence.drafts.shift();
        } else isOver = true;
      } catch (error) {
        end(request, error);
      }
    }
    if (proposed > 0) {
      // The row after the last one proposed in this step may choose what was proposed beyond it.
      accepted = Math.min(accepted, proposed);
      total.proposed += proposed;
      total.accepted += accepted;
      if (isStrategys) request.strategy?.judged(proposed, accepted);
    }
    // What was computed of tokens that did not come is written over.
    if (isOver || request.ended) sequence.drafts.length = 0;
    if (missing(sequence) < 1) sequence.computed = sequence.tokens.length - 1;
  });
  return total;
}
