/** How much of the way forward is computed twice so that a training step fits into the memory that it may use. */
import type { Weights } from "../backends/backend.ts";
import type { Symbols } from "../graph/dim.ts";
import { evaluatePolynomial } from "../graph/polynomial.ts";
import { results, valuesOf } from "../graph/value.ts";
import { printBytes } from "../tensor/byte-size.ts";
import { FrugalError } from "../tensor/error.ts";
import { size } from "../tensor/shape.ts";
import { planValues } from "../transforms/plan-memory.ts";
import { type ProgramOptions, trainingPrograms } from "./programs.ts";
import type { Trainable } from "./trainable.ts";
import type { UpdateRule } from "./update-rule.ts";

const choices: readonly (number | undefined)[] = [undefined, 2, 3, 4, 6, 8, 12, 16, 24, 32];

/**
 * The fewest parts whose step fits into `memory` bytes, weights and optimizer included; undefined where nothing need be computed again.
 * The plan is that of one value a step, so a backend that joins steps needs less. Throws FRUGAL_OUT_OF_MEMORY where no choice fits.
 */
export function recomputeWithin(
  memory: number,
  model: Trainable,
  rule: UpdateRule,
  symbols: Symbols,
  options: ProgramOptions,
): number | undefined {
  let least = Infinity;
  for (const segments of choices) {
    const recompute = segments === undefined ? undefined : { segments, symbols };
    const { graphs, weights } = trainingPrograms(model, rule, { ...options, recompute });
    const graph = graphs.step;
    // Updates go into their weights: only what is an output lives to the end.
    const { arena } = planValues(valuesOf(graph), results({ outputs: graph.outputs }));
    const needed = 4 * evaluatePolynomial(arena, symbols) + weightBytes(weights, new Set(graph.updates!.keys()));
    if (needed <= memory) return segments;
    least = Math.min(least, needed);
  }
  throw new FrugalError(
    "FRUGAL_OUT_OF_MEMORY",
    `training: a step needs ${printBytes(least)} even with all it can computed twice, but may use ${printBytes(memory)}; ask for fewer rows, a shorter context, or bf16`,
    { needed: least, available: memory },
  );
}

/** Trained weights and states are f32, whatever they were stored as; gradients between runs are none of a whole step's. */
function weightBytes(weights: Weights, updated: ReadonlySet<string>): number {
  let bytes = 0;
  for (const [name, { shape, content }] of weights) {
    if (name.startsWith("gradient/")) continue;
    if (updated.has(name) || !("rows" in content)) bytes += 4 * size(shape);
    else for (const { tensor, count } of content.rows) bytes += (tensor.byteLength / Math.max(1, size(tensor.shape.slice(0, -1)))) * count;
  }
  return bytes;
}
