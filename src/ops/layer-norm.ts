/** layerNorm — y = (x − mean) / √(variance + ε) · weight + bias, over the last axis (Ba, Kiros and Hinton 2016, arXiv 1607.06450). */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDims, expectRank, fixed } from "./shapes.ts";
import { sumTo } from "./spread.ts";

export const layerNorm: Op<3, { readonly epsilon: number }> = {
  name: "layerNorm",
  cheapAgain: true,
  arity: 3,
  attributes: { epsilon: "number" },
  shape([x, weight, bias]) {
    expectRank("layerNorm", "x", x, 2);
    fixed("layerNorm", "the channels of x", x[1]!);
    expectDims("layerNorm", "weight", weight, [x[1]!]);
    expectDims("layerNorm", "bias", bias, [x[1]!]);
    return x;
  },
  gradient: ({ b, x: [x, weight, bias], dy, attributes }) => [
    b.layerNormGradient(x, weight, dy, { ...attributes, of: "x" }),
    b.layerNormGradient(x, weight, dy, { ...attributes, of: "weight" }),
    sumTo(b, dy, bias.shape),
  ],
  decompose({ b, x: [x, weight, bias], attributes: { epsilon } }) {
    const by = 1 / fixed("layerNorm", "channels", x.shape[1]!);
    const centred = b.sub(x, b.scale(b.sum(x, { axis: 1 }), { by }));
    const variance = b.scale(b.sum(b.mul(centred, centred), { axis: 1 }), { by, plus: epsilon });
    return b.add(b.mul(b.div(centred, b.sqrt(variance)), weight), bias);
  },
  cost: ([x, weight, bias]) => costOf(7 * size(x), x, weight, bias, x),
  reference([x, weight, bias], y, { epsilon }) {
    const channels = x.shape[1]!;
    for (let start = 0; start < x.data.length; start += channels) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += x.data[start + c]!;
      const mean = sum / channels;
      let squares = 0;
      for (let c = 0; c < channels; c++) squares += (x.data[start + c]! - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / channels + epsilon);
      for (let c = 0; c < channels; c++) y.data[start + c] = (x.data[start + c]! - mean) * factor * weight.data[c]! + bias.data[c]!;
    }
  },
  samples: [
    { shapes: [[2, 8], [8], [8]], attributes: { epsilon: 1e-5 } },
    { shapes: [[3, 33], [33], [33]], attributes: { epsilon: 0.1 } },
    { shapes: [[1, 3], [3], [3]], attributes: { epsilon: 0.5 } },
  ],
};
