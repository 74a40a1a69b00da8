/** Graph to steps. Buffers are numbered here and placed by the memory planner. */
import { type Graph, sourceName, sourceOps, type Value, valuesOf } from "../../graph/value.ts";
import { allOps } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import { findFolds, type Product } from "./fold.ts";
import { type Lowered, Lowering, type WeightTable } from "./lowering.ts";
import { lowerings } from "./lowerings.ts";
import { besideIn, lowerLowRanks } from "./low-rank.ts";
import { lowerTraining } from "./lower-training.ts";
import { lowerProducts } from "./products.ts";

/** Ops without a kernel of this backend. */
export function missingKernels(order: readonly Value[]): string[] {
  return [...new Set(order.map(({ op }) => op).filter((op) => !sourceOps.includes(op) && !(op in lowerings) && !allOps[op]?.sharesInput))];
}

/** The input of an op that is a packed matrix where it is a weight; all other weights are plain numbers. */
const matrixInputs: Readonly<Record<string, number>> = {
  matmul: 1,
  expertMatmul: 1,
  coarseMatmul: 1,
  pickedMatmul: 1,
  gather: 0,
  linearCrossEntropy: 1,
  linearCrossEntropyGradient: 1,
};

/** Every weight that `lower` will ask for as a matrix; weights that a program updates are plain numbers. */
export function matrixWeights(order: readonly Value[], updated: ReadonlySet<string>): Value[] {
  return order.flatMap(({ op, inputs }) => {
    const input = inputs[matrixInputs[op] ?? -1];
    const weight = op === "matmul" && input?.op === "transpose" ? input.inputs[0] : input;
    return weight?.op === "weight" && !updated.has(sourceName(weight)) ? [weight] : [];
  });
}

/** The weights of which `lower` will ask for coarse copies. */
export const coarseWeights = (order: readonly Value[]): Value[] =>
  order.flatMap(({ op, inputs }) => (op === "coarseMatmul" && inputs[1]!.op === "weight" ? [inputs[1]!] : []));

export function lower(graph: Graph, weights: WeightTable): Lowered {
  const order = valuesOf(graph);
  const missing = missingKernels(order);
  if (missing.length > 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `core: no kernel for ${missing.join(", ")}; use the reference backend`);
  const outputs = [...graph.outputs];
  const state = new Lowering(weights, order, outputs);
  for (const value of order) if (value.op === "input") state.addInput(value);
  if (graph.updates !== undefined) lowerTraining(graph, order, state);
  else lowerInference(graph, order, state);
  return state.result(outputs);
}

/** Products take in what follows them, and those of the same rows are one step. */
function lowerInference(graph: Graph, order: readonly Value[], state: Lowering): void {
  const { products, folded } = findFolds(order, new Set(graph.outputs.values()), (weight) => state.isMatrix(weight));
  // Products without a residual wait for nothing but their rows, so those of the same rows become one step.
  const byRows = new Map<Value, Product[]>();
  for (const product of products.values()) if (!product.residual) byRows.set(product.x, [...(byRows.get(product.x) ?? []), product]);
  const lowRanks = order.filter(({ op }) => op === "addLowRank");
  for (const value of order) {
    if (sourceOps.includes(value.op) || allOps[value.op]?.sharesInput || folded.has(value) || state.isPlaced(value)) continue;
    const product = products.get(value);
    if (value.op === "addLowRank") lowerLowRanks(besideIn(lowRanks, value, state), state);
    else if (product === undefined) lowerings[value.op]!(value, state);
    // At most 16 products a step: what the kernel has room for.
    else if (product.residual) lowerProducts([product], state);
    else
      lowerProducts(
        byRows
          .get(product.x)!
          .filter(({ result }) => !state.isPlaced(result))
          .slice(0, 16),
        state,
      );
  }
  for (const [index, [, value]] of [...graph.outputs].entries()) state.finishOutput(index, value);
}
