/** The sums of a step's gradients over all ranks, bucket by bucket, while the way back may still run. */
import type { LoadedModel } from "../../backends/backend.ts";
import type { Batch } from "../batch.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Collective } from "../collective.ts";
import { type Bucket, lengthOf, within } from "./buckets.ts";
import type { GradientSource } from "./gradients.ts";

export interface Reduction {
  readonly source: GradientSource;
  readonly buckets: readonly Bucket[];
  /** Sums a bucket over the ranks and keeps what this rank needs of it. */
  sum(bucket: Bucket, numbers: Float32Array): Promise<void>;
}

/**
 * Computes the gradients of this rank's batches, sums them over all ranks, and returns the loss of this rank. All ranks sum the same buckets
 * in the same order, also where one's loss is no number: then its loss is NaN.
 */
export async function reduceGradients(
  { source, buckets, sum }: Reduction,
  loaded: LoadedModel,
  batches: readonly Batch[],
): Promise<number> {
  const waiting = new Set(source.parameters);
  let next = 0;
  let reduced: Promise<void> = Promise.resolve();
  const reduce = async (bucket: Bucket): Promise<void> => {
    const numbers = new Float32Array(lengthOf(bucket));
    for (const [i, name] of bucket.names.entries()) await source.read(loaded, name, within(numbers, bucket, i));
    await sum(bucket, numbers);
  };
  const known = (parameter: string): Promise<void> => {
    waiting.delete(parameter);
    for (; next < buckets.length && buckets[next]!.names.every((name) => !waiting.has(name)); next++) {
      const bucket = buckets[next]!;
      // One after the other, so that one bucket's numbers are held at a time.
      reduced = reduced.then(() => reduce(bucket));
      reduced.catch(() => undefined); // awaited below
    }
    return reduced;
  };
  const loss = await source.run(loaded, batches, known).catch((error: unknown) => {
    if (!(error instanceof FrugalError) || error.code !== "FRUGAL_NUMERIC") throw error;
    return NaN;
  });
  if (Number.isNaN(loss)) for (const parameter of source.parameters) if (waiting.has(parameter)) void known(parameter);
  await reduced;
  return loss;
}

/** The sums of a few numbers of all ranks, in f64: they travel as two f32 halves, so that losses keep their digits. */
export async function sumOf(collective: Collective, numbers: readonly number[]): Promise<number[]> {
  const high = Float32Array.from(numbers);
  const low = Float32Array.from(numbers, (v, i) => (Number.isFinite(v) ? v - high[i]! : 0));
  const all = new Float32Array(2 * numbers.length * collective.size);
  all.set([...high, ...low], 2 * numbers.length * collective.rank);
  await collective.allGather(all);
  return numbers.map((_, i) => {
    let sum = 0;
    for (let rank = 0; rank < collective.size; rank++) {
      const at = 2 * numbers.length * rank + i;
      sum += all[at]! + all[at + numbers.length]!;
    }
    return sum;
  });
}
