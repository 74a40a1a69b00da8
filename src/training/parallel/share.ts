/** Which part of a step's examples each rank takes: whole sequences, near-equal in rows, and nothing computed twice. */
import type { Inputs } from "../../backends/backend.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Batch } from "../batch.ts";

const perRow = ["tokens", "positions", "virtual"];
const perResult = ["outputRows", "targets", "lossWeights"];

/**
 * The batches of one rank. Loss weights stay as they are, so the ranks' losses and gradients add up to those of the step: no division
 * follows. A rank may get nothing where there are fewer sequences than ranks.
 * Throws FRUGAL_UNSUPPORTED for inputs whose sequences belong together.
 */
export function shareOf(batches: readonly Batch[], rank: number, size: number): Batch[] {
  if (size === 1) return [...batches];
  if (batches.length % size === 0) return batches.filter((_, i) => i % size === rank);
  return batches.flatMap((batch) => splitBatch(batch, rank, size) ?? []);
}

function splitBatch({ inputs, symbols, examples }: Batch, rank: number, size: number): Batch | undefined {
  const unknown = Object.keys(inputs).find((name) => name !== "rowOffsets" && !perRow.includes(name) && !perResult.includes(name));
  if (unknown !== undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `data parallel: a step with input "${unknown}" can't be shared between ranks; train with one worker`,
      {
        input: unknown,
      },
    );
  const offsets = inputs["rowOffsets"] as Int32Array;
  const rows = offsets.at(-1)!;
  // A sequence goes where its middle lies.
  const owner = (sequence: number): number =>
    Math.min(size - 1, Math.floor(((offsets[sequence]! + offsets[sequence + 1]!) * size) / (2 * rows)));
  const owned = Array.from({ length: symbols.S }, (_, s) => s).filter((s) => owner(s) === rank);
  if (owned.length === 0) return undefined;
  const [first, last] = [offsets[owned[0]!]!, offsets[owned.at(-1)! + 1]!];
  const results = [...(inputs["outputRows"] as Int32Array).entries()].filter(([, row]) => row >= first && row < last);
  const share: Record<string, Inputs[string]> = {};
  for (const [name, numbers] of Object.entries(inputs))
    if (name === "rowOffsets") share[name] = offsets.slice(owned[0], owned.at(-1)! + 2).map((at) => at - first);
    else if (perRow.includes(name)) share[name] = numbers.slice(first, last);
    else if (name === "outputRows") share[name] = Int32Array.from(results, ([, row]) => row - first);
    else share[name] = picked(numbers, results);
  return {
    inputs: share,
    symbols: { ...symbols, T: last - first, S: owned.length, R: results.length },
    examples: examples.length === symbols.S ? owned.map((s) => examples[s]!) : examples,
  };
}

const picked = (numbers: Inputs[string], results: readonly (readonly [number, number])[]): Inputs[string] =>
  numbers instanceof Int32Array ? Int32Array.from(results, ([i]) => numbers[i]!) : Float32Array.from(results, ([i]) => numbers[i]!);
