/** The programs of training: forward, backward, clipping and update as one graph, or in pieces where several runs make one step. */
import type { Weight, Weights } from "../backends/backend.ts";
import type { Symbols } from "../graph/dim.ts";
import { type Graph, inOrder, sourceName, type Value, valuesOf } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import type { HalfKind } from "../ops/half-stored.ts";
import type { Builder } from "../ops/op.ts";
import { number } from "../ops/spread.ts";
import { FrugalError } from "../tensor/error.ts";
import { size } from "../tensor/shape.ts";
import { differentiate } from "../transforms/differentiate.ts";
import { keepingHalves } from "../transforms/keep-halves.ts";
import { recomputedSets } from "../transforms/recompute.ts";
import { clipFactor, globalNorm } from "./clip.ts";
import { withLoss } from "./loss.ts";
import type { Trainable } from "./trainable.ts";
import type { UpdateRule } from "./update-rule.ts";

export interface ProgramOptions {
  /** The largest global norm of the gradients; no limit where absent. */
  readonly clip?: number | undefined;
  /** Cuts the forward pass into so many parts, of which all but the last are computed again on the way back. */
  readonly recompute?: { readonly segments: number; readonly symbols: Symbols } | undefined;
  /** Gives the graph a `loss` [1, 1]; `withLoss` where absent. */
  readonly loss?: ((graph: Graph) => Graph) | undefined;
  /** The gradients are those of loss · input `lossScale` [1, 1], and are divided by it before anything else is done with them. */
  readonly lossScale?: boolean | undefined;
  /** How what the way back needs of the way forward is kept: f32 where absent. */
  readonly keep?: HalfKind | undefined;
}

export interface TrainingPrograms {
  readonly graphs: {
    /** A whole step: -> loss, losses, gradientNorm [1]; updates parameters and states. */
    readonly step: Graph;
    /** Forward and backward: updates the weights `gradient/NAME`, by putting (`first`) or adding (`more`). */
    readonly first: Graph;
    readonly more: Graph;
    /** Clips and updates from the weights `gradient/NAME`: inputs rate, count (and lossScale) -> gradientNorm. */
    readonly update: Graph;
    /** Forward only: -> loss, losses. */
    readonly evaluate: Graph;
  };
  /** The model's, the optimizer's states, and gradients. */
  readonly weights: Weights;
  /** Parameters in the order in which their gradients become known, last layers first. */
  readonly parameters: readonly string[];
  /** Names of the weights that hold the optimizer's states. */
  readonly states: readonly string[];
}

export const gradientName = (parameter: string): string => `gradient/${parameter}`;

/**
 * Inputs of `step`, `first`, `more`: those of the model's graph, those of the loss, and of `step` and `update` rate [1] and count [1], f32.
 * Throws FRUGAL_BAD_ARGUMENT where nothing is trained or the loss does not depend on what is trained.
 */
export function trainingPrograms(model: Trainable, rule: UpdateRule, options: ProgramOptions = {}): TrainingPrograms {
  const forward = lossGraph(model, options);
  const trained = inOrder([...forward.outputs.values()]).filter((value) => value.op === "weight" && model.trained.has(sourceName(value)));
  if (trained.length === 0 || trained.length < model.trained.size) {
    const missing = [...model.trained].find((name) => !trained.some((value) => sourceName(value) === name));
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      missing === undefined
        ? "training: no weight is trained; name some"
        : `training: the loss does not depend on the weight "${missing}"; train others`,
      { weight: missing },
    );
  }
  const parameters: string[] = [];
  backward(createBuilder(), forward, trained, options, (parameter) => parameters.push(sourceName(parameter)));
  const shapes = new Map(trained.map((value) => [sourceName(value), value.shape as readonly number[]]));
  const states = new Map<string, { readonly shape: readonly number[]; readonly initial: number }>();
  const make = { model, rule, options, forward, trained, states };
  const graphs = {
    step: stepGraph(make),
    first: gradientGraph(make, false),
    more: gradientGraph(make, true),
    update: updateGraph(make, parameters, shapes),
    evaluate: forward,
  };
  const weights = new Map(model.weights);
  for (const [name, { shape, initial }] of states) weights.set(name, filledWeight(shape, initial));
  for (const [name, shape] of shapes) weights.set(gradientName(name), filledWeight(shape, 0));
  return { graphs, weights, parameters, states: [...states.keys()] };
}

interface Making {
  readonly model: Trainable;
  readonly rule: UpdateRule;
  readonly options: ProgramOptions;
  readonly forward: Graph;
  readonly trained: readonly Value[];
  readonly states: Map<string, { readonly shape: readonly number[]; readonly initial: number }>;
}

/** The graph with its loss, and the penalty added to it. */
export function lossGraph({ graph, penalty }: Trainable, { loss = withLoss }: ProgramOptions): Graph {
  const found = loss(graph);
  if (penalty === undefined) return found;
  const outputs = new Map(found.outputs);
  outputs.set("loss", createBuilder().add(found.outputs.get("loss")!, penalty));
  return { outputs };
}

