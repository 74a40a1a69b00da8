/**
 * Dynamic loss scaling (Micikevicius et al. 2018, "Mixed Precision Training", arXiv 1710.03740): gradients too small for F16 are kept from
 * vanishing by a factor on the loss, which is divided out before anything else is done with them. A step whose gradients overflow changes
 * nothing but the factor. The factor lives in weights that the programs update, so checkpoints hold it and no run waits for the host.
 */
import { rewrite } from "../graph/rewrite.ts";
import { type Graph, sourceName, type Value, valuesOf } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";
import { number } from "../ops/spread.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions, wholeNumber } from "../tensor/options.ts";
import type { TrainingPrograms } from "./programs.ts";

/** PyTorch's GradScaler, with its defaults. */
export interface LossScaleOptions {
  /** The factor of the first step; 65536. */
  readonly initial?: number;
  /** What the factor grows by after `growthInterval` steps without overflow; 2 and 2000. */
  readonly growthFactor?: number;
  readonly growthInterval?: number;
  /** What it shrinks by after an overflow; 0.5. */
  readonly backoffFactor?: number;
}

const [scaleName, goodName, skippedName] = ["lossScale/scale", "lossScale/goodSteps", "lossScale/skippedSteps"];
const largest = 2 ** 127;

/**
 * Programs made with `lossScale: true`, whose input `lossScale` becomes a weight that they update: with it, the steps without overflow since
 * it last changed, and the steps skipped, which the rule does not count. `gradientNorm` is 0 in a skipped step. Where the rule is fused
 * into the way back, no norm is known, and each number of the model or the optimizer is kept for itself where its successor overflows.
 * Throws FRUGAL_BAD_ARGUMENT for options that are unknown or out of range.
 * @example
 * const programs = withLossScale(trainingPrograms(model, adamw(), { lossScale: true }));
 */
export function withLossScale(programs: TrainingPrograms, options: LossScaleOptions = {}): TrainingPrograms {
  expectOptions(options);
  const { step, first, more, update } = programs.graphs;
  const graphs = {
    ...programs.graphs,
    step: guarded(step, options),
    first: fromWeights(first).graph,
    more: fromWeights(more).graph,
    update: guarded(update, options),
  };
  const states = [scaleName, goodName, skippedName];
  const weights = new Map(programs.weights);
  for (const name of states) {
    const initial = name === scaleName ? (options.initial ?? 65536) : 0;
    weights.set(name, { shape: [1], content: { values: async () => Float32Array.of(initial) } });
  }
  return { ...programs, graphs, weights, states: [...programs.states, ...states] };
}

interface FromWeights {
  readonly graph: Graph;
  readonly b: Builder;
  /** The graph's own value of a weight, or a new one. */
  readonly weight: (name: string, shape: readonly number[]) => Value;
}

/** Factor and skipped steps read from weights. */
function fromWeights(graph: Graph): FromWeights {
  const b = createBuilder();
  const known = new Map(valuesOf(graph).flatMap((value) => (value.op === "weight" ? [[sourceName(value), value] as const] : [])));
  const weight = (name: string, shape: readonly number[]): Value => known.get(name) ?? b.weight(name, shape);
  const replaced = rewrite(graph, (value) => {
    if (value.op !== "input") return value;
    if (sourceName(value) === "lossScale") return b.reshape(weight(scaleName, [1]), { shape: [1, 1] });
    return sourceName(value) === "count" ? b.sub(value, weight(skippedName, [1])) : value;
  });
  return { graph: replaced, b, weight };
}

/** Updates that happen only where all is sound. */
function guarded(unguarded: Graph, options: LossScaleOptions): Graph {
  const { graph, b, weight } = fromWeights(unguarded);
  const norm = graph.outputs.get("gradientNorm");
  const all = norm === undefined ? undefined : isSound(b, norm);
  const flags: Value[] = all === undefined ? [] : [all];
  const updates = new Map<string, Value>();
  for (const [name, after] of graph.updates!) {
    const sound = all ?? isSound(b, b.dot(after, after));
    if (all === undefined) flags.push(sound);
    updates.set(name, where(b, sound, after, weight(name, after.shape as readonly number[])));
  }
  const sound = flags.reduce((each, flag) => b.mul(each, flag));
  for (const [name, value] of nextStates(b, weight, sound, options)) updates.set(name, value);
  const outputs = new Map(graph.outputs);
  if (norm !== undefined) outputs.set("gradientNorm", where(b, sound, norm, b.scale(sound, { by: 0 })));
  return { ...graph, outputs, updates };
}

/** What factor and counts become; `sound` is 1 where nothing overflowed, else 0. */
function nextStates(
  b: Builder,
  weight: FromWeights["weight"],
  sound: Value,
  { growthFactor = 2, growthInterval = 2000, backoffFactor = 0.5 }: LossScaleOptions,
): (readonly [string, Value])[] {
  const [scale, good, skipped] = [weight(scaleName, [1]), weight(goodName, [1]), weight(skippedName, [1])];
  const not = (flag: Value): Value => b.scale(flag, { by: -1, plus: 1 });
  const inRow = b.mul(sound, b.scale(good, { by: 1, plus: 1 }));
  const waits = b.less(inRow, number(b, growthInterval, 1));
  const grows = b.mul(not(waits), b.less(scale, number(b, largest / growthFactor, 1)));
  const onSound = b.mul(sound, b.scale(grows, { by: growthFactor - 1, plus: 1 }));
  return [
    [scaleName, b.mul(scale, b.add(onSound, b.scale(not(sound), { by: backoffFactor })))],
    [goodName, b.mul(inRow, waits)],
    [skippedName, b.add(skipped, not(sound))],
  ];
}

/** [1]: 1 where a number [1] that is never negative is finite, else 0. */
const isSound = (b: Builder, x: Value): Value => b.less(x, number(b, 3.4e38, 1));

/** `after` where the flag [1] is 1, else `before`, whatever `after` holds. */
const where = (b: Builder, flag: Value, after: Value, before: Value): Value =>
  b.select(b.broadcast(b.reshape(flag, { shape: after.shape.map(() => 1) }), { shape: after.shape }), after, before);

function expectOptions(options: LossScaleOptions): void {
  checkOptions("loss scale", options, ["initial", "growthFactor", "growthInterval", "backoffFactor"]);
  wholeNumber("loss scale", "growthInterval", options.growthInterval, 1, 2 ** 24 - 1);
  const { initial = 1, growthFactor = 2, backoffFactor = 0.5 } = options;
  const wrong = !(initial > 0 && initial <= largest)
    ? `initial is ${initial}; give a number above 0, up to 2^127`
    : !(growthFactor > 1 && Number.isFinite(growthFactor))
      ? `growthFactor is ${growthFactor}; give a number above 1`
      : !(backoffFactor > 0 && backoffFactor < 1)
        ? `backoffFactor is ${backoffFactor}; give a number between 0 and 1`
        : undefined;
  if (wrong !== undefined) throw new FrugalError("FRUGAL_BAD_ARGUMENT", `loss scale: ${wrong}`);
}
