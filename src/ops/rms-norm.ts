/**
 * rmsNorm — y = x / √(mean x² + ε) · weight, over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467).
 * With groups the channels are that many equal parts, each normalised alone (norms of queries and keys by head);
 * the weight then holds one part, which all share, or all channels.
 */
import { printDim } from "../graph/dim.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { rmsNormGradients } from "./norm-gradients.ts";
import { type Op, ShapeError } from "./op.ts";
import { divided, expectRank, fixed } from "./shapes.ts";

export const rmsNorm: Op<2, { readonly epsilon: number; readonly groups?: number | undefined }> = {
  name: "rmsNorm",
  cheapAgain: true,
  arity: 2,
  attributes: { epsilon: "number", groups: "integer?" },
  shape([x, weight], { groups = 1 }) {
    expectRank("rmsNorm", "x", x, 2);
    expectRank("rmsNorm", "weight", weight, 1);
    const part = divided("rmsNorm", "the channels of x", x[1]!, groups);
    if (weight[0] !== part && weight[0] !== x[1])
      throw new ShapeError(`rmsNorm: weight must hold ${part} or ${printDim(x[1]!)} numbers, got ${printDim(weight[0]!)}`);
    return x;
  },
  gradient: ({ b, x: [x, weight], dy, attributes }) => rmsNormGradients(b, x, weight, dy, attributes),
  decompose({ b, x: [x, weight], attributes: { epsilon, groups = 1 } }) {
    const channels = fixed("rmsNorm", "channels", x.shape[1]!);
    const part = channels / groups;
    const parts = groups === 1 ? x : b.reshape(x, { shape: [x.shape[0]!, groups, part] });
    const meanSquare = b.scale(b.sum(b.mul(parts, parts), { axis: parts.shape.length - 1 }), { by: 1 / part, plus: epsilon });
    const normal = b.div(parts, b.sqrt(meanSquare));
    if (groups === 1) return b.mul(normal, weight);
    return weight.shape[0] === part
      ? b.reshape(b.mul(normal, weight), { shape: x.shape })
      : b.mul(b.reshape(normal, { shape: x.shape }), weight);
  },
  cost: ([x, weight]) => costOf(4 * size(x), x, weight, x),
  reference([x, weight], y, { epsilon, groups = 1 }) {
    const channels = x.shape[1]!;
    const part = channels / groups;
    for (let start = 0; start < x.data.length; start += part) {
      let squares = 0;
      for (let c = 0; c < part; c++) squares += x.data[start + c]! ** 2;
      const factor = 1 / Math.sqrt(squares / part + epsilon);
      for (let c = 0; c < part; c++)
        y.data[start + c] = x.data[start + c]! * factor * weight.data[((start % channels) + c) % weight.data.length]!;
    }
  },
  samples: [
    { shapes: [[2, 8], [8]], attributes: { epsilon: 1e-6 } },
    { shapes: [[3, 33], [33]], attributes: { epsilon: 0.1 } },
    { shapes: [[3, 12], [4]], attributes: { epsilon: 1e-5, groups: 3 } },
    { shapes: [[3, 12], [12]], attributes: { epsilon: 1e-5, groups: 3 } },
    { shapes: [[1, 2], [2]], attributes: { epsilon: 0.5, groups: 1 } },
  ],
};
