/**
 * MeZO (Malladi et al. 2023, "Fine-Tuning Language Models with Just Forward Passes", arXiv 2305.17333, algorithm 1): the loss at w + εz and
 * at w − εz gives the slope along random numbers z, and w ← w − rate · ((slope) z + decay · w). z is made again from its seed wherever it is
 * needed, so nothing is kept but the weights: the memory is that of inference.
 */
import type { Inputs, LoadedModel } from "../backends/backend.ts";
import { type Graph, inOrder, sourceName, type Value } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";
import { FrugalError } from "../tensor/error.ts";
import type { Batch } from "./batch.ts";
import { lossGraph } from "./programs.ts";
import { runBatch, type StepOutcome, type Stepper, type StepSettings } from "./stepper.ts";
import type { Trainable } from "./trainable.ts";
import { checkRuleOptions } from "./update-rules/options.ts";
import { decayed, scaled, shapeOf } from "./update-rules/scalars.ts";

export interface MezoOptions {
  /** How far the weights are moved to either side; 1e-3. */
  readonly epsilon?: number;
  readonly weightDecay?: number;
}

export interface MezoSettings {
  /** With the count of steps it gives each step's z: a whole number of 32 bits. */
  readonly seed: number;
  /** Gives the graph a `loss` [1, 1]; that of language models where absent. */
  readonly loss?: ((graph: Graph) => Graph) | undefined;
}

const seedInput = "noiseSeed";

/** Throws FRUGAL_BAD_ARGUMENT for options that are unknown or out of range. */
export const checkMezoOptions = (options: MezoOptions): void =>
  checkRuleOptions("mezo", options, { epsilon: { above: 0 }, weightDecay: { from: 0 } });

/**
 * Steps of two forward passes over all batches. A step that has begun is finished whatever the signal says, since weights that were moved are
 * put back by the same numbers only at its end. Throws FRUGAL_BAD_ARGUMENT for options that are unknown or out of range, and where the loss
 * does not depend on what is trained.
 */
export function mezoStepper(model: Trainable, options: MezoOptions, { seed, loss }: MezoSettings): Stepper {
  checkMezoOptions(options);
  const { epsilon = 1e-3, weightDecay = 0 } = options;
  const evaluate = lossGraph(model, { loss });
  const trained = trainedIn(evaluate, model);
  const moved = forEach(trained, ({ b, weight, noise }) => b.add(weight, scaled(b, b.input("distance", scalar), noise)));
  // One pass over the weights puts them back and updates them.
  const updated = forEach(trained, ({ b, weight, noise }) => {
    const plain = b.input("rate", scalar);
    const rate = b.scale(plain, { by: model.rateFactors?.get(sourceName(weight)) ?? 1 });
    const back = b.add(weight, b.scale(noise, { by: epsilon }));
    return b.sub(decayed(b, back, rate, weightDecay), scaled(b, b.mul(rate, b.input("slope", scalar)), noise));
  });
  const names = trained.map(sourceName);

  async function step(loaded: LoadedModel, batches: readonly Batch[], { rate, count, signal }: StepSettings): Promise<StepOutcome> {
    signal?.throwIfAborted();
    const numbers = (inputs: Record<string, number>): Inputs => ({
      [seedInput]: Int32Array.of(seed, count),
      ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, Float32Array.of(value)])),
    });
    const change = (program: string, inputs: Record<string, number>): Promise<unknown> =>
      loaded.run({ program, symbols: { T: 0, S: 0, C: 0, R: 0 }, inputs: numbers(inputs) });
    await change("perturb", { distance: epsilon });
    const above = await lossOf(loaded, batches);
    await change("perturb", { distance: -2 * epsilon });
    const below = await lossOf(loaded, batches);
    await change("update", { rate, slope: (above - below) / (2 * epsilon) });
    return { loss: (above + below) / 2, gradientNorm: undefined };
  }

  return {
    graphs: { evaluate, perturb: moved, update: updated },
    weights: model.weights,
    kept: names,
    trained: names,
    step,
    evaluate: (loaded, batch) => lossOf(loaded, [batch]),
  };
}

const scalar = { shape: [1], type: "f32" } as const;

async function lossOf(loaded: LoadedModel, batches: readonly Batch[]): Promise<number> {
  let loss = 0;
  for (const batch of batches) loss += (await runBatch(loaded, "evaluate", batch, {}))["loss"]![0]!;
  return loss;
}

function trainedIn(forward: Graph, { trained }: Trainable): Value[] {
  const found = inOrder(forward.outputs.values()).filter((value) => value.op === "weight" && trained.has(sourceName(value)));
  const names = new Set(found.map(sourceName));
  const missing = [...trained].find((name) => !names.has(name));
  if (missing !== undefined || found.length === 0)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      missing === undefined
        ? "mezo: no weight is trained; name some"
        : `mezo: the loss does not depend on the weight "${missing}"; train others`,
      { weight: missing },
    );
  return found;
}

interface OneWeight {
  readonly b: Builder;
  readonly weight: Value;
  /** Standard normal numbers of the weight's shape. */
  readonly noise: Value;
}

/** The graph that updates each weight; every weight has a stream of random numbers of its own. */
function forEach(trained: readonly Value[], next: (of: OneWeight) => Value): Graph {
  const b = createBuilder();
  const seed = b.input(seedInput, { shape: [2], type: "i32" });
  const updates = trained.map((weight, stream): [string, Value] => {
    const noise = b.noise(seed, { shape: shapeOf(weight), kind: "normal", stream });
    return [sourceName(weight), next({ b, weight, noise })];
  });
  return { outputs: new Map(), updates: new Map(updates) };
}
