/** Every rank keeps everything, and all make the same update from the same sums. */
import type { LoadedModel } from "../../backends/backend.ts";
import type { Graph } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Batch } from "../batch.ts";
import type { Collective } from "../collective.ts";
import { gradientName } from "../programs.ts";
import { runBatch, type Stepper } from "../stepper.ts";
import { bucketsOf, within } from "./buckets.ts";
import type { GradientCompression } from "./compression.ts";
import type { Making } from "./data-parallel.ts";
import { reduceGradients, sumOf } from "./reduction.ts";
import { shareOf } from "./share.ts";

/** An update reads no rows. */
export const noSymbols = { T: 0, S: 0, C: 0, R: 0 };

export function replicatedStepper(
  { collective, programs, source, bucketBytes, agreement, evaluates }: Making,
  compression: GradientCompression | undefined,
): Stepper {
  const { graphs, weights, states } = programs;
  const { parameters } = source;
  const shapes = new Map(parameters.map((name) => [name, weights.get(name)!.shape]));
  const buckets = bucketsOf(parameters, shapes, bucketBytes);
  const compressor = compression?.start(collective);
  return {
    graphs: { ...source.graphs, update: graphs.update, held: heldGradients(shapes), ...(evaluates ? { evaluate: graphs.evaluate } : {}) },
    weights,
    kept: [...parameters, ...states],
    trained: parameters,
    async step(loaded, batches, { rate, count }) {
      const sum = async (bucket: (typeof buckets)[number], numbers: Float32Array): Promise<void> => {
        if (compressor === undefined) await collective.allReduce(numbers);
        for (const [i, name] of bucket.names.entries()) {
          const gradient = within(numbers, bucket, i);
          await compressor?.sum(name, shapes.get(name)!, gradient);
          await loaded.writeWeight(gradientName(name), gradient);
        }
      };
      const own = await reduceGradients({ source, buckets, sum }, loaded, shareOf(batches, collective.rank, collective.size));
      const [loss, wishes] = (await sumOf(collective, [own, agreement.wish()])) as [number, number];
      agreement.hear(wishes);
      if (!Number.isFinite(loss)) return { loss, gradientNorm: undefined };
      const inputs = { rate: Float32Array.of(rate), count: Float32Array.of(count) };
      const outputs = await loaded.run({ program: "update", symbols: noSymbols, inputs });
      return { loss, gradientNorm: outputs["gradientNorm"]?.[0] };
    },
    evaluate: (loaded, batch) => evaluateShared(collective, loaded, batch),
  };
}

/** Never run: says that gradients are written to, wherever they come from. */
function heldGradients(shapes: ReadonlyMap<string, readonly number[]>): Graph {
  const b = createBuilder();
  const names = [...shapes].map(([name, shape]) => [gradientName(name), shape] as const);
  return { outputs: new Map(), updates: new Map(names.map(([name, shape]) => [name, b.weight(name, shape)])) };
}

/** Each rank evaluates its share. */
export async function evaluateShared(collective: Collective, loaded: LoadedModel, batch: Batch): Promise<number> {
  let own = 0;
  for (const share of shareOf([batch], collective.rank, collective.size))
    own += (await runBatch(loaded, "evaluate", share, {}))["loss"]![0]!;
  return (await sumOf(collective, [own]))[0]!;
}