/** Gives the order that the recorded values are to be computed in. */
function backward(
  b: Builder,
  forward: Graph,
  trained: readonly Value[],
  { recompute, lossScale, keep }: ProgramOptions,
  onGradient: (parameter: Value, gradient: Value) => void,
): (order: readonly Value[]) => readonly Value[] {
  const loss = forward.outputs.get("loss")!;
  const keeping = keep === undefined ? undefined : keepingHalves(b, keep);
  differentiate(loss, trained, {
    builder: b,
    seed: lossScale === true ? scaleInput(b) : undefined,
    onGradient,
    recompute: recompute === undefined ? undefined : recomputedSets(loss, recompute.symbols, recompute.segments),
    kept: keeping?.kept,
  });
  return (order) => keeping?.inOrder(order) ?? order;
}

function stepGraph(make: Making): Graph {
  const { forward, trained, options, rule } = make;
  const order = valuesOf(forward);
  const b = createBuilder((value) => order.push(value));
  const updates = new Map<string, Value>();
  const outputs = new Map(forward.outputs);
  const rules = updater(b, make, updates);
  const found: [string, Value, Value][] = [];
  const arrange = backward(b, forward, trained, options, (parameter, gradient) => {
    if (rule.fusesIntoBackward === true && options.clip === undefined) rules(parameter, unscaled(b, gradient, options));
    else found.push([sourceName(parameter), parameter, gradient]);
  });
  if (found.length > 0) finish(b, make, found, rules, outputs);
  return { outputs, updates, order: arrange(order) };
}

function gradientGraph({ forward, trained, options }: Making, adds: boolean): Graph {
  const order = valuesOf(forward);
  const b = createBuilder((value) => order.push(value));
  const updates = new Map<string, Value>();
  const arrange = backward(b, forward, trained, options, (parameter, gradient) => {
    const name = gradientName(sourceName(parameter));
    updates.set(name, adds ? b.add(b.weight(name, parameter.shape as readonly number[]), gradient) : gradient);
  });
  return { outputs: forward.outputs, updates, order: arrange(order) };
}

function updateGraph(make: Making, parameters: readonly string[], shapes: ReadonlyMap<string, readonly number[]>): Graph {
  const order: Value[] = [];
  const b = createBuilder((value) => order.push(value));
  const updates = new Map<string, Value>();
  const outputs = new Map<string, Value>();
  const found = parameters.map((name): [string, Value, Value] => {
    const shape = shapes.get(name)!;
    return [name, b.weight(name, shape), b.weight(gradientName(name), shape)];
  });
  finish(b, make, found, updater(b, make, updates), outputs);
  return { outputs, updates, order };
}

/** Norm, clipping and updates once all gradients are known. */
function finish(
  b: Builder,
  { options }: Making,
  found: readonly (readonly [string, Value, Value])[],
  update: (parameter: Value, gradient: Value) => void,
  outputs: Map<string, Value>,
): void {
  const scaledNorm = globalNorm(
    b,
    found.map(([, , gradient]) => gradient),
  );
  const norm = options.lossScale === true ? b.div(scaledNorm, b.reshape(scaleInput(b), { shape: [1] })) : scaledNorm;
  outputs.set("gradientNorm", norm);
  const factor = options.clip === undefined ? undefined : clipFactor(b, norm, options.clip);
  for (const [, parameter, gradient] of found) {
    const whole = unscaled(b, gradient, options);
    update(parameter, factor === undefined ? whole : b.mul(whole, spreadScalar(b, factor, whole)));
  }
}

/** Applies the rule to one parameter and notes what it and its states become. */
function updater(b: Builder, { model, rule, states }: Making, updates: Map<string, Value>): (parameter: Value, gradient: Value) => void {
  const rate = b.input("rate", { shape: [1], type: "f32" });
  const count = b.input("count", { shape: [1], type: "f32" });
  return (parameter, gradient) => {
    const name = sourceName(parameter);
    const factor = model.rateFactors?.get(name) ?? 1;
    const stateName = (state: string): string => `${rule.name}.${state}/${name}`;
    const result = rule.step({
      b,
      name,
      parameter,
      gradient,
      rate: factor === 1 ? rate : b.scale(rate, { by: factor }),
      count,
      state(state, shape, initial = 0) {
        states.set(stateName(state), { shape, initial });
        return b.weight(stateName(state), shape);
      },
    });
    updates.set(name, result.parameter);
    for (const [state, value] of Object.entries(result.state)) updates.set(stateName(state), value);
  };
}

const scaleInput = (b: Builder): Value => b.input("lossScale", { shape: [1, 1], type: "f32" });

function unscaled(b: Builder, gradient: Value, { lossScale }: ProgramOptions): Value {
  if (lossScale !== true) return gradient;
  return b.mul(gradient, spreadScalar(b, b.div(number(b, 1, 2), scaleInput(b)), gradient));
}

/** A scalar in a shape that spreads over the value. */
const spreadScalar = (b: Builder, scalar: Value, over: Value): Value => b.reshape(scalar, { shape: over.shape.map(() => 1) });

const filledWeight = (shape: readonly number[], initial: number): Weight => ({
  shape,
  content: { values: async () => new Float32Array(size(shape)).fill(initial) },
});
