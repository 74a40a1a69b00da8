/** Steps of a program that updates weights: what training-folds.ts found, in an order that holds, with updates written in place where they can be. */
import { type Graph, sourceName, sourceOps, type Value } from "../../graph/value.ts";
import { isMap, mapProgram } from "./elementwise.ts";
import { isShared, type Lowering } from "./lowering.ts";
import { lowerGradients, lowerings, gemmScratch } from "./lowerings.ts";
import { lowerProducts } from "./products.ts";
import { schedule } from "./schedule.ts";
import { type FloatProduct, trainingFolds } from "./training-folds.ts";
import { nothing, type Place } from "./words.ts";

export function lowerTraining(graph: Graph, order: readonly Value[], state: Lowering): void {
  const updates = [...graph.updates!];
  const wanted = new Set([...graph.outputs.values(), ...updates.map(([, value]) => value)]);
  const folds = trainingFolds(order, wanted, (weight) => state.isInteger(weight));
  const steps = schedule(order, folds.groups).filter(
    ([value, other]) => other !== undefined || (!sourceOps.includes(value!.op) && !isShared(value!) && !folds.folded.has(value!)),
  );
  // Sources that become another weight's numbers are put by before anything changes.
  const early = new Map(updates.filter(([, value]) => isSource(value)).map(([name, value]) => [name, kept(value, state)]));
  const late = updates.filter(([name, value]) => !early.has(name) && !writeInPlace(name, value, steps, folds.products, state));
  for (const step of steps) {
    lowerStep(step, folds, wanted, state);
    // A step that fails here has changed nothing yet where the updates come later.
    for (const value of step) {
      const output = state.outputOf(value);
      if (output !== undefined) state.checkOutput(output, value);
    }
  }
  [...graph.outputs.values()].forEach((value, index) => {
    if (state.outputOf(value) !== index) state.finishOutput(index, value);
  });
  for (const [name, value] of late) state.step("copy", [state.operand(value), { place: vectorOf(name, value, state), shape: value.shape }]);
  for (const [name, operand] of early)
    state.step("copy", [operand, { place: vectorOf(name, graph.updates!.get(name)!, state), shape: operand.shape }]);
}

const isSource = (value: Value): boolean => (isShared(value) ? isSource(value.inputs[0]!) : sourceOps.includes(value.op));

function kept(value: Value, state: Lowering): ReturnType<Lowering["buffer"]> {
  const { shape } = value;
  const size = new Map([["", shape.reduce<number>((product, dim) => product * (dim as number), 1)]]);
  const copy = state.buffer(size, shape);
  state.step("copy", [state.operand(value), copy]);
  return copy;
}

const vectorOf = (name: string, { shape }: Value, state: Lowering): Place => ({
  space: "vector",
  index: state.weights.vector({ op: "weight", inputs: [], attributes: { name }, shape, type: "f32" }),
});

/** Gives the value its weight's own place where nobody reads the old numbers after the step that makes it. */
function writeInPlace(
  name: string,
  value: Value,
  steps: readonly (readonly Value[])[],
  products: ReadonlyMap<Value, FloatProduct>,
  state: Lowering,
): boolean {
  if (isShared(value) || state.isPlaced(value) || state.outputOf(value) !== undefined) return false;
  const own = steps.findIndex((step) => step.includes(value));
  const reads = (input: Value): boolean =>
    isShared(input) ? reads(input.inputs[0]!) : input.op === "weight" && sourceName(input) === name;
  const readsOf = (member: Value): readonly Value[] => {
    const product = products.get(member);
    return product === undefined ? member.inputs : [product.x, product.w, ...(product.residual ? [product.residual] : [])];
  };
  const last = steps.findLastIndex((step) => step.some((member) => readsOf(member).some(reads)));
  if (last > own) return false;
  if (last === own) {
    const product = products.get(value);
    const isAdded = product !== undefined && !reads(product.x) && !reads(product.w);
    if (!isAdded && !steps[own]!.every(isMap)) return false;
    // In a chain every reader must read element by element.
    if (!isAdded && !steps[own]!.every((member) => member.inputs.every((input) => !reads(input) || sameCount(input, value)))) return false;
  }
  state.place(value, vectorOf(name, value, state));
  return true;
}

const sameCount = (a: Value, b: Value): boolean => a.shape.join() === b.shape.join();

function lowerStep(
  step: readonly Value[],
  { products }: { readonly products: ReadonlyMap<Value, FloatProduct> },
  wanted: ReadonlySet<Value>,
  state: Lowering,
): void {
  const [value] = step as readonly [Value];
  const product = products.get(value);
  if (product !== undefined) return lowerFloatProduct(product, state);
  if (step.length === 1 && value.op === "matmul" && state.isMatrix(value.inputs[1]!))
    return lowerProducts([{ result: value, x: value.inputs[0]!, weight: value.inputs[1]! }], state);
  if (isMap(value)) return lowerMaps(step, wanted, state);
  if (step.length > 1) return lowerGradients(step, state);
  lowerings[value.op]!(value, state);
}

function lowerFloatProduct({ result, x, xTransposed, w, wTransposed, alpha, residual }: FloatProduct, state: Lowering): void {
  const matrix = state.isMatrix(w) ? state.matrix(w).operand : state.operand(w);
  const y = state.operand(result);
  const added = residual === undefined ? nothing : state.operand(residual);
  const adds = residual !== undefined && samePlace(added.place, y.place);
  state.scratch(gemmScratch);
  state.step(
    "gemm",
    [state.operand(x), matrix, y, adds ? nothing : added],
    [xTransposed ? 1 : 0, wTransposed ? 1 : 0, adds ? 1 : 0],
    [alpha],
  );
}

const samePlace = (a: Place, b: Place): boolean => JSON.stringify(a) === JSON.stringify(b);

function lowerMaps(step: readonly Value[], wanted: ReadonlySet<Value>, state: Lowering): void {
  const group = new Set(step);
  const program = mapProgram(group, step, (value) => wanted.has(value) || state.isNeededBeside(value, group));
  if (program === undefined) {
    for (const value of step) lowerings[value.op]!(value, state);
    return;
  }
  state.scratch(program.registers * 256 * 4 + 64);
  state.step(
    "map",
    [...program.inputs.map((input) => state.operand(input)), ...program.results.map((value) => state.operand(value))],
    program.integers,
    program.numbers,
  );
}
