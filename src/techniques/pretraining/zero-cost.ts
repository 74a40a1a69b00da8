/** The contract of zero-cost proxies: a number that ranks untrained models by how well they may learn, from a few passes over a few batches. */
import type { Backend, Weights } from "../../backends/backend.ts";
import { type Graph, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import type { Batch } from "../../training/batch.ts";
import { withLoss } from "../../training/loss.ts";
import type { Paper } from "../../training/technique.ts";
import { differentiate } from "../../transforms/differentiate.ts";
import { parameterNames } from "../tuning/name-patterns.ts";

export interface Candidate {
  /** `score` graph (models/family.ts). */
  readonly graph: Graph;
  /** Untrained. */
  readonly weights: Weights;
  readonly batches: readonly Batch[];
  readonly backend: Backend;
  readonly signal?: AbortSignal | undefined;
}

export interface ZeroCostProxy {
  readonly name: string;
  readonly paper: Paper;
  readonly survey: string;
  /** Higher is better. Throws FRUGAL_UNSUPPORTED for models it cannot rate. */
  score(candidate: Candidate): Promise<number>;
}

export interface Gradients {
  readonly name: string;
  readonly isMatrix: boolean;
  readonly numbers: Float32Array;
  readonly gradient: Float32Array;
}

/** Of the loss with respect to every parameter, batch by batch. */
export async function* gradients(candidate: Candidate): AsyncGenerator<readonly Gradients[]> {
  const { graph, weights, batches, backend, signal } = candidate;
  const loss = withLoss(graph).outputs.get("loss")!;
  const outputs = withGradients(loss, parametersOf(graph));
  const caps = { T: 0, S: 0, C: 0, R: 0 };
  for (const { symbols } of batches) for (const name of ["T", "S", "C", "R"] as const) caps[name] = Math.max(caps[name], symbols[name]);
  const loaded = await backend.load({ gradients: { outputs } }, weights, { caps, ...(signal && { signal }) });
  try {
    for (const { inputs, symbols } of batches) {
      const found = await loaded.run({ program: "gradients", symbols, inputs, ...(signal && { signal }) });
      yield readGradients(graph, found as Record<string, Float32Array>);
    }
  } finally {
    await loaded.dispose();
  }
}

export function parametersOf(graph: Graph): Value[] {
  const names = new Set(parameterNames(graph));
  return valuesOf(graph).filter((value) => value.op === "weight" && names.has(sourceName(value)));
}

/** Outputs `number/NAME` and `gradient/NAME` of each parameter. */
export function withGradients(loss: Value, parameters: readonly Value[]): Map<string, Value> {
  const found = differentiate(loss, parameters);
  return new Map(
    parameters.flatMap((value, i) => [
      [`number/${sourceName(value)}`, value],
      [`gradient/${sourceName(value)}`, found[i]!],
    ]),
  );
}

export const readGradients = (graph: Graph, found: Readonly<Record<string, Float32Array>>): Gradients[] =>
  parametersOf(graph).map((value) => ({
    name: sourceName(value),
    isMatrix: value.shape.length > 1,
    numbers: found[`number/${sourceName(value)}`]!,
    gradient: found[`gradient/${sourceName(value)}`]!,
  }));

/** The mean of what is found for each batch. */
export async function meanOver(candidate: Candidate, of: (gradients: readonly Gradients[]) => number): Promise<number> {
  let [sum, count] = [0, 0];
  for await (const found of gradients(candidate)) {
    sum += of(found);
    count++;
  }
  return sum / count;
}

/** Σ |number · gradient| over all parameters: how much of the loss hangs on them, to first order. */
export function saliency(found: readonly Gradients[]): number {
  let sum = 0;
  for (const { numbers, gradient } of found) for (let i = 0; i < numbers.length; i++) sum += Math.abs(numbers[i]! * gradient[i]!);
  return sum;
}
